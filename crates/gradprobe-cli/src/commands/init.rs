//! `gradprobe init`: a commented specification to start from.

use crate::failure::{Failure, in_words};
use crate::output::{shown, write_stdout};
use crate::talk::say;
use clap::ValueEnum;
use std::io::{self, Write};
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
        write_file(&self.file, text, self.force)?;
        if !self.quiet {
            let file = shown(&self.file);
            say(format_args!("wrote {file}; next: gradprobe check {file}"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes a file that is there whole or not at all, and that replaces another only if it may.
fn write_file(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let name = shown(path);
    let failed = |error: &io::Error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            return Failure::Input(format!("`{name}` exists already; --force replaces it"));
        }
        Failure::Input(format!("cannot write `{name}`: {}", in_words(error)))
    };
    if path.is_dir() {
        return Err(Failure::Input(format!(
            "cannot write `{name}`: it is a directory"
        )));
    }
    if path.exists() && !force {
        return Err(failed(&io::ErrorKind::AlreadyExists.into()));
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".gradprobe-");
    // A temporary file is private; a specification is to be as open as any new file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder
        .tempfile_in(folder)
        .map_err(|error| failed(&error))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.as_file().sync_all())
        .map_err(|error| failed(&error))?;
    let placed = if force {
        file.persist(path).map(drop)
    } else {
        file.persist_noclobber(path).map(drop)
    };
    placed.map_err(|error| failed(&error.error))
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
