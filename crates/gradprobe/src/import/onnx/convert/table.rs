//! The table of operators.

use super::Rule::{self, Activation, By, Pass, Same};
use super::{
    arithmetic, attention, constants, control, dropout, elementwise, indexing, linear, losses,
    multi_head_attention, normalisation, pooling, quantised, random, rearrange, recurrent,
    reduction, sampling, sequences, signal, tabular,
};
use crate::import::onnx::fused;
use crate::import::onnx::messages::standard_domain;

/// A row.
pub(super) struct Row {
    name: &'static str,
    pub rule: Rule,
}

/// An operator of ONNX that can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OnnxOp {
    /// Its domain; empty for ONNX's own.
    pub domain: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it becomes: the engine's ops, or what is done with it.
    pub becomes: &'static str,
}

/// Every operator that can be imported, by domain and name.
pub fn coverage() -> Vec<OnnxOp> {
    let of_domain = |&(domain, rows): &(&'static str, &'static [Row])| {
        rows.iter().map(move |row| OnnxOp {
            domain,
            name: row.name,
            becomes: match row.rule {
                Same(engine) | Pass(engine, _) => engine,
                Activation(name) => name,
                By(becomes, _) => becomes,
            },
        })
    };
    let put_in_place = fused::ROWS.iter().map(|row| OnnxOp {
        domain: row.domain,
        name: row.name,
        becomes: row.becomes,
    });
    let mut all: Vec<OnnxOp> = DOMAINS.iter().flat_map(of_domain).collect();
    all.extend(put_in_place);
    all.sort_by_key(|op| (op.domain, op.name));
    all
}

pub(super) fn find(domain: &str, op: &str) -> Option<&'static Row> {
    let domain = standard_domain(domain);
    let (_, rows) = DOMAINS.iter().find(|(known, _)| *known == domain)?;
    let at = rows.binary_search_by(|row| row.name.cmp(op)).ok()?;
    Some(&rows[at])
}

/// The operators by their domains.
static DOMAINS: &[(&str, &[Row])] = &[
    ("", ROWS),
    ("ai.onnx.ml", TABULAR),
    ("com.microsoft", MICROSOFT),
];

const fn row(name: &'static str, rule: Rule) -> Row {
    Row { name, rule }
}

#[rustfmt::skip]
static ROWS: &[Row] = &[
    row("Abs", Same("Abs")),
    row("Acos", Same("Acos")),
    row("Acosh", Same("Acosh")),
    row("Add", By("Add", arithmetic::add)),
    row("AffineGrid", By("MatMul with the grid of the identity", sampling::affine_grid)),
    row("And", Same("And")),
    row("ArgMax", By("TopK", indexing::arg_max)),
    row("ArgMin", By("TopK", indexing::arg_min)),
    row("Asin", Same("Asin")),
    row("Asinh", Same("Asinh")),
    row("Atan", Activation("arctan")),
    row("Atanh", Same("Atanh")),
    row("Attention", By("Attention", attention::attention)),
    row("AveragePool", By("AveragePool", pooling::average_pool)),
    row("BatchNormalization", By("BatchNormalization", normalisation::batch)),
    row("Bernoulli", By("its mean; random numbers where dropout is asked for", random::bernoulli)),
    row("Cast", By("known numbers are converted; signals are real numbers throughout", elementwise::cast)),
    row("CastLike", By("as Cast", elementwise::cast_like)),
    row("Ceil", Same("Ceil")),
    row("Celu", By("celu", elementwise::celu)),
    row("Clip", By("Clip, relu6, hard-tanh", elementwise::clip)),
    row("Col2Im", By("Col2Im", sampling::col2im)),
    row("Concat", Pass("Concat", &["axis"])),
    row("ConcatFromSequence", By("Concat", sequences::concat)),
    row("Constant", By("folded; a weight where it stands in a weight's place", constants::constant)),
    row("ConstantOfShape", By("folded; a weight where it stands in a weight's place", constants::constant_of_shape)),
    row("Conv", By("Conv", linear::conv)),
    row("ConvTranspose", By("ConvTranspose", linear::conv_transpose)),
    row("Cos", Same("Cos")),
    row("Cosh", Same("Cosh")),
    row("CumSum", By("CumSum", reduction::cumulative_sum)),
    row("DFT", By("DFT", signal::dft)),
    row("DepthToSpace", Pass("DepthToSpace", &["blocksize", "mode"])),
    row("DequantizeLinear", By("folded, of whole numbers times a scale", quantised::dequantise)),
    row("Det", Same("Det")),
    row("Div", By("Div", arithmetic::div)),
    row("Dropout", By("the identity; Dropout where it is asked for", dropout::dropout)),
    row("Einsum", Pass("Einsum", &["equation"])),
    row("Elu", By("elu", elementwise::elu)),
    row("Equal", Same("Equal")),
    row("Erf", Activation("erf")),
    row("Exp", Same("Exp")),
    row("Expand", By("Expand", rearrange::expand)),
    row("EyeLike", By("folded", constants::eye_like)),
    row("Flatten", Pass("Flatten", &["axis"])),
    row("Floor", Same("Floor")),
    row("GRU", By("GRU", recurrent::gru)),
    row("Gather", By("Gather", indexing::gather)),
    row("GatherElements", Pass("GatherElements", &["axis"])),
    row("GatherND", Pass("GatherND", &["batch_dims"])),
    row("Gelu", By("gelu, gelu-tanh", elementwise::gelu)),
    row("Gemm", By("Linear, or MatMul and Add", linear::gemm)),
    row("GlobalAveragePool", Same("GlobalAveragePool")),
    row("GlobalLpPool", Pass("GlobalLpPool", &["p"])),
    row("GlobalMaxPool", Same("GlobalMaxPool")),
    row("Greater", By("Greater", random::greater)),
    row("GreaterOrEqual", By("GreaterOrEqual", random::greater_or_equal)),
    row("GridSample", Pass("GridSample", &["mode", "padding_mode", "align_corners"])),
    row("GroupNormalization", By("GroupNormalization", normalisation::group)),
    row("HardSigmoid", By("hard-sigmoid, or Mul, Add and Clip", elementwise::hard_sigmoid)),
    row("HardSwish", Activation("hard-swish")),
    row("Identity", By("the value itself", rearrange::identity)),
    row("If", By("the branch that its condition says", control::branch)),
    row("InstanceNormalization", By("InstanceNormalization", normalisation::instance)),
    row("IsInf", By("Abs and Equal", elementwise::is_infinite)),
    row("IsNaN", Same("IsNaN")),
    row("LRN", Pass("LRN", &["alpha", "beta", "bias", "size"])),
    row("LSTM", By("LSTM", recurrent::lstm)),
    row("LayerNormalization", By("LayerNormalization", normalisation::layer)),
    row("LeakyRelu", By("leaky-relu", elementwise::leaky_relu)),
    row("Less", By("Less", random::less)),
    row("LessOrEqual", By("LessOrEqual", random::less_or_equal)),
    row("Log", Same("Log")),
    row("LogSoftmax", By("LogSoftmax", elementwise::log_softmax)),
    row("Loop", By("its body as often as its trip count says", control::repeat)),
    row("LpNormalization", By("Div by ReduceL1 or ReduceL2", reduction::lp_normalization)),
    row("LpPool", Pass("LpPool", &["p", "kernel_shape", "strides", "pads", "dilations", "auto_pad", "ceil_mode"])),
    row("MatMul", By("MatMul", linear::matmul)),
    row("Max", Same("Max")),
    row("MaxPool", By("MaxPool", pooling::max_pool)),
    row("Mean", By("Sum and Div", arithmetic::mean)),
    row("MelWeightMatrix", By("folded", signal::mel_weight_matrix)),
    row("Min", Same("Min")),
    row("Mish", Activation("mish")),
    row("Mod", By("Mod, Fmod", arithmetic::modulo)),
    row("Mul", By("Mul", arithmetic::mul)),
    row("Neg", Same("Neg")),
    row("NegativeLogLikelihoodLoss", By("GatherElements and ReduceMean", losses::negative_log_likelihood)),
    row("NonZero", By("folded: what it reads has to be known", constants::non_zero)),
    row("Not", Same("Not")),
    row("OneHot", By("OneHot", indexing::one_hot)),
    row("Or", Same("Or")),
    row("PRelu", By("PRelu", elementwise::prelu)),
    row("Pad", By("Pad", rearrange::pad)),
    row("Pow", Same("Pow")),
    row("RMSNormalization", By("RMSNormalization", normalisation::rms)),
    row("RNN", By("RNN", recurrent::rnn)),
    row("RandomNormal", By("its mean; random numbers where dropout is asked for", random::normal)),
    row("RandomNormalLike", By("its mean; random numbers where dropout is asked for", random::normal)),
    row("RandomUniform", By("its mean; random numbers where dropout is asked for", random::uniform)),
    row("RandomUniformLike", By("its mean; random numbers where dropout is asked for", random::uniform)),
    row("Range", By("folded", constants::range)),
    row("Reciprocal", Same("Reciprocal")),
    row("ReduceL1", By("ReduceL1", reduction::reduce)),
    row("ReduceL2", By("ReduceL2", reduction::reduce)),
    row("ReduceLogSum", By("ReduceSum and Log", reduction::reduce_log_sum)),
    row("ReduceLogSumExp", By("ReduceLogSumExp", reduction::reduce)),
    row("ReduceMax", By("ReduceMax", reduction::reduce)),
    row("ReduceMean", By("ReduceMean", reduction::reduce)),
    row("ReduceMin", By("ReduceMin", reduction::reduce)),
    row("ReduceProd", By("ReduceProd", reduction::reduce)),
    row("ReduceSum", By("ReduceSum", reduction::reduce)),
    row("ReduceSumSquare", By("ReduceSumSquare", reduction::reduce)),
    row("Relu", Activation("relu")),
    row("Reshape", By("Reshape", rearrange::reshape)),
    row("Resize", By("Resize", pooling::resize)),
    row("ReverseSequence", Pass("ReverseSequence", &["batch_axis", "time_axis"])),
    row("RotaryEmbedding", By("RotaryEmbedding", attention::rotary)),
    row("Round", Same("Round")),
    row("STFT", By("Gather, Mul and DFT", signal::stft)),
    row("Scan", By("its body once a step", control::scan)),
    row("Scatter", Pass("ScatterElements", &["axis"])),
    row("ScatterElements", Pass("ScatterElements", &["axis", "reduction"])),
    row("ScatterND", Pass("ScatterND", &["reduction"])),
    row("Selu", By("selu", elementwise::selu)),
    row("SequenceAt", By("an element of the list", sequences::at)),
    row("SequenceConstruct", By("a list of its inputs", sequences::construct)),
    row("SequenceEmpty", By("an empty list", sequences::empty)),
    row("SequenceErase", By("the list with one less", sequences::erase)),
    row("SequenceInsert", By("the list with one more", sequences::insert)),
    row("SequenceLength", By("folded", sequences::length)),
    row("Shape", By("folded", constants::shape)),
    row("Shrink", By("soft-shrink, hard-shrink", elementwise::shrink)),
    row("Sigmoid", Activation("sigmoid")),
    row("Sign", Same("Sign")),
    row("Sin", Activation("sine")),
    row("Sinh", Same("Sinh")),
    row("Size", By("folded", constants::size)),
    row("Slice", By("Slice", rearrange::slice)),
    row("Softmax", By("Softmax", elementwise::softmax)),
    row("SoftmaxCrossEntropyLoss", By("SoftmaxCrossEntropyLoss", losses::softmax_cross_entropy)),
    row("Softplus", Activation("softplus")),
    row("Softsign", Activation("softsign")),
    row("SpaceToDepth", Pass("SpaceToDepth", &["blocksize", "mode"])),
    row("Split", By("Split", rearrange::split)),
    row("SplitToSequence", By("Split, as a list", sequences::split)),
    row("Sqrt", Same("Sqrt")),
    row("Squeeze", By("Squeeze", rearrange::squeeze)),
    row("Sub", By("Sub", arithmetic::sub)),
    row("Sum", By("Sum", arithmetic::sum)),
    row("Swish", By("silu", elementwise::swish)),
    row("Tan", Same("Tan")),
    row("Tanh", Activation("tanh")),
    row("ThresholdedRelu", By("Greater and Mul", elementwise::thresholded_relu)),
    row("Tile", By("Tile", rearrange::tile)),
    row("TopK", By("TopK", indexing::top_k)),
    row("Transpose", Pass("Transpose", &["perm"])),
    row("Trilu", By("Trilu", rearrange::trilu)),
    row("Unsqueeze", By("Unsqueeze", rearrange::unsqueeze)),
    row("Upsample", By("Resize", pooling::upsample)),
    row("Where", Same("Where")),
    row("Xor", By("Equal and Not", elementwise::exclusive_or)),
];

/// Operators of ONNX's domain for classical models.
#[rustfmt::skip]
static TABULAR: &[Row] = &[
    row("ArrayFeatureExtractor", By("Gather", tabular::array_feature_extractor)),
    row("Binarizer", By("Greater", tabular::binarizer)),
    row("FeatureVectorizer", By("Concat", tabular::feature_vectorizer)),
    row("Normalizer", By("Div by ReduceMax, ReduceL1 or ReduceL2", tabular::normalizer)),
    row("Scaler", By("Sub and Mul", tabular::scaler)),
];

/// Operators of onnxruntime's domain whose meaning depends on the shapes that they read; the others
/// are put in place as ONNX's own before, see `fused`.
#[rustfmt::skip]
static MICROSOFT: &[Row] = &[
    row("FusedMatMul", By("Transpose, MatMul and Mul", linear::fused_matmul)),
    row("GroupQueryAttention", By("Attention, RotaryEmbedding", multi_head_attention::group_query_attention)),
    row("MultiHeadAttention", By("Attention", multi_head_attention::multi_head_attention)),
    row("RotaryEmbedding", By("RotaryEmbedding", multi_head_attention::rotary)),
    row("TransposeMatMul", By("Transpose, MatMul and Mul", linear::fused_matmul)),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::activation::parse;
    use crate::ops::find_op;

    #[test]
    fn the_table_is_sorted_and_names_ops_that_there_are() {
        for (_, rows) in DOMAINS {
            assert!(rows.is_sorted_by(|one, next| one.name < next.name));
        }
        for row in DOMAINS.iter().flat_map(|(_, rows)| *rows) {
            match row.rule {
                Same(engine) | Pass(engine, _) => assert!(find_op(engine).is_some(), "{engine}"),
                Activation(name) => assert!(parse(name).is_ok(), "{name}"),
                By(..) => {}
            }
        }
    }
}
