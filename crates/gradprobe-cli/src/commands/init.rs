//! `gradprobe init`: a commented specification to start from.

use crate::failure::Failure;
use crate::output::{Existing, shown, write_file, write_stdout};
use crate::talk::say;
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Write a commented network specification to start from
#[derive(Debug, clap::Args)]
pub struct InitArguments {
    /// Where to write it; `-` is stdout
    #[arg(value_name = "FILE", default_value = "network.toml")]
    file: PathBuf,
    /// What kind of network
    #[arg(short, long, value_enum, default_value_t)]
    template: Template,
    /// Replace FILE if it exists
    #[arg(long)]
    force: bool,
    /// Say nothing on success
    #[arg(short, long)]
    quiet: bool,
}

/// What to start from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Template {
    /// A deep tanh network on vectors, with every option in comments
    #[default]
    Mlp,
    /// A small residual network on images
    Cnn,
    /// A small language model on token ids
    Transformer,
    /// The scalar chain of `gradprobe chain`, as layers
    Chain,
}

impl Template {
    fn text(self) -> &'static str {
        match self {
            Self::Mlp => include_str!("../templates/mlp.toml"),
            Self::Cnn => include_str!("../templates/cnn.toml"),
            Self::Transformer => include_str!("../templates/transformer.toml"),
            Self::Chain => include_str!("../templates/chain.toml"),
        }
    }
}

impl InitArguments {
    /// Writes the template.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let text = self.template.text();
        if self.file == Path::new("-") {
            write_stdout(|out| out.write_all(text.as_bytes()))?;
            return Ok(ExitCode::SUCCESS);
        }
        let existing = match self.force {
            true => Existing::Replace,
            false => Existing::Keep,
        };
        write_file(&self.file, existing, |out| out.write_all(text.as_bytes()))?;
        if !self.quiet {
            let file = shown(&self.file);
            say(format_args!("wrote {file}; next: gradprobe check {file}"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradprobe::import::spec::{Network, Specification};

    #[test]
    fn every_template_is_a_specification_that_passes() {
        for template in Template::value_variants() {
            let network = Specification::parse(template.text()).and_then(Network::new);
            let network = network.unwrap_or_else(|error| panic!("{template:?}: {error}"));
            network
                .build(0)
                .unwrap_or_else(|error| panic!("{template:?}: {error}"));
            network
                .batch(0)
                .unwrap_or_else(|error| panic!("{template:?}: {error}"));
        }
    }

    #[test]
    fn a_file_is_not_replaced_without_force() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("network.toml");
        let init = |template, force| {
            InitArguments {
                file: path.clone(),
                template,
                force,
                quiet: true,
            }
            .run()
        };
        init(Template::Mlp, false).expect("written");
        let refused = init(Template::Chain, false);
        assert!(
            matches!(refused, Err(Failure::Input(message)) if message.ends_with("--force replaces it"))
        );
        let read = || std::fs::read_to_string(&path).expect("the file");
        assert_eq!(read(), Template::Mlp.text());
        init(Template::Chain, true).expect("replaced");
        assert_eq!(read(), Template::Chain.text());
        assert_eq!(
            std::fs::read_dir(folder.path())
                .expect("the folder")
                .count(),
            1
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let result = InitArguments {
            file: "no/such/folder/network.toml".into(),
            template: Template::Mlp,
            force: false,
            quiet: true,
        }
        .run();
        let Err(Failure::Input(message)) = result else {
            panic!("written?");
        };
        assert!(message.contains("no/such/folder/network.toml"), "{message}");
    }
}
