//! The peers: PyTorch, Keras, JAX and the exporters of each, in a virtual environment of Python
//! that lies outside the repository.
//!
//! It is named after a hash of the requirements, so that a change of them makes a new one, and it is
//! whole or not at all: a file written last says that everything was installed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is installed, and which version of everything that this brings.
const REQUIREMENTS: &str = include_str!("../../peers/requirements.txt");
const CONSTRAINTS: &str = include_str!("../../peers/constraints.txt");

/// The file that is written last.
const COMPLETE: &str = "complete";

/// A virtual environment, perhaps not yet there.
#[derive(Clone, Debug)]
pub struct Environment {
    folder: PathBuf,
}

impl Environment {
    /// That of the requirements as they are: `$GRADPROBE_PEERS/HASH`, else
    /// `$XDG_CACHE_HOME/gradprobe/peers/HASH`, else the same under `~/.cache`.
    ///
    /// # Errors
    /// If none of the three variables is set.
    pub fn find() -> Result<Self, String> {
        let under = |variable: &str, rest: &str| {
            let value = std::env::var_os(variable).filter(|value| !value.is_empty())?;
            Some(Path::new(&value).join(rest))
        };
        let root = under("GRADPROBE_PEERS", "")
            .or_else(|| under("XDG_CACHE_HOME", "gradprobe/peers"))
            .or_else(|| under("HOME", ".cache/gradprobe/peers"))
            .ok_or("set GRADPROBE_PEERS to the folder that the peers shall lie in")?;
        Ok(Self::in_folder(&root))
    }

    fn in_folder(root: &Path) -> Self {
        let hash = fnv1a(&[REQUIREMENTS, CONSTRAINTS]);
        Self {
            folder: root.join(format!("{hash:016x}")),
        }
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its Python.
    pub fn python(&self) -> PathBuf {
        let inside = ["bin/python", "Scripts/python.exe"];
        self.folder.join(inside[usize::from(cfg!(windows))])
    }

    /// Was everything installed?
    pub fn is_complete(&self) -> bool {
        self.folder.join(COMPLETE).is_file() && self.python().exists()
    }

    /// Its Python, if everything was installed.
    ///
    /// # Errors
    /// One sentence that says how to install it.
    pub fn ready(&self) -> Result<PathBuf, String> {
        match self.is_complete() {
            true => Ok(self.python()),
            false => Err(format!(
                "PyTorch and the other peers are not installed in {}: run `cargo xtask peers`",
                self.folder.display()
            )),
        }
    }

    /// Installs everything, unless it is there. What an interrupted install left is removed; of two
    /// that install at the same time one waits for the other.
    ///
    /// # Errors
    /// If there is no Python of a version that will do, or pip fails.
    pub fn make(&self) -> Result<(), String> {
        let cannot = |what: &str, error: std::io::Error| {
            format!("cannot {what} {}: {error}", self.folder.display())
        };
        let root = self.folder.parent().unwrap_or(&self.folder);
        fs::create_dir_all(root).map_err(|error| cannot("make the folder of", error))?;
        let lock = File::create(self.folder.with_extension("lock"));
        let lock = lock.map_err(|error| cannot("lock", error))?;
        lock.lock().map_err(|error| cannot("lock", error))?;
        if self.is_complete() {
            return Ok(());
        }
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)
                .map_err(|error| cannot("remove the unfinished", error))?;
        }
        eprintln!(
            "== installing PyTorch and the other peers in {}: 8 GB, some minutes, once",
            self.folder.display()
        );
        let python = python3()?;
        let mut venv = Command::new(python);
        venv.args(["-m", "venv"]).arg(&self.folder);
        run(
            &mut venv,
            "python3 -m venv",
            "is the venv module installed (Debian's python3-venv)?",
        )?;
        let write = |name: &str, text: &str| {
            fs::write(self.folder.join(name), text).map_err(|error| cannot("write to", error))
        };
        write("requirements.txt", REQUIREMENTS)?;
        write("constraints.txt", CONSTRAINTS)?;
        let mut pip = Command::new(self.python());
        pip.current_dir(&self.folder)
            .args(["-m", "pip", "install", "--quiet"])
            .args(["--disable-pip-version-check", "--progress-bar", "off"])
            .args(["-r", "requirements.txt", "-c", "constraints.txt"]);
        run(
            &mut pip,
            "pip install",
            "pip's own message is above; it needs a package index and 8 GB of disk",
        )?;
        write(COMPLETE, "")
    }
}

/// The first Python that will do.
fn python3() -> Result<&'static str, String> {
    const NEEDED: &str = "import sys; sys.exit(sys.version_info < (3, 11))";
    let mut found = false;
    for name in [
        "python3",
        "python3.11",
        "python3.12",
        "python3.13",
        "python",
    ] {
        match Command::new(name).args(["-c", NEEDED]).status() {
            Ok(status) if status.success() => return Ok(name),
            Ok(_) => found = true,
            Err(_) => {}
        }
    }
    Err(match found {
        true => "the peers need Python 3.11 or newer, and `python3` is older".into(),
        false => "the peers need Python 3.11 or newer, and there is no `python3`".into(),
    })
}

fn run(command: &mut Command, name: &str, help: &str) -> Result<(), String> {
    let status = command
        .status()
        .map_err(|error| format!("cannot run {name}: {error}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{name} failed: {help}")),
    }
}

/// FNV-1a over some texts: the same in every release of the compiler.
pub fn fnv1a(texts: &[&str]) -> u64 {
    let bytes = texts.iter().flat_map(|text| text.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_install_is_not_taken_for_a_whole_one() {
        let root = std::env::temp_dir().join(format!("gradprobe-peers-{}", std::process::id()));
        let environment = Environment::in_folder(&root);
        let message = environment.ready().expect_err("nothing is there");
        assert!(message.contains("cargo xtask peers"), "{message}");
        let python = environment.python();
        fs::create_dir_all(python.parent().expect("a folder")).expect("made");
        fs::write(&python, "").expect("written");
        assert!(environment.ready().is_err(), "pip was not done");
        fs::write(environment.folder().join(COMPLETE), "").expect("written");
        assert_eq!(environment.ready(), Ok(python));
        fs::remove_dir_all(&root).expect("removed");
    }

    #[test]
    fn a_change_of_any_text_changes_the_hash() {
        assert_eq!(fnv1a(&[]), 0xcbf2_9ce4_8422_2325);
        assert_ne!(fnv1a(&["a", "b"]), fnv1a(&["ab"]));
        assert_ne!(fnv1a(&["a", "b"]), fnv1a(&["a", "c"]));
    }
}
