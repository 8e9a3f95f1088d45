//! The JSON of a check. Its schema is documented in `docs/CHECK_JSON.md`.

use super::escape::SafeJson;
use crate::diagnose::{Diagnosis, Finding, Trend, Verdict};
use crate::import::onnx::FileNumbers;
use crate::measure::precision::PrecisionReport;
use crate::measure::{
    Batches, BesideTheory, FirstStep, Gains, HeadRun, InputRun, LayerMeasurement, Measurement,
    NonFiniteOrigin, Optimiser, OutputRun, ParameterRun, PathShare, RecurrenceRun, RunMeasurement,
    Signal, Spread, ZeroOrigin,
};
use crate::ops::Mode;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::io::{self, Write};

/// The name and version of the schema. The number rises when a field changes its meaning or goes;
/// new fields do not raise it.
pub const CHECK_SCHEMA: &str = "gradprobe.check/1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    network: &'a str,
    dtype: &'a str,
    mode: Mode,
    batch: usize,
    trainable: usize,
    file_numbers: Option<FileNumbers>,
    objective: &'a str,
    notes: &'a [String],
    draws_weights: bool,
    given_targets: bool,
    given_loss: bool,
    optimiser: Option<Optimiser>,
    seeds: Vec<u64>,
    loss: Option<f64>,
    loss_spread: Option<Spread>,
    verdict: Verdict,
    total_decades: Option<f64>,
    starts_at: Option<&'a str>,
    backward_trend: Option<Trend>,
    forward_trend: Option<Trend>,
    gains: Gains,
    layers: Vec<Layer<'a>>,
    findings: &'a [Finding],
    batches: Option<&'a Batches>,
    first_step: Option<FirstStep>,
    precision: &'a [PrecisionReport],
    theory: &'a BesideTheory,
    runs: Vec<Run<'a>>,
}

#[derive(Serialize)]
struct Layer<'a> {
    name: &'a str,
    kind: &'a str,
    on_spine: bool,
    forward_decades: Option<f64>,
    forward_decades_spread: Option<Spread>,
    backward_decades: Option<f64>,
    backward_decades_spread: Option<Spread>,
    decades_at_weights: Option<f64>,
    activation: Option<&'a str>,
    normalised: bool,
    saturated_fraction: Option<f64>,
    saturated_units_fraction: Option<f64>,
    dead_fraction: Option<f64>,
    flat_units_fraction: Option<f64>,
    dead_for_ever_fraction: Option<f64>,
    lost_rows_fraction: Option<f64>,
    sample_distance: Option<f64>,
    twin_units_fraction: Option<f64>,
    gradient_signal_to_noise: Option<f64>,
    paths: &'a [PathShare],
    over_time: &'a [RecurrenceRun],
    gains: Gains,
    forward: Signal,
    backward: Signal,
    pre_activation: Option<Signal>,
    #[serde(serialize_with = "by_name")]
    parameters: &'a [ParameterRun],
}

/// One seed's figures, without the parameters.
#[derive(Serialize)]
struct Run<'a> {
    seed: u64,
    loss: Option<f64>,
    backward_decades: Vec<Option<f64>>,
    forward_decades: Vec<Option<f64>>,
    input: Option<InputRun>,
    output: Option<OutputRun>,
    head: Option<&'a HeadRun>,
    zero_origin: Option<&'a ZeroOrigin>,
    non_finite_origin: Option<&'a NonFiniteOrigin>,
}

fn by_name<S: Serializer>(parameters: &[ParameterRun], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(parameters.len()))?;
    for parameter in parameters {
        map.serialize_entry(&parameter.name, parameter)?;
    }
    map.end()
}

/// Writes a check as JSON, with a line end.
///
/// # Errors
/// If the writer fails.
pub fn write_check_json(
    out: &mut dyn Write,
    measurement: &Measurement,
    diagnosis: &Diagnosis,
    theory: &BesideTheory,
) -> io::Result<()> {
    let document = Document {
        schema: CHECK_SCHEMA,
        network: &measurement.network,
        dtype: &measurement.dtype,
        mode: measurement.mode,
        batch: measurement.batch,
        trainable: measurement.trainable,
        file_numbers: measurement.file_numbers,
        objective: &measurement.objective,
        notes: &measurement.notes,
        draws_weights: measurement.draws_weights,
        given_targets: measurement.given_targets,
        given_loss: measurement.given_loss,
        optimiser: measurement.optimiser,
        seeds: measurement.runs.iter().map(|run| run.seed).collect(),
        loss: measurement.loss.map(|loss| loss.median),
        loss_spread: measurement.loss,
        verdict: diagnosis.verdict,
        total_decades: diagnosis.total_decades,
        starts_at: diagnosis.starts_at.as_deref(),
        backward_trend: diagnosis.backward,
        forward_trend: diagnosis.forward,
        gains: diagnosis.gains,
        layers: measurement.layers.iter().map(layer).collect(),
        findings: &diagnosis.findings,
        batches: measurement.batches.as_ref(),
        first_step: measurement.first_step,
        precision: &measurement.precision,
        theory,
        runs: measurement.runs.iter().map(run).collect(),
    };
    serde_json::to_writer_pretty(SafeJson(&mut *out), &document).map_err(io::Error::from)?;
    writeln!(out)
}

fn layer(layer: &LayerMeasurement) -> Layer<'_> {
    let median = &layer.median;
    Layer {
        name: &median.name,
        kind: &median.kind,
        on_spine: median.on_spine,
        forward_decades: median.forward_decades,
        forward_decades_spread: layer.forward_decades_spread,
        backward_decades: median.backward_decades,
        backward_decades_spread: layer.backward_decades_spread,
        decades_at_weights: median.decades_at_weights,
        activation: median.activation.as_deref(),
        normalised: median.normalised,
        saturated_fraction: median.saturated_fraction,
        saturated_units_fraction: median.saturated_units_fraction,
        dead_fraction: median.dead_fraction,
        flat_units_fraction: median.flat_units_fraction,
        dead_for_ever_fraction: median.dead_for_ever_fraction,
        lost_rows_fraction: median.lost_rows_fraction,
        sample_distance: median.sample_distance,
        twin_units_fraction: median.twin_units_fraction,
        gradient_signal_to_noise: median.gradient_signal_to_noise,
        paths: &median.paths,
        over_time: &median.over_time,
        gains: median.gains,
        forward: median.forward,
        backward: median.backward,
        pre_activation: median.pre_activation,
        parameters: &median.parameters,
    }
}

fn run(run: &RunMeasurement) -> Run<'_> {
    Run {
        seed: run.seed,
        loss: run.loss,
        backward_decades: run
            .layers
            .iter()
            .map(|layer| layer.backward_decades)
            .collect(),
        forward_decades: run
            .layers
            .iter()
            .map(|layer| layer.forward_decades)
            .collect(),
        input: run.input,
        output: run.output,
        head: run.head.as_ref(),
        zero_origin: run.zero_origin.as_ref(),
        non_finite_origin: run.non_finite_origin.as_ref(),
    }
}
