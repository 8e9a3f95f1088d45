//! Where a command's result goes: stdout, or a file that is there whole or not at all.

use crate::failure::{Failure, in_words};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Where a result goes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct OutputArguments {
    /// Write the result to FILE instead of stdout; the file appears whole or not at all
    // `--output` is an output of a network, as users of ONNX say.
    #[arg(short, long = "output-file", value_name = "FILE")]
    output: Option<PathBuf>,
}

impl OutputArguments {
    /// A file.
    pub fn to(path: &Path) -> Self {
        Self {
            output: Some(path.to_path_buf()),
        }
    }

    /// Should the result be coloured? Only on a terminal; NO_COLOR and CLICOLOR_FORCE overrule it.
    pub fn colour(&self) -> bool {
        self.output.is_none()
            && anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
    }

    /// Does the result go to a terminal?
    pub fn is_terminal(&self) -> bool {
        self.output.is_none() && io::stdout().is_terminal()
    }

    /// Columns to fit the result in: the terminal's, at least 80; 80 elsewhere.
    pub fn width(&self) -> usize {
        const NARROWEST: usize = 80;
        const WIDEST: usize = 120;
        let columns = std::env::var("COLUMNS")
            .ok()
            .and_then(|columns| columns.parse().ok());
        match columns {
            Some(columns) if self.is_terminal() => usize::clamp(columns, NARROWEST, WIDEST),
            _ => NARROWEST,
        }
    }

    /// Writes the result.
    ///
    /// A file is written under another name in the same folder and renamed when it is complete, so
    /// that a full disk or an interruption leaves what was there before.
    pub fn write(
        &self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Failure> {
        match &self.output {
            Some(path) => write_file(path, Existing::Replace, write),
            None => write_stdout(write),
        }
    }
}

/// What becomes of a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// The new one takes its place.
    Replace,
    /// It stays, and nothing is written.
    Keep,
}

/// Writes a file, which is there whole or not at all.
pub fn write_file(
    path: &Path,
    existing: Existing,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Failure> {
    let failed = |error: &io::Error| {
        let name = shown(path);
        Failure::Input(match error.kind() {
            io::ErrorKind::AlreadyExists => {
                format!("`{name}` exists already; --force replaces it")
            }
            _ => format!("cannot write `{name}`: {}", in_words(error)),
        })
    };
    if path.is_dir() {
        return Err(Failure::Input(format!(
            "cannot write `{}`: it is a directory",
            shown(path)
        )));
    }
    if existing == Existing::Keep && path.exists() {
        return Err(failed(&io::ErrorKind::AlreadyExists.into()));
    }
    // A device such as /dev/stdout or /dev/full cannot be replaced by a renamed file.
    if path.exists() && !path.is_file() {
        let file = std::fs::OpenOptions::new().write(true).open(path);
        let mut out = BufWriter::new(file.map_err(|error| failed(&error))?);
        return write(&mut out)
            .and_then(|()| out.flush())
            .map_err(|error| failed(&error));
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".gradprobe-");
    // A temporary file is private; the result is to be as open as any new file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder
        .tempfile_in(folder)
        .map_err(|error| failed(&error))?;
    let mut out = BufWriter::new(file);
    write(&mut out)
        .and_then(|()| out.flush())
        .map_err(|error| failed(&error))?;
    let file = out.into_inner().map_err(|error| failed(error.error()))?;
    file.as_file().sync_all().map_err(|error| failed(&error))?;
    let placed = match existing {
        Existing::Replace => file.persist(path),
        Existing::Keep => file.persist_noclobber(path),
    };
    placed.map(drop).map_err(|error| failed(&error.error))
}

/// Writes to stdout. A reader that went away (`| head`) has what it wanted: nothing is wrong.
pub fn write_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Input(format!(
            "cannot write to stdout: {}",
            in_words(&error)
        ))),
        _ => Ok(()),
    }
}

/// A path as it is shown: control characters escaped.
pub fn shown(path: &Path) -> String {
    gradprobe::report::escape(&path.to_string_lossy()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(path: &Path) -> OutputArguments {
        OutputArguments::to(path)
    }

    #[test]
    fn a_failed_write_leaves_what_was_there_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out.txt");
        std::fs::write(&path, "before").expect("a file");
        let result = to(&path).write(|out| {
            out.write_all(b"half")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert!(
            matches!(result, Err(Failure::Input(message)) if message.contains("no storage space"))
        );
        assert_eq!(std::fs::read_to_string(&path).expect("the file"), "before");
        assert_eq!(
            std::fs::read_dir(folder.path())
                .expect("the folder")
                .count(),
            1
        );
    }

    #[test]
    fn a_directory_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let result = to(folder.path()).write(|_| Ok(()));
        assert!(
            matches!(result, Err(Failure::Input(message)) if message.ends_with("it is a directory"))
        );
    }
}
