//! Which findings are known, and so do not fail.

use crate::failure::{Failure, in_words};
use crate::output::{Existing, shown, write_file};
use clap::Args;
use gradprobe::diagnose::Finding;
use gradprobe::diagnose::baseline::Baseline;
use gradprobe::report::{JudgedFinding, escape};
use std::io;
use std::path::{Path, PathBuf};

/// The baseline of a command.
#[derive(Debug, Args)]
pub struct BaselineArguments {
    /// Only findings that are not in FILE make the exit status 1 (docs/CI.md)
    #[arg(long, value_name = "FILE", conflicts_with = "write_baseline")]
    baseline: Option<PathBuf>,
    /// Record the findings in FILE as known; what it says of other networks stays
    #[arg(long, value_name = "FILE")]
    write_baseline: Option<PathBuf>,
}

/// What is known before the command runs.
#[derive(Debug)]
pub struct KnownFindings {
    baseline: Option<Baseline>,
    write_to: Option<PathBuf>,
}

impl BaselineArguments {
    /// Reads the files, before anything costs time.
    pub fn read(&self) -> Result<KnownFindings, Failure> {
        let baseline = match (&self.baseline, &self.write_baseline) {
            (Some(path), _) => Some(parse(path)?),
            (None, Some(path)) if path.exists() => Some(parse(path)?),
            _ => None,
        };
        Ok(KnownFindings {
            baseline,
            write_to: self.write_baseline.clone(),
        })
    }

    /// What is said of the baseline under a text.
    pub fn sentence(&self, judged: &[JudgedFinding<'_>]) -> Option<String> {
        let known = judged.iter().filter(|one| one.known == Some(true)).count();
        let noun = |count: usize| if count == 1 { "finding" } else { "findings" };
        if let Some(path) = &self.write_baseline {
            let path = shown(path);
            return Some(format!(
                "baseline: {known} {} written to `{path}`",
                noun(known)
            ));
        }
        let path = shown(self.baseline.as_ref()?);
        let new = judged.len() - known;
        Some(format!(
            "baseline: {known} {} known, {new} new (`{path}`)",
            noun(known)
        ))
    }
}

fn parse(path: &Path) -> Result<Baseline, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::Input(format!(
            "cannot read the baseline `{}`: {}; --write-baseline writes one",
            shown(path),
            in_words(&error)
        ))
    })?;
    Baseline::parse(&text).map_err(|error| {
        Failure::Input(format!(
            "`{}` is not a baseline: {}; --write-baseline writes one to a new file",
            shown(path),
            escape(&error)
        ))
    })
}

impl KnownFindings {
    /// Of each finding: is it known? `None` without a baseline.
    pub fn known(&self, network: &str, findings: &[Finding]) -> Option<Vec<bool>> {
        if self.write_to.is_some() {
            return Some(vec![true; findings.len()]);
        }
        Some(self.baseline.as_ref()?.known(network, findings))
    }

    /// Writes the file, where that was asked for.
    pub fn write(self, network: &str, findings: &[Finding]) -> Result<(), Failure> {
        let Some(path) = self.write_to else {
            return Ok(());
        };
        let mut baseline = self.baseline.unwrap_or_default();
        baseline.record(network, findings);
        write_file(&path, Existing::Replace, |out| {
            io::Write::write_all(out, baseline.text().as_bytes())
        })
    }
}
