//! `gradprobe theory`: what signal propagation theory predicts, and what the engine measures.

use super::theory_grid::{self, GridOutcome};
use crate::failure::Failure;
use crate::output::OutputArguments;
use crate::talk::Progress;
use clap::{Args, ValueEnum};
use gradprobe::diagnose::experiment::{
    CaseResult, Comparison, Experiment, GridSettings, Normalisation, PublishedExperiment, compare,
    published,
};
use gradprobe::init::calculate_gain;
use gradprobe::ops::activation::{Activation, parse};
use gradprobe::report::{
    PhaseDiagram, TheoryAnswer, png, write_experiments_text, write_theory_json, write_theory_text,
};
use gradprobe::theory::isometry::WeightEnsemble;
use gradprobe::theory::mean_field::{BiasVariance, WeightVariance};
use gradprobe::theory::outlook::{Outlook, Question};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

/// Predict what becomes of signals and gradients in deep networks, and measure it
///
/// For dense layers of one activation: the critical gain and the class of the activation, what the
/// gains in use do (PyTorch's calculate_gain, He's √2, LeCun's 1), how many layers the gradient
/// survives, its spread at finite width, and the rates with batch norm, layer norm and skip
/// connections. σ_w is a gain: the weights' standard deviation times √fan_in; σ_w² is another
/// argument, and σ_b likewise.
///
/// With --measure networks are drawn and run, and what was measured stands beside; with
/// --phase-diagram and --grid they are over a grid of σ_w by σ_b; with --experiment published
/// experiments are repeated.
///
/// Exit status: 0, or 1 if a measured figure lies outside its band, 2 on bad input, 130 if a grid is
/// interrupted.
#[derive(Debug, Args)]
pub struct TheoryArguments {
    /// An activation by name, with its parameter (leaky-relu=0.2), or an expression in x; may be
    /// repeated [default: tanh]
    #[arg(short, long, value_name = "NAME|EXPRESSION", value_parser = activation)]
    activation: Vec<Arc<dyn Activation>>,
    /// σ_w, a gain: the weights' standard deviation times √fan_in
    #[arg(long, value_name = "GAIN", value_parser = positive, allow_negative_numbers = true, conflicts_with = "sigma_w_squared")]
    sigma_w: Option<f64>,
    /// σ_w²: the weights' variance times fan_in
    #[arg(long, value_name = "VARIANCE", value_parser = positive, allow_negative_numbers = true)]
    sigma_w_squared: Option<f64>,
    /// σ_b: the biases' standard deviation [default: 0]
    #[arg(long, value_name = "DEVIATION", value_parser = not_negative, allow_negative_numbers = true, conflicts_with = "sigma_b_squared")]
    sigma_b: Option<f64>,
    /// σ_b²: the biases' variance
    #[arg(long, value_name = "VARIANCE", value_parser = not_negative, allow_negative_numbers = true)]
    sigma_b_squared: Option<f64>,
    /// Layers
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    depth: u32,
    /// Units a layer
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(2..=65_536))]
    width: u32,
    /// Rows of a batch: for batch norm, and for what is measured
    #[arg(long, default_value_t = 16, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: u32,
    /// Draw networks and measure them, with every gain of the table
    #[arg(long)]
    measure: bool,
    /// Networks to draw [default: 20; of a grid 1 at each point]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    networks: Option<u32>,
    /// How the weights of the measured networks are drawn
    #[arg(long, value_enum, default_value_t, value_name = "ENSEMBLE")]
    init: InitArgument,
    /// Normalisation before each activation of the measured networks
    #[arg(long, value_enum, default_value_t, value_name = "NORM")]
    norm: NormArgument,
    /// Draw a phase diagram, σ_w by σ_b with the edge of chaos, into a file: `….svg` or `….png`
    #[arg(long, value_name = "FILE")]
    phase_diagram: Option<PathBuf>,
    /// Measure the phase diagram too: networks at N by M points (20x20 if no number is given).
    /// Ctrl-C leaves what is finished in `FILE.partial`, and the same command goes on from there
    #[arg(long, value_name = "NxM", num_args = 0..=1, default_missing_value = "20x20", value_parser = grid_points, requires = "phase_diagram")]
    grid: Option<[usize; 2]>,
    /// Repeat a published experiment instead; may be repeated
    #[arg(long, value_name = "NAME", value_parser = experiment_names(), conflicts_with_all = ["activation", "measure", "phase_diagram", "sigma_w", "sigma_w_squared", "sigma_b", "sigma_b_squared", "init", "grid"])]
    experiment: Vec<String>,
    /// How the result is written
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    output: OutputArguments,
    /// Threads to use; the result does not depend on it (default: one a core)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Say nothing but the result and mistakes: no progress
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// Tables, for people
    #[default]
    Text,
    /// Everything, by a documented and versioned schema (docs/THEORY.md)
    Json,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum NormArgument {
    /// None
    #[default]
    None,
    /// Batch norm
    Batch,
    /// Layer norm
    Layer,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum InitArgument {
    /// Independent normal numbers
    #[default]
    Normal,
    /// Orthogonal matrices times σ_w
    Orthogonal,
}

/// Wider Jacobians are not decomposed on the way.
const WIDEST_JACOBIAN: u32 = 512;

/// `20x20`, or one number for both.
fn grid_points(text: &str) -> Result<[usize; 2], String> {
    const MOST: usize = 1000;
    let number = |text: &str| text.trim().parse().ok().filter(|n| (1..=MOST).contains(n));
    let (across, up) = text.split_once(['x', '×']).unwrap_or((text, text));
    match (number(across), number(up)) {
        (Some(across), Some(up)) => Ok([across, up]),
        _ => Err(format!(
            "expected points along σ_w and σ_b, such as 20x20, each from 1 to {MOST}"
        )),
    }
}

fn experiment_names() -> clap::builder::PossibleValuesParser {
    published()
        .iter()
        .map(|experiment| experiment.name)
        .collect::<Vec<_>>()
        .into()
}

fn activation(text: &str) -> Result<Arc<dyn Activation>, String> {
    parse(text).map_err(|error| error.to_string())
}

fn number(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err("expected a finite number".into()),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match number(text)? {
        value if value > 0.0 && value <= 1e6 => Ok(value),
        _ => Err("expected a number above 0, at most 1e6".into()),
    }
}

fn not_negative(text: &str) -> Result<f64, String> {
    match number(text)? {
        value if (0.0..=1e4).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 1e4".into()),
    }
}

impl TheoryArguments {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode, Failure> {
        if !self.experiment.is_empty() {
            return self.experiments();
        }
        let activations = match self.activation.as_slice() {
            [] => vec![activation("tanh").map_err(Failure::Input)?],
            given => given.to_vec(),
        };
        if let Some(path) = &self.phase_diagram {
            check_diagram(path, activations.len())?;
        }
        if self.grid.is_some() && !matches!(self.norm, NormArgument::None) {
            return Err(Failure::Input(
                "--grid measures networks without normalisation: leave --norm out".into(),
            ));
        }
        if self.grid.is_some() && matches!(self.init, InitArgument::Orthogonal) {
            return Err(Failure::Input(
                "--grid draws normal weights: leave --init out".into(),
            ));
        }
        let measures = self.measure || !matches!(self.norm, NormArgument::None);
        if measures && self.networks == Some(1) {
            return Err(Failure::Input(
                "--measure tells a spread: --networks must be 2 or more".into(),
            ));
        }
        let mut answers: Vec<TheoryAnswer> = Vec::new();
        for activation in &activations {
            let outlook = Outlook::of(&self.question(&**activation));
            let phase_diagram = match &self.phase_diagram {
                Some(path) => match self.diagram(path, activation, &outlook)? {
                    Some(diagram) => Some(diagram),
                    None => return Ok(ExitCode::from(theory_grid::INTERRUPTED)),
                },
                None => None,
            };
            let measured = if measures {
                self.measured(activation, &outlook)?
            } else {
                Vec::new()
            };
            answers.push(TheoryAnswer {
                outlook,
                measured,
                phase_diagram,
            });
        }
        let width = self.output.width();
        self.output.write(|out| match self.format {
            Format::Text => {
                for (index, answer) in answers.iter().enumerate() {
                    if index > 0 {
                        writeln!(out)?;
                    }
                    write_theory_text(out, answer, width)?;
                }
                Ok(())
            }
            Format::Json => write_theory_json(out, &answers, &[]),
        })?;
        let inside =
            |answer: &TheoryAnswer| answer.measured.iter().all(|comparison| comparison.inside);
        Ok(status(answers.iter().all(inside)))
    }

    /// Measures the diagram where that was asked for, and draws it. `None` if it was interrupted.
    fn diagram(
        &self,
        path: &Path,
        activation: &Arc<dyn Activation>,
        outlook: &Outlook,
    ) -> Result<Option<PhaseDiagram>, Failure> {
        let mut partial = None;
        let measured = match self.grid {
            None => None,
            Some(points) => {
                let (largest_sigma_w, largest_sigma_b) = PhaseDiagram::plane(outlook);
                let settings = GridSettings {
                    activation: activation.label(),
                    points,
                    largest_sigma_w,
                    largest_sigma_b,
                    depth: self.depth as usize,
                    width: self.width as usize,
                    batch: self.batch as usize,
                    networks: self.networks.unwrap_or(1) as usize,
                };
                let file = theory_grid::partial_file(path);
                let threads = self.thread_count();
                match theory_grid::measure(settings, activation, &file, threads, !self.quiet)? {
                    GridOutcome::Interrupted => return Ok(None),
                    GridOutcome::Measured(measured) => {
                        partial = Some(file);
                        Some(*measured)
                    }
                }
            }
        };
        let diagram = PhaseDiagram::of(&**activation, outlook, measured);
        let svg = diagram.svg();
        let picture = if is_named(path, "png") {
            png(&svg).map_err(|error| Failure::Input(error.to_string()))?
        } else {
            svg.into_bytes()
        };
        OutputArguments::to(path).write(|out| out.write_all(&picture))?;
        if let Some(file) = partial {
            theory_grid::forget(&file)?;
        }
        Ok(Some(diagram))
    }

    fn biases(&self) -> BiasVariance {
        match (self.sigma_b, self.sigma_b_squared) {
            (Some(deviation), _) => BiasVariance::from_sigma_b(deviation),
            (None, Some(variance)) => BiasVariance::from_sigma_b_squared(variance),
            (None, None) => BiasVariance::ZERO,
        }
    }

    /// The gains in use: what is given, what PyTorch would take, He's and LeCun's.
    fn question<'a>(&self, activation: &'a dyn Activation) -> Question<'a> {
        let mut gains = Vec::new();
        let given = match (self.sigma_w, self.sigma_w_squared) {
            (Some(gain), _) => Some(WeightVariance::from_sigma_w(gain)),
            (None, Some(variance)) => Some(WeightVariance::from_sigma_w_squared(variance)),
            (None, None) => None,
        };
        gains.extend(given.map(|weights| ("given".to_owned(), weights)));
        let mut usual = |name: &str, gain: f64| {
            gains.push((name.to_owned(), WeightVariance::from_sigma_w(gain)));
        };
        if let Some(gain) = calculate_gain(activation.name(), activation.parameter()) {
            usual("PyTorch", gain);
        }
        usual("He", std::f64::consts::SQRT_2);
        usual("LeCun", 1.0);
        Question {
            activation,
            biases: self.biases(),
            depth: self.depth as usize,
            width: self.width as usize,
            batch: self.batch as usize,
            gains,
        }
    }

    /// Draws and measures networks with every gain of the table.
    fn measured(
        &self,
        activation: &Arc<dyn Activation>,
        outlook: &Outlook,
    ) -> Result<Vec<Comparison>, Failure> {
        const NETWORKS: u32 = 20;
        let networks = self.networks.unwrap_or(NETWORKS);
        let (count, networks) = (u64::from(networks), networks as usize);
        let total = networks * outlook.gains.len();
        let progress = Mutex::new(Progress::new("network", total, !self.quiet));
        let gains = outlook.gains.iter().enumerate();
        gains
            .map(|(index, gain)| {
                let experiment = Experiment {
                    name: gain.names.join(", "),
                    activation: activation.clone(),
                    weights: WeightVariance::from_sigma_w_squared(gain.sigma_w_squared),
                    biases: self.biases(),
                    ensemble: match self.init {
                        InitArgument::Normal => WeightEnsemble::Gaussian,
                        InitArgument::Orthogonal => WeightEnsemble::Orthogonal,
                    },
                    normalisation: match self.norm {
                        NormArgument::None => Normalisation::None,
                        NormArgument::Batch => Normalisation::Batch,
                        NormArgument::Layer => Normalisation::Layer,
                    },
                    depth: self.depth as usize,
                    width: self.width as usize,
                    batch: self.batch as usize,
                    networks: count,
                    singular_values: self.width <= WIDEST_JACOBIAN,
                };
                let told = |done: usize| show(&progress, index * networks + done);
                compare(&experiment, self.thread_count(), &told)
                    .map_err(|error| Failure::escaped(&error))
            })
            .collect()
    }

    fn experiments(&self) -> Result<ExitCode, Failure> {
        let chosen: Vec<&PublishedExperiment> = published()
            .iter()
            .filter(|known| self.experiment.iter().any(|name| name == known.name))
            .collect();
        let total = chosen.iter().map(|experiment| experiment.networks()).sum();
        let progress = Mutex::new(Progress::new("network", total, !self.quiet));
        let mut results: Vec<CaseResult> = Vec::new();
        let mut before = 0;
        for experiment in chosen {
            let told = |done: usize| show(&progress, before + done);
            let found = experiment.run(self.thread_count(), &told);
            results.extend(found.map_err(|error| Failure::escaped(&error))?);
            before += experiment.networks();
        }
        drop(progress);
        let width = self.output.width();
        self.output.write(|out| match self.format {
            Format::Text => write_experiments_text(out, &results, width),
            Format::Json => write_theory_json(out, &[], &results),
        })?;
        Ok(status(results.iter().all(|result| result.inside)))
    }

    fn thread_count(&self) -> usize {
        self.threads.map_or(0, usize::from)
    }
}

fn show(progress: &Mutex<Progress>, done: usize) {
    // A poisoned lock is a panic elsewhere, which is told there.
    if let Ok(mut progress) = progress.lock() {
        progress.show(done);
    }
}

fn is_named(path: &Path, extension: &str) -> bool {
    path.extension()
        .is_some_and(|own| own.eq_ignore_ascii_case(extension))
}

fn check_diagram(path: &Path, activations: usize) -> Result<(), Failure> {
    if !is_named(path, "svg") && !is_named(path, "png") {
        return Err(Failure::Input(format!(
            "cannot write `{}`: a phase diagram is an SVG or PNG file; name it `….svg` or `….png`",
            crate::output::shown(path)
        )));
    }
    if activations > 1 {
        return Err(Failure::Input(
            "--phase-diagram draws one activation: give --activation once".into(),
        ));
    }
    Ok(())
}

fn status(inside: bool) -> ExitCode {
    ExitCode::from(u8::from(!inside))
}
