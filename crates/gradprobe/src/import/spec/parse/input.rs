//! `[input]`: a shape, made-up numbers or a data file.

use super::sequence::read_vocabulary;
use super::{hint_for_table, origin};
use crate::data::{Column, Header, Standardise, Synthetic};
use crate::import::spec::error::at;
use crate::import::spec::error::{SpecError, SpecErrorKind as Kind};
use crate::import::spec::reader::{Field, Fields, Result};
use crate::import::spec::specification::vocabulary;
use crate::import::spec::specification::{
    FileValues, Input, Layer, RowChoice, TargetColumn, Values,
};
use toml::de::DeValue;

/// The most axes a row may have.
const MOST_AXES: usize = 8;

pub(super) fn read(top: &mut Fields<'_, '_>) -> Result<Input> {
    let field = top.need(
        "input",
        "a shape or a data file, e.g. input = { shape = [784] }",
    )?;
    let origin = origin("[input]", field.span());
    // `input = 784` and `input = [1, 28, 28]` are short for a shape.
    if matches!(
        field.value.get_ref(),
        DeValue::Integer(_) | DeValue::Array(_)
    ) {
        return Ok(Input {
            shape: Some(read_shape(field)?),
            upscale: 1,
            values: Values::Synthetic(Synthetic::default()),
            origin,
        });
    }
    let mut fields = Fields::of(field, "[input]", "a table, a width or a shape")?;
    let shape = fields.get("shape").map(read_shape).transpose()?;
    let upscale = fields
        .get("upscale")
        .map(|field| field.whole(1, 64))
        .transpose()?;
    let values = match fields.get("data") {
        Some(file) => Values::File(read_file(file, &mut fields)?),
        None => {
            if shape.is_none() {
                let message = "[input] needs `shape` or `data`";
                return Err(SpecError::new(Kind::Missing, message)
                    .at(fields.span.clone())
                    .label("neither is here")
                    .help("write shape = [784], or data = \"file.csv\""));
            }
            let values = fields.get("values").map(read_synthetic).transpose()?;
            Values::Synthetic(values.unwrap_or_default())
        }
    };
    let is_file = matches!(values, Values::File(_));
    fields.finish_with(|key| hint(key, is_file).or_else(|| hint_for_table(key)))?;
    Ok(Input {
        shape,
        upscale: upscale.unwrap_or(1) as usize,
        values,
        origin,
    })
}

/// The input with what its token ids stay below, where the embedding has to say it.
pub(super) fn with_vocabulary(mut input: Input, layers: &[Layer]) -> Result<Input> {
    if let Values::Synthetic(Synthetic::Ids { below: below @ 0 }) = &mut input.values {
        let Some(tokens) = vocabulary(layers) else {
            let message = "`ids` needs a vocabulary, and there is no embedding that has one";
            return Err(at(SpecError::new(Kind::Missing, message), &input.origin)
                .help("write values = { name = \"ids\", vocabulary = 65 }"));
        };
        *below = tokens;
    }
    Ok(input)
}

/// Keys that have a meaning only with, or only without, a data file.
fn hint(key: &str, is_file: bool) -> Option<String> {
    let key = crate::import::spec::reader::normalised(key);
    match (key.as_str(), is_file) {
        ("values", true) => Some("`values` and `data` exclude each other".into()),
        ("target" | "header" | "delimiter" | "standardise" | "scale" | "rows", false) => {
            Some("it needs a file: data = \"file.csv\"".into())
        }
        _ => None,
    }
}

fn read_shape(field: Field<'_, '_>) -> Result<Vec<usize>> {
    const EXPECTED: &str = "a width or a list of extents without the batch, e.g. [1, 28, 28]";
    if !field.value.get_ref().is_array() {
        return Ok(vec![match field.value.get_ref() {
            DeValue::Integer(_) => field.size()?,
            _ => return Err(field.wrong_type(EXPECTED)),
        }]);
    }
    let shape: Vec<usize> = field
        .elements(EXPECTED)?
        .map(|extent| extent.size())
        .collect::<Result<_>>()?;
    if shape.is_empty() || shape.len() > MOST_AXES {
        return Err(field.wrong_value(&format!("1 to {MOST_AXES} extents")));
    }
    Ok(shape)
}

fn read_synthetic(field: Field<'_, '_>) -> Result<Synthetic> {
    const NAMES: &[(&str, &str)] = &[
        ("normal", "normal"),
        ("uniform", "uniform"),
        ("constant", "constant"),
        ("one-hot", "one-hot"),
        ("ids", "ids"),
    ];
    const EXPECTED: &str = "a number, or one of `normal`, `uniform`, `one-hot` and `ids`";
    match field.value.get_ref() {
        DeValue::Integer(_) | DeValue::Float(_) => {
            return Ok(Synthetic::Constant {
                value: field.number()?,
            });
        }
        DeValue::String(_) => {
            return match field.word(NAMES)? {
                "normal" => Ok(Synthetic::default()),
                "uniform" => Ok(Synthetic::Uniform {
                    low: 0.0,
                    high: 1.0,
                }),
                "one-hot" => Ok(Synthetic::OneHot),
                "ids" => Ok(Synthetic::Ids { below: 0 }),
                _ => Err(field
                    .wrong_value(EXPECTED)
                    .help("a constant is written as the number itself: values = 100")),
            };
        }
        _ => {}
    }
    let mut fields = Fields::of(field, "`values`", EXPECTED)?;
    let name = fields.need(
        "name",
        "`normal`, `uniform`, `constant`, `one-hot` or `ids`",
    )?;
    let mut number = |key, default| match fields.get(key) {
        Some(field) => field.number(),
        None => Ok(default),
    };
    let synthetic = match name.word(NAMES)? {
        "normal" => Synthetic::Normal {
            mean: number("mean", 0.0)?,
            std: number("std", 1.0)?,
        },
        "uniform" => Synthetic::Uniform {
            low: number("low", 0.0)?,
            high: number("high", 1.0)?,
        },
        "constant" => Synthetic::Constant {
            value: fields.need("value", "a number")?.number()?,
        },
        "ids" => Synthetic::Ids {
            below: match fields.get("vocabulary") {
                Some(field) => read_vocabulary(field)?,
                None => 0,
            },
        },
        _ => Synthetic::OneHot,
    };
    let refused = match synthetic {
        Synthetic::Normal { std, .. } if std < 0.0 => Some("a standard deviation of at least 0"),
        Synthetic::Uniform { low, high } if !(low < high && (high - low).is_finite()) => {
            Some("`low` below `high`")
        }
        _ => None,
    };
    if let Some(expected) = refused {
        return Err(field.wrong_value(expected));
    }
    fields.finish()?;
    Ok(synthetic)
}

fn read_file(file: Field<'_, '_>, fields: &mut Fields<'_, '_>) -> Result<FileValues> {
    let path = file.text("the name of a file")?;
    if path.is_empty() || path.contains('\0') {
        return Err(file.wrong_value("the name of a file"));
    }
    let target = fields.get("target");
    let target_origin = target.map(|field| origin("target", field.span()));
    let target = target.map(read_target).transpose()?;
    let header = fields.get("header").map(read_header).transpose()?;
    let delimiter = fields.get("delimiter").map(read_delimiter).transpose()?;
    let standardise = read_standardise(fields)?;
    const ROWS: &[(&str, RowChoice)] =
        &[("random", RowChoice::Random), ("first", RowChoice::First)];
    let rows = fields
        .get("rows")
        .map(|field| field.word(ROWS))
        .transpose()?;
    Ok(FileValues {
        path: path.into(),
        target: target.unwrap_or(TargetColumn::Auto),
        header: header.unwrap_or_default(),
        delimiter,
        standardise,
        rows: rows.unwrap_or_default(),
        origin: origin("data", file.span()),
        target_origin,
    })
}

/// `"last"`, `"first"`, `"none"`, a number from 1, or a name of the header.
fn read_target(field: Field<'_, '_>) -> Result<TargetColumn> {
    if let DeValue::Integer(_) = field.value.get_ref() {
        return Ok(TargetColumn::Column(Column::Number(field.size()?)));
    }
    let text = field.text("a column's number from 1, its name, `last`, `first` or `none`")?;
    Ok(match text {
        "none" => TargetColumn::None,
        "last" => TargetColumn::Column(Column::Last),
        "first" => TargetColumn::Column(Column::First),
        name => TargetColumn::Column(Column::Name(name.into())),
    })
}

/// `true`, `false` or `"auto"`.
fn read_header(field: Field<'_, '_>) -> Result<Header> {
    match field.value.get_ref() {
        DeValue::Boolean(true) => Ok(Header::Yes),
        DeValue::Boolean(false) => Ok(Header::No),
        DeValue::String(text) if text == "auto" => Ok(Header::Auto),
        _ => Err(field.wrong_type("`true`, `false` or \"auto\"")),
    }
}

fn read_delimiter(field: Field<'_, '_>) -> Result<char> {
    const EXPECTED: &str = "one ASCII character, e.g. \";\"";
    let mut chars = field.text(EXPECTED)?.chars();
    match (chars.next(), chars.next()) {
        (Some(one), None) if one.is_ascii() && !matches!(one, '\n' | '\r' | '"') => Ok(one),
        _ => Err(field.wrong_value(EXPECTED)),
    }
}

fn read_standardise(fields: &mut Fields<'_, '_>) -> Result<Standardise> {
    const WORDS: &[(&str, Standardise)] = &[
        ("none", Standardise::None),
        ("global", Standardise::Global),
        ("per-feature", Standardise::PerFeature),
    ];
    let by_statistics = fields.get_either("standardise", "standardize");
    let by_statistics = by_statistics.map(|field| field.word(WORDS)).transpose()?;
    let factor = fields
        .get("scale")
        .map(|field| field.number())
        .transpose()?;
    match (by_statistics, factor) {
        (Some(_), Some(_)) => {
            let message = "`standardise` and `scale` exclude each other";
            Err(SpecError::new(Kind::Value, message).at(fields.key_span("scale")))
        }
        (None, Some(factor)) => Ok(Standardise::Scale(factor)),
        (words, None) => Ok(words.unwrap_or_default()),
    }
}
