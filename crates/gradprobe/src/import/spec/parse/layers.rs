//! `layers`, and `[defaults]` for what they do not say.

use super::activation;
use super::defaults::Defaults;
use super::norm::{norm_options, plain_norm, read_lrn, read_norm};
use super::residual::read_residual;
use super::sequence;
use super::windows::{
    read_adaptive_pool, read_conv, read_conv_transpose, read_pool, read_upsample,
};
use super::{hint_for_table, origin};
use crate::import::spec::error::{SpecError, SpecErrorKind as Kind};
use crate::import::spec::reader::{Field, Fields, Result, listed, nearest, normalised, quoted};
use crate::import::spec::specification::{Layer, LayerKind, Linear, NormKind, PoolKind, Repeat};
use std::collections::BTreeMap;
use toml::de::DeValue;

/// How deep blocks may be nested.
const DEEPEST: usize = 16;

/// The keys that say what a layer is. `activation` says it where no other does.
const KINDS: &[&str] = &[
    "linear",
    "conv",
    "conv-transpose",
    "max-pool",
    "average-pool",
    "adaptive-average-pool",
    "global-average-pool",
    "upsample",
    "flatten",
    "reshape",
    "dropout",
    "batch-norm",
    "layer-norm",
    "rms-norm",
    "group-norm",
    "instance-norm",
    "lrn",
    "residual",
    "repeat",
    "block",
];

fn kinds() -> impl Iterator<Item = &'static str> + Clone {
    KINDS.iter().chain(sequence::KINDS).copied()
}

/// Layers that a word alone can stand for.
const WORDS: &[&str] = &[
    "flatten",
    "global-average-pool",
    "batch-norm",
    "layer-norm",
    "rms-norm",
    "instance-norm",
];

/// A list of layers: tables, and words for layers that have nothing else to say.
pub(super) fn read_list(
    field: Field<'_, '_>,
    place: &str,
    defaults: &Defaults,
    depth: usize,
) -> Result<Vec<Layer>> {
    const EXPECTED: &str = "a list of layers such as [{ linear = 10 }, \"flatten\"]";
    if depth > DEEPEST {
        return Err(field.wrong_value(&format!("at most {DEEPEST} blocks within each other")));
    }
    let layers: Vec<Layer> = field
        .elements(EXPECTED)?
        .enumerate()
        .map(|(index, value)| read(value, &format!("{place}[{index}]"), defaults, depth))
        .collect::<Result<_>>()?;
    if layers.is_empty() {
        return Err(field.wrong_value("at least one layer"));
    }
    Ok(layers)
}

/// `[blocks]`: lists of layers by name, as `name = [ … ]` or as `[blocks.name]` with `layers`.
pub(super) fn read_blocks(
    field: Option<Field<'_, '_>>,
    defaults: &Defaults,
) -> Result<BTreeMap<String, Vec<Layer>>> {
    let mut blocks = BTreeMap::new();
    let Some(field) = field else {
        return Ok(blocks);
    };
    let Some(table) = field.table() else {
        return Err(field.wrong_type("a table of blocks such as [blocks.basic]"));
    };
    for (key, value) in table.iter() {
        let key: &str = key.get_ref();
        let place = format!("blocks.{key}");
        let field = Field { key, value };
        let layers = match field.table() {
            None => read_list(field, &place, defaults, 0)?,
            Some(_) => {
                let mut fields = Fields::of(field, format!("[{place}]"), "a list of layers")?;
                let listed = fields.need("layers", "the list of layers of the block")?;
                fields.finish_with(hint_for_table)?;
                read_list(listed, &format!("{place}.layers"), defaults, 0)?
            }
        };
        blocks.insert(key.to_owned(), layers);
    }
    Ok(blocks)
}

fn read(field: Field<'_, '_>, place: &str, defaults: &Defaults, depth: usize) -> Result<Layer> {
    let origin = origin(place, field.span());
    if let DeValue::String(word) = field.value.get_ref() {
        return Ok(Layer {
            name: None,
            kind: read_word(word, field)?,
            origin,
        });
    }
    let mut fields = Fields::of(field, place, "a table such as { linear = 10 }, or a word")?;
    let name = fields.get("name").map(read_name).transpose()?;
    // { repeat = 3, linear = 64 } is short for { repeat = 3, layers = [{ linear = 64 }] }.
    let repeat = if fields.has("layers") {
        None // `read_kind` takes it
    } else {
        fields.get("repeat")
    };
    let kind = read_kind(&mut fields, repeat.is_some(), place, defaults, depth)?;
    fields.finish_with(|key| hint(key).or_else(|| hint_for_table(key)))?;
    let layer = Layer { name, kind, origin };
    let Some(repeat) = repeat else {
        return Ok(layer);
    };
    Ok(Layer {
        name: None,
        origin: layer.origin.clone(),
        kind: LayerKind::Repeat(Repeat {
            times: read_times(repeat)?,
            layers: vec![layer],
        }),
    })
}

fn read_times(field: Field<'_, '_>) -> Result<u64> {
    field.whole(1, i64::MAX as u64)
}

/// Keys of other frameworks.
fn hint(key: &str) -> Option<String> {
    let hint = match normalised(key).as_str() {
        "kernel-size" | "size" | "filter" => "did you mean `kernel`?",
        "weight-init" | "initializer" | "initialiser" | "kernel-initializer" => {
            "did you mean `init`?"
        }
        "bias-init" | "bias-initializer" => "write the initialiser as the bias: bias = \"zeros\"",
        "use-bias" => "did you mean `bias`?",
        "nonlinearity" | "act" | "fn" => "did you mean `activation`?",
        "times" | "count" | "n" => "did you mean `repeat`?",
        _ => return None,
    };
    Some(hint.into())
}

fn read_name(field: Field<'_, '_>) -> Result<String> {
    const LONGEST: usize = 100;
    const EXPECTED: &str =
        "a name of 1 to 100 characters without dots, quotes and control characters";
    let name = field.text("a name")?;
    let refused = |c: char| c.is_control() || matches!(c, '.' | '"' | '`' | ':');
    let fits = !name.trim().is_empty() && name.trim() == name && name.chars().count() <= LONGEST;
    if !fits || name.chars().any(refused) {
        return Err(field.wrong_value(EXPECTED));
    }
    Ok(name.into())
}

/// A layer that is one word: `"flatten"`, `"tanh"`.
fn read_word(word: &str, field: Field<'_, '_>) -> Result<LayerKind> {
    match normalised(word.trim()).to_lowercase().as_str() {
        "flatten" => return Ok(LayerKind::Flatten),
        "global-average-pool" => return Ok(LayerKind::GlobalAveragePool),
        "batch-norm" => return Ok(LayerKind::Norm(plain_norm(NormKind::Batch))),
        "layer-norm" => return Ok(LayerKind::Norm(plain_norm(NormKind::Layer))),
        "rms-norm" => return Ok(LayerKind::Norm(plain_norm(NormKind::Rms))),
        "instance-norm" => return Ok(LayerKind::Norm(plain_norm(NormKind::Instance))),
        _ => {}
    }
    if let Some(layer) = sequence::read_word(&normalised(word.trim()).to_lowercase()) {
        return Ok(layer);
    }
    if activation::is_name(word) {
        return activation::check(word, field).map(LayerKind::Activation);
    }
    let words = || WORDS.iter().chain(sequence::WORDS).copied();
    let names = words().chain(activation::names());
    let lower = normalised(word);
    let help = if kinds().any(|kind| kind == lower) {
        format!("it needs a value: {{ {lower} = … }}")
    } else {
        match nearest(word, names) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("expected {}, an activation, or a table", listed(words())),
        }
    };
    Err(
        SpecError::new(Kind::Value, format!("unknown layer {}", quoted(word)))
            .at(field.span())
            .label("unknown layer")
            .help(help),
    )
}

/// What the table says the layer is.
fn kind_of(fields: &Fields<'_, '_>, repeated: bool, place: &str) -> Result<&'static str> {
    let is_here = |kind: &&str| fields.has(kind) && !(repeated && *kind == "repeat");
    let mut found = kinds().filter(is_here);
    match (found.next(), found.next()) {
        (Some(kind), None) => Ok(kind),
        (Some(one), Some(other)) => {
            let (one_at, other_at) = (fields.key_span(one), fields.key_span(other));
            let later = if one_at.start > other_at.start {
                one_at
            } else {
                other_at
            };
            let message = format!("{place} is both `{one}` and `{other}`");
            Err(SpecError::new(Kind::Value, message)
                .at(later)
                .label("a layer is one thing")
                .help("write two layers"))
        }
        (None, _) if fields.has("activation") => Ok("activation"),
        (None, _) if fields.has("layers") && !repeated => Ok("layers"),
        (None, _) if repeated => Err(SpecError::new(
            Kind::Missing,
            format!("{place} does not say what to repeat"),
        )
        .at(fields.key_span("repeat"))
        .label("of what?")
        .help("add layers = [ … ], or a layer such as linear = 64")),
        (None, _) => Err(no_kind(fields, place)),
    }
}

fn no_kind(fields: &Fields<'_, '_>, place: &str) -> SpecError {
    let error = SpecError::new(
        Kind::Missing,
        format!("{place} does not say what layer it is"),
    );
    if fields.has("type") {
        return error.at(fields.key_span("type")).help(
            "write the type as the key: linear = 64 rather than type = \"linear\", units = 64",
        );
    }
    let near = fields.keys().find_map(|(key, span)| {
        nearest(key, kinds().chain(["activation"])).map(|name| (key, span, name))
    });
    match near {
        Some((key, span, name)) => SpecError::new(
            Kind::UnknownKey,
            format!("unknown key {} in {place}", quoted(key)),
        )
        .at(span)
        .label("unknown key")
        .help(format!("did you mean `{name}`?")),
        None => error
            .at(fields.span.clone())
            .label("no layer")
            .help(format!("expected {}", listed(kinds()))),
    }
}

fn read_kind(
    fields: &mut Fields<'_, '_>,
    repeated: bool,
    place: &str,
    defaults: &Defaults,
    depth: usize,
) -> Result<LayerKind> {
    let kind = kind_of(fields, repeated, place)?;
    let field = fields.need(kind, "a value")?;
    if let Some(layer) = sequence::read(kind, field, fields, defaults)? {
        return Ok(layer);
    }
    Ok(match kind {
        "linear" => LayerKind::Linear(Linear {
            units: field.size()?,
            tied: fields.get("tied").map(read_name).transpose()?,
            common: defaults.overridden(fields)?.common(),
        }),
        "conv" => LayerKind::Conv(read_conv(field, fields, defaults)?),
        "conv-transpose" => LayerKind::ConvTranspose(read_conv_transpose(field, fields, defaults)?),
        "adaptive-average-pool" => LayerKind::AdaptiveAveragePool(read_adaptive_pool(field)?),
        "upsample" => LayerKind::Upsample(read_upsample(field, fields)?),
        "max-pool" => LayerKind::Pool(read_pool(PoolKind::Max, field, fields)?),
        "average-pool" => LayerKind::Pool(read_pool(PoolKind::Average, field, fields)?),
        "global-average-pool" => {
            field.only_true()?;
            LayerKind::GlobalAveragePool
        }
        "flatten" => {
            field.only_true()?;
            LayerKind::Flatten
        }
        "reshape" => LayerKind::Reshape(read_reshape(field)?),
        "dropout" => {
            let accepts = |p: f64| (0.0..1.0).contains(&p);
            LayerKind::Dropout(field.number_that("a probability from 0 to below 1", accepts)?)
        }
        "batch-norm" => LayerKind::Norm(read_norm(NormKind::Batch, field, fields)?),
        "layer-norm" => LayerKind::Norm(read_norm(NormKind::Layer, field, fields)?),
        "rms-norm" => LayerKind::Norm(read_norm(NormKind::Rms, field, fields)?),
        "group-norm" => {
            let groups = field.size()?;
            LayerKind::Norm(norm_options(NormKind::Group(groups), fields)?)
        }
        "instance-norm" => LayerKind::Norm(read_norm(NormKind::Instance, field, fields)?),
        "lrn" => LayerKind::LocalResponseNorm(read_lrn(field, fields)?),
        "block" => LayerKind::Block(field.text("the name of a block under [blocks]")?.into()),
        "residual" => LayerKind::Residual(read_residual(
            field,
            fields,
            place,
            defaults,
            &|field, place| read_list(field, place, defaults, depth + 1),
        )?),
        // A group: its layers once, under its name.
        "layers" => LayerKind::Repeat(Repeat {
            times: 1,
            layers: read_list(field, &format!("{place}.layers"), defaults, depth + 1)?,
        }),
        "repeat" => LayerKind::Repeat(Repeat {
            times: read_times(field)?,
            layers: read_list(
                fields.need("layers", "the list of layers to repeat")?,
                &format!("{place}.layers"),
                defaults,
                depth + 1,
            )?,
        }),
        _ => match activation::read(field)? {
            Some(name) => LayerKind::Activation(name),
            None => LayerKind::Activation("identity".into()),
        },
    })
}

fn read_reshape(field: Field<'_, '_>) -> Result<Vec<i64>> {
    const EXPECTED: &str = "a list of extents without the batch, one of which may be -1";
    let extent = |element: Field<'_, '_>| match element.number()? {
        -1.0 => Ok(-1),
        _ => element.size().map(|size| size as i64),
    };
    let shape: Vec<i64> = field
        .elements(EXPECTED)?
        .map(extent)
        .collect::<Result<_>>()?;
    let free = shape.iter().filter(|&&extent| extent == -1).count();
    if shape.is_empty() || free > 1 || shape.len() > 8 {
        return Err(field.wrong_value(EXPECTED));
    }
    Ok(shape)
}
