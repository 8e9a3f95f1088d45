//! Which network a command is about, and what the command line says about it.

use super::onnx_arguments::OnnxArguments;
use crate::failure::Failure;
use clap::{Args, ValueEnum};
use gradprobe::check::CheckError;
use gradprobe::import::Subject;
use gradprobe::import::onnx::OnnxNetwork;
use gradprobe::import::spec::{Dtype, Network, Specification};
use gradprobe::ops::Mode;
use gradprobe::report::{FindingSource, escape};
use std::path::{Path, PathBuf};

/// The arguments of every command that runs a network. Those of ONNX models are an
/// [`OnnxArguments`] of the command's, for their heading must come last.
#[derive(Debug, Args)]
pub struct NetworkArguments {
    /// The network: a TOML file or an ONNX model
    #[arg(value_name = "NETWORK")]
    network: PathBuf,
    /// Seeds to draw weights and batches from, one run each: 0,1,2 (default: the file's)
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        conflicts_with = "seeds"
    )]
    seed: Vec<u64>,
    /// Number of seeds: 0 to N − 1 (default: the file's)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    seeds: Option<u64>,
    /// Arithmetic to run in (default: the file's)
    #[arg(long, value_enum)]
    dtype: Option<DtypeArgument>,
    /// Training or inference: batch or running statistics in BatchNorm (default: the file's)
    #[arg(long, value_enum)]
    mode: Option<ModeArgument>,
    /// Samples in a batch (default: the file's, or 8); where an ONNX file fixes fewer, several of
    /// its batches are run one after the other
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    batch: Option<u64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DtypeArgument {
    /// Single precision
    F32,
    /// Double precision
    F64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeArgument {
    /// As in training
    Train,
    /// As in inference
    Eval,
}

impl NetworkArguments {
    /// The network's file.
    pub fn file(&self) -> &Path {
        &self.network
    }

    /// A mistake that came up when the network was built or run, as it is shown.
    pub fn failure(&self, error: &CheckError) -> Failure {
        match error {
            CheckError::Spec(error) => Failure::spec(error),
            error => Failure::Input(format!(
                "{}: {}",
                crate::output::shown(&self.network),
                escape(&error.to_string())
            )),
        }
    }

    /// Where findings about the network are placed.
    pub fn finding_source(&self, network: &dyn Subject) -> Result<FindingSource, Failure> {
        let seed = network.seeds().first().copied().unwrap_or_default();
        let graph = network.build(seed);
        let graph = graph.map_err(|error| self.failure(&CheckError::from(error)))?;
        let layers = graph.layers().iter();
        Ok(FindingSource {
            network: network.title(),
            path: self.network.to_string_lossy().into_owned(),
            text: std::fs::read_to_string(&self.network).ok(),
            layers: layers
                .map(|layer| (layer.name.clone(), layer.origin.clone()))
                .collect(),
        })
    }

    /// The network, with what the command line says about it.
    pub fn read(&self, onnx: &OnnxArguments) -> Result<Box<dyn Subject>, Failure> {
        let is_onnx = self
            .network
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"));
        if is_onnx {
            return self.model(onnx);
        }
        if let Some(option) = onnx.given() {
            let file = match option {
                "--output" => " (`-o FILE` writes the result to a file)",
                _ => "",
            };
            return Err(Failure::Input(format!(
                "{option} is for ONNX models; `{}` says such things itself{file}",
                crate::output::shown(&self.network)
            )));
        }
        let specification = self.specification()?;
        let network = Network::new(specification).map_err(|error| Failure::spec(&error))?;
        Ok(Box::new(network))
    }

    fn model(&self, onnx: &OnnxArguments) -> Result<Box<dyn Subject>, Failure> {
        let mut options = onnx.options()?;
        options.seeds = self.seeds_asked().unwrap_or_default();
        if let Some(dtype) = self.dtype {
            options.dtype = dtype.into();
        }
        if let Some(mode) = self.mode {
            options.mode = mode.into();
        }
        if let Some(batch) = self.batch {
            options.batch = Some(count(batch));
        }
        let network = OnnxNetwork::read(&self.network, &options)
            .map_err(|error| Failure::Input(error.to_string()))?;
        Ok(Box::new(network))
    }

    fn seeds_asked(&self) -> Option<Vec<u64>> {
        if self.seed.is_empty() {
            self.seeds.map(|count| (0..count).collect())
        } else {
            Some(self.seed.clone())
        }
    }

    /// The file's specification, with what the command line says instead.
    fn specification(&self) -> Result<Specification, Failure> {
        let mut specification = Specification::read(&self.network).map_err(|mut error| {
            if !self.network.exists() {
                error.help = Some("`gradprobe init FILE` writes a network to start from".into());
            }
            Failure::spec(&error)
        })?;
        if let Some(seeds) = self.seeds_asked() {
            specification.seeds = seeds;
        }
        if let Some(dtype) = self.dtype {
            specification.dtype = dtype.into();
        }
        if let Some(mode) = self.mode {
            specification.mode = mode.into();
        }
        if let Some(batch) = self.batch {
            specification.batch = count(batch);
        }
        Ok(specification)
    }
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl From<DtypeArgument> for Dtype {
    fn from(argument: DtypeArgument) -> Self {
        match argument {
            DtypeArgument::F32 => Self::F32,
            DtypeArgument::F64 => Self::F64,
        }
    }
}

impl From<ModeArgument> for Mode {
    fn from(argument: ModeArgument) -> Self {
        match argument {
            ModeArgument::Train => Self::Train,
            ModeArgument::Eval => Self::Eval,
        }
    }
}
