//! `gradprobe chain`: the scalar chain, its gradients three ways, and what follows.

use crate::Failure;
use crate::fail_on::FailOn;
use crate::output::OutputArguments;
use crate::talk::{Progress, Times};
use clap::{Args, ValueEnum};
use gradprobe::diagnose::chain::{ChainOptions, Examination};
use gradprobe::num::Dtype;
use gradprobe::ops::activation::{Activation, parse};
use gradprobe::report::{
    ChainJsonOptions, ChainTextOptions, Language, write_chain_csv, write_chain_json,
    write_chain_latex, write_chain_text,
};
use gradprobe::theory::{Chain, LayerValues, MAX_DEPTH};
use std::process::ExitCode;
use std::sync::Arc;

const DEFAULT_DEPTH: usize = 4;

/// Differentiate a chain of scalar layers, f = a(wL·…a(w2·a(w1·x))), exactly and as frameworks do
///
/// Without arguments: four layers, x = 100, every w = 1, tanh and ReLU. The exact gradients are of
/// the chain at the doubles nearest to the numbers given.
#[derive(Debug, Args)]
pub struct ChainArguments {
    /// Activation, repeatable [default: tanh and relu]: identity, tanh, relu, sigmoid,
    /// leaky-relu[=SLOPE], prelu[=SLOPE], elu, celu, selu, gelu, gelu-tanh, silu, mish, softplus,
    /// softsign, erf, hard-tanh, hard-sigmoid, hard-swish, relu6, log-sigmoid, tanhshrink,
    /// softshrink, hardshrink, sin, arctan, gaussian
    #[arg(short, long, value_name = "NAME", value_delimiter = ',', value_parser = activation)]
    activation: Vec<Arc<dyn Activation>>,

    /// Layers, 1 to 1000000 [default: 4, or as many as --w has values]
    #[arg(short, long, value_name = "N", value_parser = depth)]
    depth: Option<usize>,

    /// Weight of every layer, or a list W1,W2,… with one for each, from the input on
    #[arg(short, long, value_name = "W", default_value = "1", value_delimiter = ',',
          allow_hyphen_values = true, value_parser = finite)]
    w: Vec<f64>,

    /// Bias of every layer, or a list with one for each
    #[arg(short, long, value_name = "B", default_value = "0", value_delimiter = ',',
          allow_hyphen_values = true, value_parser = finite)]
    b: Vec<f64>,

    /// Input, repeatable
    #[arg(short, long, value_name = "X", default_value = "100", value_delimiter = ',',
          allow_hyphen_values = true, value_parser = finite)]
    x: Vec<f64>,

    /// Arithmetic to show beside the exact gradients, repeatable; f64 and f32 always are
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    dtype: Vec<DtypeName>,

    /// What to write
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    format: Format,

    /// Write the derivation in LaTeX
    #[arg(long)]
    latex: bool,

    /// Leave nothing out of a long chain
    #[arg(long)]
    full: bool,

    /// Language of the text
    #[arg(long, value_name = "LANG", default_value = "en")]
    lang: LanguageName,

    #[command(flatten)]
    output: OutputArguments,

    /// The least severity that makes the exit status 1: a gradient that vanishes, explodes or is 0
    /// is an error, one of which no digit holds a warning
    #[arg(long, value_enum, default_value = "never", value_name = "SEVERITY")]
    fail_on: FailOn,

    /// Taken as by every command; nothing in a chain is random
    #[arg(long = "seed", value_name = "N")]
    _seed: Option<u64>,

    /// Say on stderr how long it took
    #[arg(short, long, conflicts_with = "quiet")]
    verbose: bool,

    /// Only the table of gradients, and no progress
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Csv,
    Latex,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LanguageName {
    En,
    Ru,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DtypeName {
    F64,
    F32,
    Bf16,
    F16,
}

impl From<DtypeName> for Dtype {
    fn from(name: DtypeName) -> Self {
        match name {
            DtypeName::F64 => Self::F64,
            DtypeName::F32 => Self::F32,
            DtypeName::Bf16 => Self::Bf16,
            DtypeName::F16 => Self::F16,
        }
    }
}

fn activation(text: &str) -> Result<Arc<dyn Activation>, String> {
    parse(text).map_err(|error| error.to_string())
}

fn depth(text: &str) -> Result<usize, String> {
    match text.trim().parse::<usize>() {
        Ok(depth) if (1..=MAX_DEPTH).contains(&depth) => Ok(depth),
        _ => Err(format!("expected a whole number from 1 to {MAX_DEPTH}")),
    }
}

fn finite(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(value) if value.is_infinite() && text.contains(|c: char| c.is_ascii_digit()) => {
            Err("the number is beyond what a double holds".to_owned())
        }
        Ok(_) => Err("expected a finite number".to_owned()),
        Err(_) if text.trim().is_empty() => Err("expected a number, got nothing".to_owned()),
        Err(_) => Err("expected a number".to_owned()),
    }
}

/// A list with one value stands for every layer.
fn layer_values(mut values: Vec<f64>) -> LayerValues {
    match values.len() {
        1 => LayerValues::Same(values.remove(0)),
        _ => LayerValues::Each(values),
    }
}

impl ChainArguments {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let chains = self.chains()?;
        let options = ChainOptions {
            dtypes: self.dtypes(),
            ..ChainOptions::default()
        };
        let mut times = Times::new(self.verbose);
        // These are written as they come: on a terminal a count would run into them.
        let streamed = matches!(self.format, Format::Json | Format::Csv);
        let silent = self.quiet || self.verbose || (streamed && self.output.is_terminal());
        let mut progress = Progress::new("chain", chains.len(), !silent);
        let (mut severities, mut done) = (Vec::new(), 0);
        let runs = Examination::each(chains, &options).inspect(|run| {
            severities.extend(run.conclusion.tendency.severity());
            done += 1;
            progress.show(done);
        });
        self.output.write(|out| match self.format {
            Format::Text => {
                let runs: Vec<Examination> = runs.collect();
                write_chain_text(out, &runs, &self.text_options())
            }
            Format::Latex => {
                let runs: Vec<Examination> = runs.collect();
                write_chain_latex(out, &runs, self.full)
            }
            Format::Json => {
                let json = ChainJsonOptions { full: self.full };
                write_chain_json(out, runs, &json)
            }
            Format::Csv => write_chain_csv(out, &options.dtypes, runs),
        })?;
        drop(progress);
        times.step(format_args!("examined and written"));
        Ok(self.fail_on.status(severities))
    }

    /// A chain for every activation and input.
    fn chains(&self) -> Result<Vec<Chain>, Failure> {
        let mut activations = self.activation.clone();
        if activations.is_empty() {
            activations = ["tanh", "relu"]
                .into_iter()
                .filter_map(|name| parse(name).ok())
                .collect();
        }
        let longest = self.w.len().max(self.b.len());
        let depth = self.depth.unwrap_or(match longest {
            1 => DEFAULT_DEPTH,
            longest => longest,
        });
        let (weights, biases) = (layer_values(self.w.clone()), layer_values(self.b.clone()));
        let mut chains = Vec::with_capacity(activations.len() * self.x.len());
        for &x in &self.x {
            for activation in &activations {
                let chain = Chain::new(
                    Arc::clone(activation),
                    depth,
                    x,
                    weights.clone(),
                    biases.clone(),
                );
                chains.push(chain.map_err(|error| Failure::Input(error.to_string()))?);
            }
        }
        Ok(chains)
    }

    fn dtypes(&self) -> Vec<Dtype> {
        let mut dtypes = vec![Dtype::F64, Dtype::F32];
        for &name in &self.dtype {
            let dtype = Dtype::from(name);
            if !dtypes.contains(&dtype) {
                dtypes.push(dtype);
            }
        }
        dtypes
    }

    fn text_options(&self) -> ChainTextOptions {
        ChainTextOptions {
            language: match self.lang {
                LanguageName::En => Language::English,
                LanguageName::Ru => Language::Russian,
            },
            colour: self.output.colour(),
            width: self.output.width(),
            full: self.full,
            latex: self.latex,
            quiet: self.quiet,
        }
    }
}
