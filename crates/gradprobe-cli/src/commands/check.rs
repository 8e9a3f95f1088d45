//! `gradprobe check`: runs a network with every signal measured and judges what was measured.

use super::baseline_arguments::BaselineArguments;
use super::network_arguments::NetworkArguments;
use super::onnx_arguments::OnnxArguments;
use super::rule_arguments::RuleSelectionArguments;
use crate::fail_on::FailOn;
use crate::failure::Failure;
use crate::output::OutputArguments;
use crate::talk::{Progress, Times, say};
use clap::{Args, ValueEnum};
use gradprobe::check::{Check, Resources, check_by};
use gradprobe::diagnose::Rule;
use gradprobe::import::onnx::TensorVerdict;
use gradprobe::measure::precision::PrecisionOptions;
use gradprobe::report::{
    CheckTextOptions, FindingSource, JudgedFinding, escape, write_check_json, write_check_text,
    write_check_theory, write_junit, write_sarif,
};
use gradprobe::run::Checkpoint;
use gradprobe::run::emulated::Precision;
use std::process::ExitCode;

/// Run a network forward and backward and find where its gradients vanish or explode
///
/// The network is a TOML file (`gradprobe init` writes one to start from) or an ONNX model, for
/// which inputs and loss are chosen, and said. Layer by layer the table shows the forward and the backward signal in decades (powers of ten, relative to the last
/// layer), the size of the weight's gradient, the share of saturated outputs and dead units, and
/// what each layer's weights and activation add to the backward signal.
///
/// Exit status: 0 if no finding reaches `--fail-on`, 1 if one does, 2 on bad input.
#[derive(Debug, Args)]
pub struct CheckArguments {
    #[command(flatten)]
    network: NetworkArguments,
    /// How the result is written
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    output: OutputArguments,
    /// The least severity of a finding that makes the exit status 1
    #[arg(long, value_enum, default_value = "error", value_name = "SEVERITY")]
    fail_on: FailOn,
    #[command(flatten)]
    baseline: BaselineArguments,
    /// Also run the network as a framework would in these types, and say what becomes of the
    /// gradient: f64, f32, bf16, f16, e5m2, e4m3, autocast-bf16, autocast-f16 (docs/PRECISION.md)
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    precision: Vec<Precision>,
    /// What the loss is multiplied by in these types (default: 1; autocast-f16: where PyTorch's
    /// dynamic scaler is after its first steps)
    #[arg(long, value_name = "FACTOR", value_parser = loss_scale, requires = "precision")]
    loss_scale: Option<f64>,
    /// Threads to use; the result does not depend on it (default: one a core)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Keep only what passes between segments of the network and compute the rest again: less
    /// memory, a third more time, the same result. About √n segments of n steps, or so many
    #[arg(
        long,
        value_name = "SEGMENTS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "root",
        value_parser = parse_checkpoint
    )]
    checkpoint: Option<Checkpoint>,
    /// Show every layer, however many there are
    #[arg(long)]
    all_layers: bool,
    /// Say on stderr what each tensor of the file is taken for and why, how long each step took, and
    /// the peak of resident memory
    #[arg(short, long, conflicts_with = "quiet")]
    verbose: bool,
    /// Say nothing but the result and mistakes: no progress
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    rules: RuleSelectionArguments,
    // Last, for its heading goes on to the end.
    #[command(flatten)]
    onnx: OnnxArguments,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// A table and the verdict, for people
    #[default]
    Text,
    /// Everything, by a documented and versioned schema (docs/CHECK_JSON.md)
    Json,
    /// The findings in SARIF 2.1.0, for code scanning (docs/CI.md)
    Sarif,
    /// The findings as JUnit XML, for CI servers
    Junit,
}

impl CheckArguments {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let mut times = Times::new(self.verbose);
        let baseline = self.baseline.read()?;
        let network = self.network.read(&self.onnx)?;
        let rules = self.rules.rules(self.network.file(), &*network)?;
        let seeds = network.seeds().to_vec();
        times.step(format_args!("read and planned"));
        if self.verbose {
            say_tensors(network.tensors());
        }
        let mut progress = Progress::new("seed", seeds.len(), !self.quiet && !self.verbose);
        let precision = PrecisionOptions {
            precisions: self.precision,
            loss_scale: self.loss_scale,
        };
        let resources = Resources {
            threads: self.threads.map_or(0, usize::from),
            checkpoint: self.checkpoint.unwrap_or_default(),
        };
        let checked = check_by(&rules, &*network, resources, &precision, &mut |done| {
            progress.show(done);
            times.step(format_args!("built and ran seed {}", seeds[done - 1]));
        });
        drop(progress);
        times.step(format_args!("judged"));
        let Check {
            measurement,
            diagnosis,
            theory,
        } = checked.map_err(|error| self.network.failure(&error))?;
        let options = CheckTextOptions {
            colour: self.output.colour(),
            width: self.output.width(),
            all_layers: self.all_layers,
        };
        let findings = &diagnosis.findings;
        let known = baseline.known(&measurement.network, findings);
        let judged: Vec<JudgedFinding<'_>> = findings
            .iter()
            .enumerate()
            .map(|(index, finding)| {
                let known = known.as_ref().map(|known| known[index]);
                let fails = known != Some(true) && self.fail_on.includes(finding.severity);
                JudgedFinding {
                    finding,
                    known,
                    fails,
                }
            })
            .collect();
        let source = match self.format {
            Format::Sarif | Format::Junit => self.network.finding_source(&*network)?,
            Format::Text | Format::Json => FindingSource::default(),
        };
        baseline.write(&measurement.network, findings)?;
        self.output.write(|out| match self.format {
            Format::Text => {
                write_check_text(out, &measurement, &diagnosis, &options)?;
                write_check_theory(out, &theory, options.width)?;
                self.baseline
                    .sentence(&judged)
                    .map_or(Ok(()), |text| writeln!(out, "{text}"))
            }
            Format::Json => write_check_json(out, &measurement, &diagnosis, &theory),
            Format::Sarif => write_sarif(out, &judged, &source),
            Format::Junit => {
                let looked = rules.active().filter(|rule| rule.looks_at(&measurement));
                write_junit(out, &judged, &looked.collect::<Vec<&Rule>>(), &source)
            }
        })?;
        times.step(format_args!("written"));
        times.end();
        let fails = judged.iter().any(|one| one.fails);
        Ok(ExitCode::from(u8::from(fails)))
    }
}

/// What every tensor of a file is taken for.
fn say_tensors(tensors: &[TensorVerdict]) {
    for tensor in tensors {
        say(format_args!(
            "{}: {} numbers, {}: {}",
            escape(&tensor.name),
            tensor.elements,
            tensor.status,
            escape(&tensor.reason)
        ));
    }
}

/// A loss scale: a positive number that f32 holds.
fn loss_scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if scale >= f64::from(f32::MIN_POSITIVE) && scale <= f64::from(f32::MAX) => {
            Ok(scale)
        }
        _ => Err("expected a number from 1.2e-38 to 3.4e38".into()),
    }
}

fn parse_checkpoint(text: &str) -> Result<Checkpoint, String> {
    match text.parse::<usize>() {
        Ok(count @ 1..) => Ok(Checkpoint::Segments(count)),
        _ if text == "root" => Ok(Checkpoint::Root),
        _ => Err("expected a number of segments of at least 1".into()),
    }
}
