//! From text to a [`Specification`].

mod activation;
mod defaults;
mod initialiser;
mod input;
mod layers;
mod norm;
mod objective;
mod residual;
mod rules;
mod sequence;
mod windows;

use super::blocks;
use super::error::{SpecError, SpecErrorKind as Kind};
use super::memory::parse_bytes;
use super::reader::{Field, Fields, Result};
use super::source::Source;
use super::specification::{Dtype, Specification};
use crate::graph::Origin;
use crate::ops::Mode;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The longest specification that is read.
const LONGEST_TEXT: u64 = 1 << 24;
/// Rows in a batch unless said otherwise.
const DEFAULT_BATCH: usize = 64;
/// Seeds unless said otherwise.
const DEFAULT_SEEDS: u64 = 3;
/// The most seeds.
const MOST_SEEDS: u64 = 10_000;

/// The keys of the top of the file.
const TOP_KEYS: &[&str] = &[
    "name",
    "layers",
    "input",
    "defaults",
    "blocks",
    "loss",
    "optimiser",
    "batch",
    "seed",
    "seeds",
    "mode",
    "dtype",
    "max_memory",
    "rules",
];

impl Specification {
    /// Reads and parses a file.
    pub fn read(path: &Path) -> std::result::Result<Self, SpecError> {
        Self::parse_from(read_source(path)?)
    }

    /// Parses a text. Data files are sought from the current folder on.
    pub fn parse(text: &str) -> std::result::Result<Self, SpecError> {
        Self::parse_from(Source {
            path: None,
            text: text.into(),
        })
    }

    fn parse_from(source: Source) -> std::result::Result<Self, SpecError> {
        let text = Arc::clone(&source.text);
        let parsed = parse_text(&text);
        match parsed {
            Ok(mut specification) => {
                specification.rules.source = source.clone();
                Ok(Self {
                    source,
                    ..specification
                })
            }
            Err(error) => Err(source.blame(error)),
        }
    }
}

/// Reads the text of a file.
pub(super) fn read_source(path: &Path) -> Result<Source> {
    let with_path = |mut error: SpecError| {
        error.path = Some(path.to_path_buf());
        error
    };
    let unreadable = |reason: String| {
        with_path(SpecError::new(
            Kind::Unreadable,
            format!("cannot read the file: {reason}"),
        ))
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST_TEXT + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(crate::data::reason(&error)))?;
    if bytes.len() as u64 > LONGEST_TEXT {
        return Err(unreadable(format!(
            "it is longer than {LONGEST_TEXT} bytes"
        )));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = &error.as_bytes()[..valid];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        unreadable(format!("line {line} is not UTF-8 text"))
    })?;
    Ok(Source {
        path: Some(path.to_path_buf()),
        text: text.into(),
    })
}

/// A place in the text.
fn origin(place: impl Into<String>, span: Range<usize>) -> Origin {
    Origin {
        place: place.into(),
        span: Some(span),
    }
}

/// The table that a text is.
pub(super) fn root_of(text: &str) -> Result<Spanned<DeTable<'_>>> {
    DeTable::parse(text).map_err(|error| {
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        let syntax = SpecError::new(Kind::Syntax, message);
        match error.span() {
            Some(span) => syntax.at(span),
            None => syntax,
        }
    })
}

fn parse_text(text: &str) -> Result<Specification> {
    let root = root_of(text)?;
    // An error about the whole file points to its beginning.
    let mut top = Fields::new("the file", 0..0, root.get_ref())?;
    let name = top
        .get("name")
        .map(|field| field.text("a string"))
        .transpose()?;
    let defaults = defaults::Defaults::read(top.get("defaults"))?;
    let input = input::read(&mut top)?;
    let listed = top.need("layers", "a list such as [{ linear = 10 }]");
    let listed = listed.map_err(|error| match top.holder_of("layers") {
        // TOML gives whatever follows a [table] to that table.
        Some((table, span)) => {
            let message = format!("`layers` stands under [{table}]");
            SpecError::new(Kind::Missing, message)
                .at(span)
                .label(format!("TOML reads this as {table}.layers"))
                .help("move it above the first [table]")
        }
        None => error,
    })?;
    let layers = layers::read_list(listed, "layers", &defaults, 0)?;
    let input = input::with_vocabulary(input, &layers)?;
    let blocks = layers::read_blocks(top.get("blocks"), &defaults)?;
    blocks::check(&layers, &blocks)?;
    let loss = objective::read_loss(top.get("loss"))?;
    let optimiser = objective::read_optimiser(top.get_either("optimiser", "optimizer"))?;
    let batch = top.get("batch").map(|field| field.size()).transpose()?;
    let seeds = read_seeds(&mut top)?;
    let mode = top.get("mode").map(|field| field.word(MODES)).transpose()?;
    let dtype = top
        .get("dtype")
        .map(|field| field.word(DTYPES))
        .transpose()?;
    let max_memory = top.get("max_memory").map(parse_bytes).transpose()?;
    let rules = rules::read_rules(top.get("rules"))?;
    top.finish_with(hint_for_top)?;
    Ok(Specification {
        name: name.map(str::to_owned),
        input,
        layers,
        blocks,
        loss,
        optimiser,
        batch: batch.unwrap_or(DEFAULT_BATCH),
        seeds,
        mode: mode.unwrap_or_default(),
        dtype: dtype.unwrap_or_default(),
        max_memory,
        rules,
        source: Source::default(),
    })
}

const MODES: &[(&str, Mode)] = &[("train", Mode::Train), ("eval", Mode::Eval)];
const DTYPES: &[(&str, Dtype)] = &[
    ("f32", Dtype::F32),
    ("f64", Dtype::F64),
    ("float32", Dtype::F32),
    ("float64", Dtype::F64),
];

/// Where a key belongs that stands at the top by mistake.
fn hint_for_top(key: &str) -> Option<String> {
    let key = super::reader::normalised(key);
    let table = match key.as_str() {
        "shape" | "data" | "standardise" | "target" | "header" => "[input]",
        "activation" | "init" | "bias" | "norm" => "[defaults]",
        "learning-rate" | "lr" | "momentum" | "weight-decay" => "[optimiser]",
        "classes" | "targets" => "[loss]",
        "select" | "ignore" | "profile" => "[rules]",
        _ => return None,
    };
    Some(format!("it belongs under {table}"))
}

/// What to say where a key of the top of the file stands in a table.
fn hint_for_table(key: &str) -> Option<String> {
    let key = super::reader::normalised(key);
    let top = TOP_KEYS
        .iter()
        .find(|top| super::reader::normalised(top) == key)?;
    Some(format!(
        "`{top}` belongs at the top of the file, above the first [table]"
    ))
}

/// `seed` is the first seed; `seeds` how many follow each other, or a list of them.
fn read_seeds(top: &mut Fields<'_, '_>) -> Result<Vec<u64>> {
    let most = i64::MAX as u64 - MOST_SEEDS;
    let first = top
        .get("seed")
        .map(|field| field.whole(0, most))
        .transpose()?;
    let Some(field) = top.get("seeds") else {
        let first = first.unwrap_or(0);
        return Ok((first..first + DEFAULT_SEEDS).collect());
    };
    if let DeValue::Array(array) = field.value.get_ref() {
        if first.is_some() {
            let message = "`seed` and a list of `seeds` exclude each other";
            return Err(SpecError::new(Kind::Value, message).at(top.key_span("seed")));
        }
        if array.is_empty() || array.len() as u64 > MOST_SEEDS {
            return Err(field.wrong_value(&format!("1 to {MOST_SEEDS} seeds")));
        }
        let seed = |value| Field { value, ..field }.whole(0, most);
        return array.iter().map(seed).collect();
    }
    let count = field.whole(1, MOST_SEEDS)?;
    let first = first.unwrap_or(0);
    Ok((first..first + count).collect())
}
