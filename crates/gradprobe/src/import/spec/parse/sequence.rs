//! The layers of sequence models.

use super::defaults::Defaults;
use super::initialiser;
use crate::import::spec::reader::{Field, Fields, Result};
use crate::import::spec::sequence::{Embedding, RecurrentCell, RecurrentLayers, SelfAttention};
use crate::import::spec::specification::{Common, LayerKind};
use crate::init::Initialiser;
use toml::de::DeValue;

/// The keys that say what a layer is.
pub(super) const KINDS: &[&str] = &[
    "embedding",
    "positional-embedding",
    "rnn",
    "lstm",
    "gru",
    "attention",
    "glu",
    "last-step",
    "transpose",
];

/// Layers that a word alone can stand for.
pub(super) const WORDS: &[&str] = &["positional-embedding", "last-step"];

/// Token ids have to be whole numbers in f32 too.
const MOST_TOKENS: u64 = 1 << 24;
/// The most recurrent layers of one entry.
const MOST_LAYERS: u64 = 1000;
/// As PyTorch draws an embedding.
const STANDARD_NORMAL: Initialiser = Initialiser::Normal {
    mean: 0.0,
    std: 1.0,
};

/// A layer of one of the [`WORDS`].
pub(super) fn read_word(word: &str) -> Option<LayerKind> {
    match word {
        "positional-embedding" => Some(LayerKind::PositionalEmbedding(STANDARD_NORMAL)),
        "last-step" => Some(LayerKind::LastStep),
        _ => None,
    }
}

/// A layer of one of the [`KINDS`]; `None` for any other.
pub(super) fn read(
    kind: &str,
    field: Field<'_, '_>,
    fields: &mut Fields<'_, '_>,
    defaults: &Defaults,
) -> Result<Option<LayerKind>> {
    Ok(Some(match kind {
        "embedding" => LayerKind::Embedding(Embedding {
            dimension: field.size()?,
            vocabulary: read_vocabulary(fields.need("vocabulary", "how many tokens there are")?)?,
            init: own_init(fields)?,
        }),
        "positional-embedding" => {
            field.only_true()?;
            LayerKind::PositionalEmbedding(own_init(fields)?)
        }
        "rnn" => {
            let cell = match fields.get("activation") {
                Some(field) => field.word(&[
                    ("tanh", RecurrentCell::RnnTanh),
                    ("relu", RecurrentCell::RnnRelu),
                ])?,
                None => RecurrentCell::RnnTanh,
            };
            LayerKind::Recurrent(read_recurrent(cell, field, fields, defaults)?)
        }
        "lstm" => LayerKind::Recurrent(read_recurrent(
            RecurrentCell::Lstm,
            field,
            fields,
            defaults,
        )?),
        "gru" => LayerKind::Recurrent(read_recurrent(RecurrentCell::Gru, field, fields, defaults)?),
        "attention" => LayerKind::Attention(read_attention(field, fields, defaults)?),
        "glu" => LayerKind::Glu(read_gate(field)?.into()),
        "last-step" => {
            field.only_true()?;
            LayerKind::LastStep
        }
        "transpose" => LayerKind::Transpose(read_permutation(field)?),
        _ => return Ok(None),
    }))
}

pub(super) fn read_vocabulary(field: Field<'_, '_>) -> Result<usize> {
    field.whole(1, MOST_TOKENS).map(|tokens| tokens as usize)
}

/// An embedding's initialiser: its own, for those of `[defaults]` are meant for weights.
fn own_init(fields: &mut Fields<'_, '_>) -> Result<Initialiser> {
    let own = fields.get("init").map(initialiser::read).transpose()?;
    Ok(own.map_or(STANDARD_NORMAL, |init| init.weight))
}

fn flag(fields: &mut Fields<'_, '_>, key: &'static str) -> Result<bool> {
    let flag = fields.get(key).map(|field| field.flag()).transpose()?;
    Ok(flag.unwrap_or(false))
}

fn read_recurrent(
    cell: RecurrentCell,
    field: Field<'_, '_>,
    fields: &mut Fields<'_, '_>,
    defaults: &Defaults,
) -> Result<RecurrentLayers> {
    let hidden = field.size()?;
    let layers = fields.get("layers");
    let layers = layers
        .map(|field| field.whole(1, MOST_LAYERS))
        .transpose()?;
    let bidirectional = flag(fields, "bidirectional")?;
    let Common { init, bias, .. } = defaults.weights(fields)?;
    let recurrent = fields.get("recurrent-init");
    let recurrent = recurrent.map(initialiser::read).transpose()?;
    let forget_bias = if cell == RecurrentCell::Lstm {
        let field = fields.get("forget-bias");
        field.map(|field| field.number()).transpose()?
    } else {
        None
    };
    let unroll = fields.get("unroll");
    let unrolled = unroll.map(|field| field.flag()).transpose()?;
    if let (Some(field), Some(true)) = (unroll, unrolled)
        && (bidirectional || layers.is_some_and(|layers| layers > 1))
    {
        return Err(field
            .wrong_value("one layer in one direction")
            .help("what is unrolled gives its last state alone"));
    }
    Ok(RecurrentLayers {
        cell,
        hidden,
        layers: layers.unwrap_or(1),
        bidirectional,
        init,
        recurrent_init: recurrent.map_or(init, |init| init.weight),
        bias,
        forget_bias,
        unroll: unrolled.unwrap_or(false),
    })
}

fn read_attention(
    field: Field<'_, '_>,
    fields: &mut Fields<'_, '_>,
    defaults: &Defaults,
) -> Result<SelfAttention> {
    const BASE: f64 = 10_000.0;
    let heads = field.size()?;
    let kv_heads = fields
        .get("kv-heads")
        .map(|field| field.size())
        .transpose()?;
    let causal = flag(fields, "causal")?;
    let rotary = match fields.get("rotary") {
        None => None,
        Some(field) => match field.value.get_ref() {
            DeValue::Boolean(on) => on.then_some(BASE),
            _ => Some(field.number_that("`true`, or a base above 0", |base| base > 0.0)?),
        },
    };
    let Common { init, bias, .. } = defaults.weights(fields)?;
    let output_init = fields.get("output-init");
    let output_init = output_init.map(initialiser::read).transpose()?;
    Ok(SelfAttention {
        heads,
        kv_heads: kv_heads.unwrap_or(heads),
        causal,
        rotary,
        init,
        output_init: output_init.map_or(init, |init| init.weight),
        bias,
    })
}

/// The activation of a gated linear unit: by its own name, or by the unit's.
fn read_gate(field: Field<'_, '_>) -> Result<&'static str> {
    const GATES: &[(&str, &str)] = &[
        ("glu", "sigmoid"),
        ("swiglu", "silu"),
        ("geglu", "gelu"),
        ("sigmoid", "sigmoid"),
        ("silu", "silu"),
        ("gelu", "gelu"),
    ];
    if let DeValue::Boolean(true) = field.value.get_ref() {
        return Ok("sigmoid");
    }
    field.word(GATES)
}

/// Axes of a row counted from 1, in their new order; `true` exchanges the last two.
fn read_permutation(field: Field<'_, '_>) -> Result<Vec<usize>> {
    const EXPECTED: &str =
        "`true`, or the axes after the batch, counted from 1, in their new order, e.g. [2, 1]";
    if let DeValue::Boolean(true) = field.value.get_ref() {
        return Ok(Vec::new());
    }
    let axes: Vec<usize> = field
        .elements(EXPECTED)?
        .map(|axis| axis.size())
        .collect::<Result<_>>()?;
    let mut sorted = axes.clone();
    sorted.sort_unstable();
    if axes.is_empty() || axes.len() > 8 || !sorted.into_iter().eq(1..=axes.len()) {
        return Err(field.wrong_value(EXPECTED));
    }
    Ok(axes)
}
