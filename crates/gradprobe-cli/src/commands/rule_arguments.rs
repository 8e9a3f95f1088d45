//! Which rules judge a network: the configuration file, the network's own file, the command line.

use crate::failure::Failure;
use clap::Args;
use gradprobe::diagnose::RuleSet;
use gradprobe::import::Subject;
use gradprobe::import::spec::{RuleChoices, find_configuration};
use std::path::{Path, PathBuf};

/// What the command line says about rules.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Rules")]
pub struct RuleSelectionArguments {
    /// Run these rules and no others: codes, beginnings of codes, names, or ALL
    #[arg(long, value_name = "RULES", value_delimiter = ',')]
    select: Vec<String>,
    /// Leave these rules out
    #[arg(long, value_name = "RULES", value_delimiter = ',')]
    ignore: Vec<String>,
    /// Move a threshold, e.g. GP001.decades=4; `gradprobe rule GP001` lists them
    #[arg(long, value_name = "SETTING=NUMBER")]
    set: Vec<String>,
    /// Run a named set of rules: gradprobe, sagemaker
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Read this configuration instead of the nearest gradprobe.toml above the network
    #[arg(long, value_name = "FILE", conflicts_with = "isolated")]
    config: Option<PathBuf>,
    /// Read no configuration file
    #[arg(long)]
    isolated: bool,
}

impl RuleSelectionArguments {
    /// The rules that judge a network read from `file`.
    pub fn rules(&self, file: &Path, network: &dyn Subject) -> Result<RuleSet, Failure> {
        let failed = |error| Failure::spec(&error);
        let configuration = match (&self.config, self.isolated) {
            (Some(path), _) => Some(path.clone()),
            (None, true) => None,
            (None, false) => find_configuration(file),
        };
        let configuration = configuration.map(|path| RuleChoices::read(&path));
        let configuration = configuration.transpose().map_err(failed)?;
        let line = RuleChoices::of_arguments(
            self.profile.as_deref(),
            &self.select,
            &self.ignore,
            &self.set,
        )
        .map_err(failed)?;
        let sources = configuration.iter().chain(network.rules()).chain([&line]);
        RuleSet::new(sources).map_err(failed)
    }
}
