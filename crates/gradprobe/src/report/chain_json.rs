//! A chain's report as JSON, schema `gradprobe.chain/1` (docs/CHAIN.md).
//!
//! Written as it goes, a gradient at a time, so that a million layers need no document in memory.
//! Numbers are written so that they read back the same; an infinity or NaN is the string `"inf"`,
//! `"-inf"` or `"nan"`, because JSON has no number for them.

use crate::diagnose::ZeroCause;
use crate::diagnose::chain::{
    Autograd, Blocker, Conclusion, Examination, LossFactor, RemedyKind, Tendency,
};
use crate::num::Extended;
use crate::theory::ExactGradient;
use serde_json::{Map, Value, json};
use std::io::{self, Write};

/// The schema's name and version.
pub const CHAIN_SCHEMA: &str = "gradprobe.chain/1";

/// What the JSON includes.
#[derive(Clone, Copy, Debug)]
pub struct ChainJsonOptions {
    /// With every gradient its layer's factors, whatever the depth.
    pub full: bool,
}

/// Layers up to which factors are written without being asked for.
const FACTORED_DEPTH: usize = 10_000;
/// Significant digits of exact numbers.
const DIGITS: usize = 18;

/// Writes the report of some chains, each as it comes.
///
/// # Errors
/// If the writer fails.
pub fn write_chain_json(
    out: &mut dyn Write,
    runs: impl Iterator<Item = Examination>,
    options: &ChainJsonOptions,
) -> io::Result<()> {
    write!(out, "{{\"schema\":\"{CHAIN_SCHEMA}\",\"runs\":[")?;
    for (index, run) in runs.enumerate() {
        if index > 0 {
            write!(out, ",")?;
        }
        write_run(out, &run, options)?;
    }
    writeln!(out, "]}}")
}

/// A number, or the name of what is none.
fn number(value: f64) -> Value {
    if value.is_finite() {
        json!(value)
    } else {
        json!(value.to_string().to_lowercase())
    }
}

fn write_run(out: &mut dyn Write, run: &Examination, options: &ChainJsonOptions) -> io::Result<()> {
    let chain = &run.chain;
    let output = run.exact.output();
    write!(
        out,
        "\n{{\"activation\":{},\"depth\":{},\"x\":{},",
        json!(chain.activation().label()),
        chain.depth(),
        number(chain.x())
    )?;
    write_list(out, "w", chain.depth(), |layer| chain.weights().of(layer))?;
    write_list(out, "b", chain.depth(), |layer| chain.biases().of(layer))?;
    write!(
        out,
        "\"output\":{},\"output_exact\":{},\n\"gradients\":[",
        number(
            crate::num::Real::select(output.digits() > 0, output.value, Extended::ZERO).to_f64()
        ),
        exact_text(&output)
    )?;
    let factors = options.full || chain.depth() <= FACTORED_DEPTH;
    for layer in 1..=chain.depth() {
        if layer > 1 {
            write!(out, ",")?;
        }
        let mut row = gradient(run, layer);
        row.insert("at_kink".into(), json!(run.at_kink(layer)));
        if factors {
            row.insert("factors".into(), layer_factors(run, layer));
        }
        writeln!(out)?;
        serde_json::to_writer(&mut *out, &row)?;
    }
    write!(out, "],\n\"input_gradient\":")?;
    serde_json::to_writer(&mut *out, &gradient(run, 0))?;
    write!(out, ",\n\"autograd\":{},", autograd(&run.autograd))?;
    write!(out, "\n\"conclusion\":{}}}", conclusion(run))
}

fn write_list(
    out: &mut dyn Write,
    name: &str,
    depth: usize,
    value: impl Fn(usize) -> f64,
) -> io::Result<()> {
    write!(out, "\"{name}\":[")?;
    for layer in 1..=depth {
        if layer > 1 {
            write!(out, ",")?;
        }
        serde_json::to_writer(&mut *out, &value(layer))?;
    }
    write!(out, "],")
}

/// The digits that hold, or null where none does.
fn exact_text(gradient: &ExactGradient) -> Value {
    match gradient.digits() {
        0 => Value::Null,
        _ => json!(gradient.to_decimal()),
    }
}

/// Layer 0 is the input.
fn gradient(run: &Examination, layer: usize) -> Map<String, Value> {
    let exact = run.exact.gradient(layer);
    let known = exact.digits() > 0;
    let mut row = Map::new();
    if layer > 0 {
        row.insert("layer".into(), json!(layer));
    }
    let sign = known.then(|| exact.value.sign());
    row.insert("sign".into(), json!(sign));
    let log10 = (known && !exact.value.is_zero() && !exact.value.out_of_range())
        .then(|| exact.value.log10_abs());
    row.insert("log10_abs".into(), json!(log10));
    row.insert("exact".into(), exact_text(exact));
    row.insert("digits".into(), json!(exact.digits()));
    let mut causes = Map::new();
    for column in &run.columns {
        let name = column.float.dtype().name();
        row.insert(name.into(), number(column.float.gradient(layer)));
        let cause = column.zero_cause(layer).map(ZeroCause::name);
        causes.insert(name.into(), json!(cause));
    }
    row.insert("zero_cause".into(), Value::Object(causes));
    if let Autograd::Ran { gradients, .. } = &run.autograd {
        // The engine's f64 has 17 digits.
        row.insert("autograd".into(), json!(gradients[layer].to_decimal(17)));
    }
    row
}

/// The numbers of a layer that gradients are products of.
fn layer_factors(run: &Examination, layer: usize) -> Value {
    let at = &run.exact.layers()[layer - 1];
    let text = |value: Extended| value.to_decimal(DIGITS);
    json!({
        "pre_activation": text(at.pre_activation),
        "output": text(at.output),
        "derivative": text(at.derivative),
        "at_kink": at.at_kink,
    })
}

fn autograd(autograd: &Autograd) -> Value {
    match autograd {
        Autograd::Ran {
            difference, unheld, ..
        } => json!({
            "status": "ran",
            "dtype": "f64",
            "largest_relative_difference": difference.map(|found| number(found.relative)),
            "layer": difference.map(|found| found.layer),
            "unheld_from_layer": unheld,
        }),
        Autograd::TooDeep { limit } => json!({ "status": "too_deep", "limit": limit }),
        Autograd::Failed { reason } => json!({ "status": "failed", "reason": reason }),
    }
}

fn conclusion(run: &Examination) -> Value {
    let found: &Conclusion = &run.conclusion;
    let (tendency, blocker) = match found.tendency {
        Tendency::Steady => ("steady", None),
        Tendency::Vanishes => ("vanishes", None),
        Tendency::Explodes => ("explodes", None),
        Tendency::Unknown => ("unknown", None),
        Tendency::Zero(blocker) => ("zero", Some(blocker)),
    };
    let factor_name = |factor: LossFactor| match factor {
        LossFactor::Activation => "activation",
        LossFactor::Weight => "weight",
        LossFactor::Input => "input",
    };
    json!({
        "tendency": tendency,
        "zero_at": blocker.map(|blocker| match blocker {
            Blocker::Activation(layer) => json!({ "factor": "activation", "layer": layer }),
            Blocker::Weight(layer) => json!({ "factor": "weight", "layer": layer }),
            Blocker::Input => json!({ "factor": "input", "layer": null }),
        }),
        "decades_lost": found.decades_lost(),
        "split": found.split.map(|split| json!({
            "activation": split.activation,
            "weight": split.weight,
            "input": split.input,
        })),
        "factor_per_layer": found.per_layer.map(number),
        "dominant": found.dominant.map(|dominant| json!({
            "factor": factor_name(dominant.factor),
            "decades": dominant.decades,
            "layer": dominant.layer.map(|(layer, _)| layer),
            "layer_decades": dominant.layer.map(|(_, decades)| decades),
        })),
        "saturated_layers": found.saturation.layers,
        "first_saturated_layer": found.saturation.first,
        "remedies": found.remedies.iter().map(|remedy| {
            let (kind, value) = match &remedy.kind {
                RemedyKind::Input(x) => ("input", json!(x)),
                RemedyKind::Activation(name) => ("activation", json!(name)),
                RemedyKind::Weight(w) => ("weight", json!(w)),
            };
            json!({
                "change": kind,
                "to": value,
                "log10_abs_first": remedy.first_log10,
                "decades_lost": remedy.decades_lost,
                "cures": remedy.cures,
                "helps": remedy.helps,
            })
        }).collect::<Vec<_>>(),
    })
}
