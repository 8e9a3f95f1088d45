//! What `gradprobe check`, `gradprobe jacobian` and `gradprobe init` print, and how they refuse.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod documents;
mod gate;
mod jacobian;
mod onnx;
mod output;
mod rules;
mod sarif_schema;
mod schema;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The program, without what a developer's shell says about colours and threads.
fn gradprobe(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradprobe"));
    for variable in ["COLUMNS", "CLICOLOR_FORCE", "RAYON_NUM_THREADS"] {
        command.env_remove(variable);
    }
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    gradprobe(arguments).output().unwrap()
}

/// What is printed by a command that says nothing on stderr and ends with `status`.
fn printed(arguments: &[&str], status: i32) -> String {
    let output = run(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(status),
        "{arguments:?}: {errors}"
    );
    assert_eq!(errors, "", "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn example(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    folder.join(name).to_str().unwrap().to_owned()
}

/// A folder with a network in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(network: &str) -> Self {
        let folder = Self::new();
        folder.file("network.toml", network);
        folder
    }

    fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, contents).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn network(&self) -> String {
        self.path("network.toml").to_str().unwrap().to_owned()
    }
}
