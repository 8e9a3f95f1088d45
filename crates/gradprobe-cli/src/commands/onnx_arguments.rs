//! The options of `check` that are for ONNX models.

use crate::failure::Failure;
use clap::{Args, ValueEnum};
use gradprobe::import::onnx::{OnnxLoss, OnnxOptions, OnnxTarget};
use gradprobe::init::{Initialiser, initialisers};
use std::path::PathBuf;

/// What may be chosen about an ONNX model; everything has a default.
#[derive(Debug, Args)]
#[command(next_help_heading = "ONNX models")]
pub struct OnnxArguments {
    /// Give an input: an NPY file (or the array of its name in an NPZ or safetensors file), a number
    /// for all its elements, or a list of numbers: sr=16000, lens=3,5
    #[arg(long, value_name = "NAME=FILE|NUMBERS", value_parser = given_input)]
    input: Vec<(String, GivenInput)>,
    /// Read inputs, and `target`, from the arrays of their names in an NPZ or safetensors file
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Set a free dimension, by its name, or as INPUT.AXIS: batch=8
    #[arg(long = "dim", value_name = "NAME=SIZE", value_parser = dimension)]
    dims: Vec<(String, usize)>,
    /// Compare the output with this number, or the numbers of an NPY file (default: at random)
    #[arg(long, value_name = "NUMBER|FILE")]
    target: Option<String>,
    /// Differentiate this (default: chosen from the output, and said)
    #[arg(long, value_enum)]
    loss: Option<LossArgument>,
    /// Judge this output, or any value between (default: the first output)
    #[arg(id = "model-output", long = "output", value_name = "NAME")]
    output: Option<String>,
    /// Pass the gradient of x + (f(x) − x) as through x: an export carries no stop-gradient
    #[arg(long)]
    straight_through: bool,
    /// Let Dropout drop, as in training (default: it is the identity)
    #[arg(long)]
    dropout: bool,
    /// Draw new weights, to judge the architecture instead of the weights: he, xavier, pytorch, …
    #[arg(long, value_name = "INITIALISER", value_parser = initialiser)]
    reinit: Option<Initialiser>,
    /// Take these tensors as trained, by a pattern of their names: --train 'head.*'
    #[arg(long, value_name = "GLOB", value_parser = pattern)]
    train: Vec<glob::Pattern>,
    /// Take these tensors as constants that nobody trains: --freeze 'backbone.*'
    #[arg(long, value_name = "GLOB", value_parser = pattern)]
    freeze: Vec<glob::Pattern>,
    /// The most memory to use, in MiB (default: half of the machine's)
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    max_memory: Option<u64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LossArgument {
    /// Cross-entropy of logits against classes
    CrossEntropy,
    /// Binary cross-entropy of logits
    Bce,
    /// Mean squared error
    Mse,
    /// Mean absolute error
    L1,
    /// The output itself
    Output,
    /// A random cotangent pulled back from the output
    Random,
}

/// An input that is given on the command line.
#[derive(Clone, Debug)]
enum GivenInput {
    Numbers(Vec<f64>),
    File(PathBuf),
}

fn given_input(text: &str) -> Result<(String, GivenInput), String> {
    // A name may hold `=`; a file seldom does.
    let expected = "expected NAME=FILE, NAME=NUMBER or NAME=NUMBER,NUMBER,…";
    let (name, value) = text.rsplit_once('=').ok_or(expected)?;
    if name.is_empty() || value.is_empty() {
        return Err(expected.into());
    }
    let numbers: Result<Vec<f64>, _> = value
        .split(',')
        .map(|number| number.trim().parse::<f64>())
        .collect();
    let given = match numbers {
        Ok(numbers) => GivenInput::Numbers(numbers),
        Err(_) => GivenInput::File(value.into()),
    };
    Ok((name.to_owned(), given))
}

fn dimension(text: &str) -> Result<(String, usize), String> {
    let (name, size) = text.rsplit_once('=').ok_or("expected NAME=SIZE")?;
    match size.trim().parse() {
        Ok(size) if size > 0 => Ok((name.to_owned(), size)),
        _ => Err(format!(
            "the size is `{}`, expected a number above 0",
            size.escape_debug()
        )),
    }
}

fn pattern(text: &str) -> Result<glob::Pattern, String> {
    glob::Pattern::new(text).map_err(|error| format!("at character {}: {}", error.pos, error.msg))
}

fn initialiser(text: &str) -> Result<Initialiser, String> {
    Initialiser::by_name(text).ok_or_else(|| {
        let names: Vec<&str> = initialisers().iter().map(|entry| entry.name).collect();
        format!("expected one of {}", names.join(", "))
    })
}

impl OnnxArguments {
    /// The first option that was given, for a network that has none of them.
    pub fn given(&self) -> Option<&'static str> {
        let given = [
            (!self.input.is_empty(), "--input"),
            (self.data.is_some(), "--data"),
            (!self.dims.is_empty(), "--dim"),
            (self.target.is_some(), "--target"),
            (self.loss.is_some(), "--loss"),
            (self.output.is_some(), "--output"),
            (self.straight_through, "--straight-through"),
            (self.dropout, "--dropout"),
            (self.reinit.is_some(), "--reinit"),
            (!self.train.is_empty(), "--train"),
            (!self.freeze.is_empty(), "--freeze"),
            (self.max_memory.is_some(), "--max-memory"),
        ];
        given
            .into_iter()
            .find(|(given, _)| *given)
            .map(|(_, name)| name)
    }

    /// As the library takes them.
    pub fn options(&self) -> Result<OnnxOptions, Failure> {
        let (mut inputs, mut numbers) = (Vec::new(), Vec::new());
        for (name, given) in &self.input {
            match given.clone() {
                GivenInput::Numbers(given) => numbers.push((name.clone(), given)),
                GivenInput::File(file) => inputs.push((name.clone(), file)),
            }
        }
        Ok(OnnxOptions {
            inputs,
            numbers,
            data: self.data.clone(),
            dims: self.dims.clone(),
            target: match &self.target {
                None => OnnxTarget::Auto,
                Some(text) => match text.parse() {
                    Ok(number) => OnnxTarget::Constant(number),
                    Err(_) => OnnxTarget::File(text.into()),
                },
            },
            loss: match self.loss {
                None => OnnxLoss::Auto,
                Some(LossArgument::CrossEntropy) => OnnxLoss::CrossEntropy,
                Some(LossArgument::Bce) => OnnxLoss::BceWithLogits,
                Some(LossArgument::Mse) => OnnxLoss::Mse,
                Some(LossArgument::L1) => OnnxLoss::L1,
                Some(LossArgument::Output) => OnnxLoss::Output,
                Some(LossArgument::Random) => OnnxLoss::RandomCotangent,
            },
            output: self.output.clone(),
            straight_through: self.straight_through,
            dropout: self.dropout,
            reinit: self.reinit,
            train: self.train.clone(),
            freeze: self.freeze.clone(),
            max_memory: self
                .max_memory
                .map(|mebibytes| mebibytes.saturating_mul(1 << 20)),
            ..OnnxOptions::default()
        })
    }
}
