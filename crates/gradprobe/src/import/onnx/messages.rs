//! The messages of an ONNX file: the fields that are read, by the numbers that `onnx.proto` gives
//! them. A field that is not here is skipped.

use bytes::Bytes;
use prost::Message;

/// A whole file.
#[derive(Clone, PartialEq, Message)]
pub struct Model {
    /// The program that wrote the file.
    #[prost(string, tag = "2")]
    pub producer_name: String,
    /// The network.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    /// The version of the operators, by domain.
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSet>,
    /// Operators that the file itself defines.
    #[prost(message, repeated, tag = "25")]
    pub functions: Vec<Function>,
}

/// The version of a domain's operators.
#[derive(Clone, PartialEq, Message)]
pub struct OperatorSet {
    /// The domain; empty for ONNX's own.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// The version.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// An operator made of others.
#[derive(Clone, PartialEq, Message)]
pub struct Function {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What its nodes call the inputs.
    #[prost(string, repeated, tag = "4")]
    pub input: Vec<String>,
    /// What they call the outputs.
    #[prost(string, repeated, tag = "5")]
    pub output: Vec<String>,
    /// Its nodes.
    #[prost(message, repeated, tag = "7")]
    pub node: Vec<Node>,
    /// The versions its nodes are of.
    #[prost(message, repeated, tag = "9")]
    pub opset_import: Vec<OperatorSet>,
    /// Its domain.
    #[prost(string, tag = "10")]
    pub domain: String,
    /// Attributes with their defaults.
    #[prost(message, repeated, tag = "11")]
    pub attribute_proto: Vec<Attribute>,
}

/// A network, or the body of a control-flow node.
#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    /// Its nodes.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<Node>,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Its weights and constants.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<Tensor>,
    /// Its inputs; files of old have the initialisers among them.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfo>,
    /// Its outputs.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfo>,
    /// What is noted about other values.
    #[prost(message, repeated, tag = "13")]
    pub value_info: Vec<Noted>,
    /// What the exporter notes about the whole.
    #[prost(message, repeated, tag = "16")]
    pub metadata_props: Vec<Entry>,
}

/// A node.
#[derive(Clone, PartialEq, Message)]
pub struct Node {
    /// The values that it reads; an empty name is an input left out.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// The values that it makes.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// Its name, often empty.
    #[prost(string, tag = "3")]
    pub name: String,
    /// Its operator.
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// Its attributes.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
    /// The operator's domain.
    #[prost(string, tag = "7")]
    pub domain: String,
    /// What the exporter notes about it.
    #[prost(message, repeated, tag = "9")]
    pub metadata_props: Vec<Entry>,
}

/// An attribute of a node.
#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// A number.
    #[prost(float, tag = "2")]
    pub f: f32,
    /// A whole number.
    #[prost(int64, tag = "3")]
    pub i: i64,
    /// A text.
    #[prost(bytes = "bytes", tag = "4")]
    pub s: Bytes,
    /// A tensor.
    #[prost(message, optional, tag = "5")]
    pub t: Option<Tensor>,
    /// A graph.
    #[prost(message, optional, tag = "6")]
    pub g: Option<Graph>,
    /// Numbers.
    #[prost(float, repeated, tag = "7")]
    pub floats: Vec<f32>,
    /// Whole numbers.
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    /// Texts.
    #[prost(bytes = "bytes", repeated, tag = "9")]
    pub strings: Vec<Bytes>,
    /// Which of the fields it is.
    #[prost(int32, tag = "20")]
    pub kind: i32,
    /// In a function: the attribute of the call that it stands for.
    #[prost(string, tag = "21")]
    pub ref_attr_name: String,
}

/// A tensor.
#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    /// Its extents.
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    /// Its element type, by ONNX's number.
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// Elements of float.
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    /// Elements of the whole types up to 32 bits, of bool and (their bits) of the 16-bit floats.
    #[prost(int32, repeated, tag = "5")]
    pub int32_data: Vec<i32>,
    /// Elements of int64.
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    /// Its name.
    #[prost(string, tag = "8")]
    pub name: String,
    /// Elements of any type, little-endian.
    #[prost(bytes = "bytes", tag = "9")]
    pub raw_data: Bytes,
    /// Elements of double.
    #[prost(double, repeated, tag = "10")]
    pub double_data: Vec<f64>,
    /// Elements of uint32 and uint64.
    #[prost(uint64, repeated, tag = "11")]
    pub uint64_data: Vec<u64>,
    /// Where the elements are if not here: location, offset, length.
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<Entry>,
    /// 1 if they are in another file.
    #[prost(int32, tag = "14")]
    pub data_location: i32,
}

/// A key with its value.
#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    /// The key.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// An input or output.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfo {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What it is.
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<Type>,
}

/// What the exporter notes about a value: of a `ValueInfo`, the notes alone.
#[derive(Clone, PartialEq, Message)]
pub struct Noted {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The notes.
    #[prost(message, repeated, tag = "4")]
    pub metadata_props: Vec<Entry>,
}

/// What a value is.
#[derive(Clone, PartialEq, Message)]
pub struct Type {
    /// Of a tensor.
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorType>,
}

/// Element type and shape of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct TensorType {
    /// The element type, by ONNX's number.
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    /// The shape; missing where nothing is known.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShape>,
}

/// A shape.
#[derive(Clone, PartialEq, Message)]
pub struct TensorShape {
    /// Its extents.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

/// An extent.
#[derive(Clone, PartialEq, Message)]
pub struct Dimension {
    /// A number, where it is fixed.
    #[prost(int64, optional, tag = "1")]
    pub dim_value: Option<i64>,
    /// A name, where it is free.
    #[prost(string, optional, tag = "2")]
    pub dim_param: Option<String>,
}

/// A domain by one name: ONNX's own has two.
pub fn standard_domain(domain: &str) -> &str {
    match domain {
        "ai.onnx" => "",
        domain => domain,
    }
}
