//! The flat table of ops: one row an op.

use super::attributes::{AttributeReader, Attributes};
use super::*;

/// A row of the registry.
#[derive(Debug)]
pub struct OpEntry {
    /// The op's name, as in ONNX where ONNX has it.
    pub name: &'static str,
    /// What it computes, in one line.
    pub about: &'static str,
    /// Makes the op from a node's attributes.
    pub from_attributes: fn(&Attributes) -> Result<Box<dyn Op>, OpError>,
}

/// Every op the engine knows, sorted by name.
pub fn registry() -> &'static [OpEntry] {
    OPS
}

/// The row of an op.
pub fn find_op(name: &str) -> Option<&'static OpEntry> {
    let at = OPS.binary_search_by(|entry| entry.name.cmp(name)).ok()?;
    Some(&OPS[at])
}

const fn row(
    name: &'static str,
    about: &'static str,
    from_attributes: fn(&Attributes) -> Result<Box<dyn Op>, OpError>,
) -> OpEntry {
    OpEntry {
        name,
        about,
        from_attributes,
    }
}

/// An op without attributes.
fn plain<O: Op + Default + 'static>(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
    AttributeReader::new(attributes).finish()?;
    Ok(Box::new(O::default()))
}

#[rustfmt::skip]
static OPS: &[OpEntry] = &[
    row("Abs", "|x|", plain::<Abs>),
    row("Acos", "arccos x", plain::<Acos>),
    row("Acosh", "arcosh x", plain::<Acosh>),
    row("AdaptiveAveragePool", "the mean of windows that make a given number of outputs", AdaptiveAveragePool::from_attributes),
    row("AdaptiveMaxPool", "the largest element of windows that make a given number of outputs", AdaptiveMaxPool::from_attributes),
    row("Add", "a + b, broadcast", plain::<Add>),
    row("And", "are both operands true?", plain::<And>),
    row("Asin", "arcsin x", plain::<Asin>),
    row("Asinh", "arsinh x", plain::<Asinh>),
    row("Atanh", "artanh x", plain::<Atanh>),
    row("Attention", "softmax(q·kᵀ/√d)·v in heads", Attention::from_attributes),
    row("AveragePool", "the mean of every window", AveragePool::from_attributes),
    row("BatchNormalization", "every channel by its mean and variance over the batch", BatchNorm::from_attributes),
    row("BinaryCrossEntropyWithLogits", "-t ln σ(x) - (1 - t) ln σ(-x) from logits", loss::BinaryCrossEntropyWithLogits::from_attributes),
    row("Ceil", "rounded up to a whole number", plain::<Ceil>),
    row("Clip", "x between two bounds", Clip::from_attributes),
    row("Col2Im", "sliding blocks added up into an image", Col2Im::from_attributes),
    row("Concat", "tensors one after the other along an axis", Concat::from_attributes),
    row("Conv", "cross-correlation with learned kernels", Conv::from_attributes),
    row("ConvTranspose", "the adjoint of a convolution", ConvTranspose::from_attributes),
    row("Cos", "cos x", plain::<Cos>),
    row("Cosh", "cosh x", plain::<Cosh>),
    row("CumSum", "running sums along an axis", CumSum::from_attributes),
    row("DFT", "the discrete Fourier transform along an axis", Dft::from_attributes),
    row("DepthToSpace", "channels to blocks of pixels", DepthToSpace::from_attributes),
    row("Det", "determinants of square matrices", plain::<Det>),
    row("Div", "a / b, broadcast", plain::<Div>),
    row("Dropout", "elements at random set to zero, the others made larger", Dropout::from_attributes),
    row("Einsum", "sums of products in Einstein's notation", Einsum::from_attributes),
    row("Equal", "a = b", plain::<Equal>),
    row("Exp", "e^x", plain::<Exp>),
    row("Expand", "x broadcast to a larger shape", Expand::from_attributes),
    row("Flatten", "a matrix of the axes before one by those from it on", Flatten::from_attributes),
    row("Floor", "rounded down to a whole number", plain::<Floor>),
    row("Fmod", "the remainder of a / b with the sign of a, broadcast", plain::<Fmod>),
    row("GRU", "a gated recurrent unit over time", Gru::from_attributes),
    row("Gather", "slices along an axis by index; an embedding", Gather::from_attributes),
    row("GatherElements", "elements by index along an axis", GatherElements::from_attributes),
    row("GatherND", "slices by their coordinates", GatherNd::from_attributes),
    row("GlobalAveragePool", "the mean of every channel", plain::<GlobalAveragePool>),
    row("GlobalLpPool", "the p-norm of every channel", GlobalLpPool::from_attributes),
    row("GlobalMaxPool", "the largest element of every channel", plain::<GlobalMaxPool>),
    row("Glu", "a · φ(b) from the halves of an axis", Glu::from_attributes),
    row("Greater", "a > b", plain::<Greater>),
    row("GreaterOrEqual", "a ≥ b", plain::<GreaterOrEqual>),
    row("GridSample", "an image read at given places", GridSample::from_attributes),
    row("GroupNormalization", "groups of channels of every sample by their mean and variance", GroupNorm::from_attributes),
    row("Huber", "squared error up to delta, absolute error beyond", loss::Huber::from_attributes),
    row("Identity", "x", plain::<Identity>),
    row("InstanceNormalization", "the channels of every sample by their mean and variance", InstanceNorm::from_attributes),
    row("IsNaN", "is it not a number?", plain::<IsNaN>),
    row("LRN", "every element by the squares in the channels around", LocalResponseNorm::from_attributes),
    row("LSTM", "long short-term memory over time", Lstm::from_attributes),
    row("LayerNormalization", "every sample by its mean and variance", LayerNorm::from_attributes),
    row("Less", "a < b", plain::<Less>),
    row("LessOrEqual", "a ≤ b", plain::<LessOrEqual>),
    row("Linear", "x·Wᵀ + b, W[out, in]", Linear::from_attributes),
    row("Log", "ln x", plain::<Log>),
    row("LogSoftmax", "ln softmax along an axis", LogSoftmax::from_attributes),
    row("LpPool", "the p-norm of every window", LpPool::from_attributes),
    row("MatMul", "batches of matrix products, broadcast", plain::<MatMul>),
    row("Max", "the largest of the operands, broadcast", plain::<Max>),
    row("MaxPool", "the largest element of every window", MaxPool::from_attributes),
    row("MeanAbsoluteError", "mean of |x - t|", loss::MeanAbsoluteError::from_attributes),
    row("MeanSquaredError", "mean of (x - t)²", loss::MeanSquaredError::from_attributes),
    row("Min", "the smallest of the operands, broadcast", plain::<Min>),
    row("Mod", "the remainder of a / b with the sign of b, broadcast", plain::<Mod>),
    row("Mul", "a · b, broadcast", plain::<Mul>),
    row("Neg", "-x", plain::<Neg>),
    row("Not", "is the operand false?", plain::<Not>),
    row("OneHot", "classes as rows with one element that differs", OneHot::from_attributes),
    row("Or", "is either operand true?", plain::<Or>),
    row("PRelu", "x where x > 0, else a learned slope times x", plain::<PRelu>),
    row("Pad", "elements added around the axes", Pad::from_attributes),
    row("Pow", "a^b, broadcast", plain::<Pow>),
    row("RMSNormalization", "every sample by its root mean square", RmsNorm::from_attributes),
    row("RNN", "h ← tanh(W·x + R·h + b) over time", Rnn::from_attributes),
    row("Reciprocal", "1/x", plain::<Reciprocal>),
    row("ReduceL1", "the sum of magnitudes over axes", |attributes| Reduce::from_attributes(ReduceKind::L1, attributes)),
    row("ReduceL2", "the Euclidean norm over axes", |attributes| Reduce::from_attributes(ReduceKind::L2, attributes)),
    row("ReduceLogSumExp", "ln Σ e^x over axes", |attributes| Reduce::from_attributes(ReduceKind::LogSumExp, attributes)),
    row("ReduceMax", "the largest element over axes", |attributes| Reduce::from_attributes(ReduceKind::Max, attributes)),
    row("ReduceMean", "the mean over axes", |attributes| Reduce::from_attributes(ReduceKind::Mean, attributes)),
    row("ReduceMin", "the smallest element over axes", |attributes| Reduce::from_attributes(ReduceKind::Min, attributes)),
    row("ReduceProd", "the product over axes", |attributes| Reduce::from_attributes(ReduceKind::Prod, attributes)),
    row("ReduceSum", "the sum over axes", |attributes| Reduce::from_attributes(ReduceKind::Sum, attributes)),
    row("ReduceSumSquare", "the sum of squares over axes", |attributes| Reduce::from_attributes(ReduceKind::SumSquare, attributes)),
    row("Reshape", "the elements under another shape", Reshape::from_attributes),
    row("Resize", "interpolation along axes", Resize::from_attributes),
    row("ReverseSequence", "the beginning of every sequence turned round", ReverseSequence::from_attributes),
    row("RotaryEmbedding", "pairs of features turned by angles that grow with time", RotaryEmbedding::from_attributes),
    row("Round", "rounded to the nearest whole number", plain::<Round>),
    row("ScatterElements", "updates written by index along an axis", ScatterElements::from_attributes),
    row("ScatterND", "updates written by their coordinates", ScatterNd::from_attributes),
    row("Sign", "-1, 0 or 1", plain::<Sign>),
    row("Sinh", "sinh x", plain::<Sinh>),
    row("Slice", "elements at regular steps along axes", Slice::from_attributes),
    row("Softmax", "e^x / Σ e^x along an axis", Softmax::from_attributes),
    row("SoftmaxCrossEntropyLoss", "-ln softmax(x) at the target class", CrossEntropy::from_attributes),
    row("SpaceToDepth", "blocks of pixels to channels", SpaceToDepth::from_attributes),
    row("Split", "pieces along an axis, one an output", Split::from_attributes),
    row("Sqrt", "√x", plain::<Sqrt>),
    row("Squeeze", "x without axes of extent 1", Squeeze::from_attributes),
    row("Sub", "a - b, broadcast", plain::<Sub>),
    row("Sum", "the sum of the operands, broadcast", plain::<Sum>),
    row("Tan", "tan x", plain::<Tan>),
    row("Tile", "x repeated along its axes", Tile::from_attributes),
    row("TopK", "the largest or smallest elements along an axis, and where they are", TopK::from_attributes),
    row("Transpose", "the axes in another order", Transpose::from_attributes),
    row("Trilu", "the upper or lower triangle of matrices", Trilu::from_attributes),
    row("Unsqueeze", "x with new axes of extent 1", Unsqueeze::from_attributes),
    row("Where", "a where a condition holds, else b", plain::<Where>),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_row_is_found() {
        assert!(OPS.is_sorted_by(|one, next| one.name < next.name));
        for entry in registry() {
            let found = find_op(entry.name).expect("it is in the table");
            assert_eq!(found.about, entry.about);
        }
        assert!(find_op("NoSuchOp").is_none());
    }

    #[test]
    fn a_row_makes_the_op_of_its_name_and_refuses_unknown_attributes() {
        let unknown = Attributes::from([("no_such".to_string(), super::super::Attribute::Int(1))]);
        for entry in registry() {
            let op = (entry.from_attributes)(&Attributes::new()).expect("defaults will do");
            assert_eq!(op.name(), entry.name);
            let error = (entry.from_attributes)(&unknown).expect_err("no such attribute");
            assert!(error.to_string().contains(r#""no_such""#), "{error}");
        }
    }
}
