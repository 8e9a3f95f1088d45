//! Operators that stand for several of ONNX's own, as onnxruntime's optimisers write them: each is
//! put in place as those, before anything is known of the model but its nodes, the way a function of
//! the file is. An optimised file then has the weights, layers and signals of the one it was made
//! from.
//!
//! Operators whose meaning depends on the shapes that they read (attention, rotary embeddings) are
//! converted later, see `convert/`.

mod activations;
mod expansion;
mod normalisations;
mod products;
mod transformer;

use super::error::{OnnxError, quoted};
use super::messages::{Node as Message, standard_domain};
use expansion::Expansion;
pub(super) use expansion::{Makers, written_as};

/// The domain of onnxruntime's own operators.
const MICROSOFT: &str = "com.microsoft";
/// The domain of operators whose layout depends on the processor.
const BLOCKED: &str = "com.microsoft.nchwc";

/// A row: an operator, what it becomes, and how.
pub(super) struct Row {
    pub domain: &'static str,
    pub name: &'static str,
    /// In words, for the table of operators.
    pub becomes: &'static str,
    expand: fn(&mut Expansion<'_>) -> Result<(), OnnxError>,
}

const fn row(
    domain: &'static str,
    name: &'static str,
    becomes: &'static str,
    expand: fn(&mut Expansion<'_>) -> Result<(), OnnxError>,
) -> Row {
    Row {
        domain,
        name,
        becomes,
        expand,
    }
}

/// Every operator that is put in place as others.
#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    row("", "SimplifiedLayerNormalization", "RMSNormalization", normalisations::simplified),
    row(MICROSOFT, "Attention", "MatMul and Add, Split, MultiHeadAttention", transformer::attention),
    row(MICROSOFT, "BiasAdd", "Add and Add", activations::bias_add),
    row(MICROSOFT, "BiasGelu", "Add and Gelu", activations::bias_gelu),
    row(MICROSOFT, "BiasSplitGelu", "Add, Split, Gelu and Mul", activations::bias_split_gelu),
    row(MICROSOFT, "EmbedLayerNormalization", "Gather and Add, LayerNormalization", transformer::embedding),
    row(MICROSOFT, "FastGelu", "Gelu by tanh, after Add where there is a bias", activations::fast_gelu),
    row(MICROSOFT, "FusedConv", "Conv, Add where there is a fourth input, the activation", products::conv),
    row(MICROSOFT, "FusedGemm", "Gemm, the activation", products::gemm),
    row(MICROSOFT, "Gelu", "Gelu", activations::gelu),
    row(MICROSOFT, "GemmFastGelu", "MatMul, Add, Gelu by tanh", products::gemm_fast_gelu),
    row(MICROSOFT, "GroupNorm", "GroupNormalization between Transposes, Swish", normalisations::group),
    row(MICROSOFT, "LayerNormalization", "LayerNormalization", normalisations::layer),
    row(MICROSOFT, "NhwcConv", "Conv between Transposes", products::channels_last_conv),
    row(MICROSOFT, "QuickGelu", "Swish", activations::quick_gelu),
    row(MICROSOFT, "SkipLayerNormalization", "Add, LayerNormalization", normalisations::skip_layer),
    row(MICROSOFT, "SkipSimplifiedLayerNormalization", "Add, RMSNormalization", normalisations::skip_simplified),
];

fn find(node: &Message) -> Option<&'static Row> {
    let domain = standard_domain(&node.domain);
    let mut rows = ROWS.iter();
    rows.find(|row| row.name == node.op_type && row.domain == domain)
}

/// The nodes that stand for a node; `None` for one that stands for itself.
///
/// # Errors
/// If its inputs or attributes are not what the operator has.
pub(super) fn expand(node: &Message, makers: &Makers) -> Option<Result<Vec<Message>, OnnxError>> {
    let row = find(node)?;
    let mut expansion = Expansion::new(node, makers);
    let done = (row.expand)(&mut expansion).and_then(|()| expansion.finish());
    let place = || match &node.name[..] {
        "" => node.op_type.escape_debug().to_string(),
        name => format!("{} {}", node.op_type.escape_debug(), quoted(name)),
    };
    Some(
        done.map(|()| expansion.nodes)
            .map_err(|error| error.at(place())),
    )
}

/// Puts in place what stands in the bodies of a node.
///
/// # Errors
/// Like [`expand`].
pub(super) fn expand_bodies(node: &mut Message) -> Result<(), OnnxError> {
    for attribute in &mut node.attribute {
        let Some(graph) = &mut attribute.g else {
            continue;
        };
        let makers = Makers::of(&graph.node);
        let mut nodes = Vec::with_capacity(graph.node.len());
        for mut inner in std::mem::take(&mut graph.node) {
            match expand(&inner, &makers) {
                Some(expanded) => nodes.extend(expanded?),
                None => {
                    expand_bodies(&mut inner)?;
                    nodes.push(inner);
                }
            }
        }
        graph.node = nodes;
    }
    Ok(())
}

/// What to do about operators of a domain that cannot be imported as a whole.
pub(super) fn help_for(domain: &str) -> Option<&'static str> {
    (domain == BLOCKED).then_some(
        "onnxruntime laid out these weights for the processor it ran on, and the file does not say \
         how: save the optimised model with ORT_ENABLE_EXTENDED, or give the original one",
    )
}
