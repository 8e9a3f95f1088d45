//! Checks of the repository itself.
//!
//! `cargo xtask test` is the one command that runs everything CI runs; `cargo xtask peers` installs
//! the frameworks that some tests compare with; `cargo xtask layers` holds the imports of the library
//! against the order of its modules, its files against circles, and what judges networks against
//! deciding by the names of ops;
//! `cargo xtask real-files` holds what real ONNX files give against `docs/REAL_FILES.md`; `cargo xtask
//! instructions` holds the instruction counts of kernels against the recorded ones.

mod circles;
mod instructions;
mod layers;
mod names;
mod real_files;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use xtask::environment::Environment;

const USAGE: &str =
    "usage: cargo xtask <test|peers|layers|real-files FOLDER|instructions [--record]>";

/// Where the sources of the crates are that make the program.
const SOURCES: [&str; 3] = [
    "crates/gradprobe-engine/src",
    "crates/gradprobe/src",
    "crates/gradprobe-cli/src",
];

/// The root of the workspace.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        Some("layers") => structure(),
        Some("instructions") => {
            let record = std::env::args().nth(2).as_deref() == Some("--record");
            instructions::check(&root(), record)
        }
        Some("peers") => peers(),
        Some("real-files") => match std::env::args().nth(2) {
            Some(folder) => real_files::check(&root(), Path::new(&folder)),
            None => Err(USAGE.into()),
        },
        Some("test") => test(),
        _ => Err(USAGE.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Installs the frameworks that the tests of `peers/` compare with, and says where.
fn peers() -> Result<(), String> {
    let environment = Environment::find()?;
    environment.make()?;
    println!("{}", environment.folder().display());
    Ok(())
}

/// The order of the modules, files in circles, decisions by name.
fn structure() -> Result<(), String> {
    layers::check(&root())?;
    circles::check(&root(), &SOURCES)?;
    names::check(&root())
}

/// Formatting, the order of the modules, lints, every test, instruction counts and licences, in the
/// order in which a failure is found soonest. What the tests compare with is installed first, where
/// it is missing.
fn test() -> Result<(), String> {
    cargo(&["fmt", "--all", "--check"])?;
    structure()?;
    cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ])?;
    Environment::find()?.make()?;
    cargo(&["test", "--workspace", "--no-fail-fast"])?;
    instructions::check(&root(), false)?;
    licences()
}

fn cargo(arguments: &[&str]) -> Result<(), String> {
    eprintln!("== cargo {}", arguments.join(" "));
    let status = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(root())
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("cargo {} failed", arguments.join(" ")))
    }
}

/// The licences that a dependency may be under: permissive ones that ask for attribution at most.
const ALLOWED: [&str; 13] = [
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "0BSD",
    "ISC",
    "Zlib",
    "Unlicense",
    "CC0-1.0",
    "Unicode-3.0",
    "BSL-1.0",
];

/// Every crate in the lock file can be used under an allowed licence.
fn licences() -> Result<(), String> {
    eprintln!("== licences");
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--workspace",
            "--edges",
            "normal,build,dev",
            "--prefix",
            "none",
            "--format",
            "{p}\t{l}",
        ])
        .current_dir(root())
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err("cargo tree failed".into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut refused: Vec<&str> = text.lines().filter(|line| !is_allowed(line)).collect();
    refused.sort_unstable();
    refused.dedup();
    if refused.is_empty() {
        return Ok(());
    }
    Err(format!(
        "not under an allowed licence:\n{}",
        refused.join("\n")
    ))
}

/// One alternative of `A OR B/C`, each of whose parts (`AND`) is allowed.
fn is_allowed(line: &str) -> bool {
    let Some((_, licence)) = line.split_once('\t') else {
        return line.trim().is_empty();
    };
    let licence = licence
        .trim_end_matches(" (*)")
        .replace(['(', ')'], "")
        .replace('/', " OR ");
    licence.split(" OR ").any(|alternative| {
        alternative
            .split(" AND ")
            .all(|part| ALLOWED.contains(&part.trim()))
    })
}
