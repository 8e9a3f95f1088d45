//! `cargo xtask real-files FOLDER`: what gradprobe makes of the real ONNX files that
//! `docs/REAL_FILES.md` lists, which lie in a folder outside the repository.
//!
//! A row of that table is a file of a package, its hash, and what it gives: it runs, with so many
//! numbers trained, frozen and not judged, whose sum is that of the file as it is counted here; or
//! it is refused with a sentence.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::onnx_floats;

const TABLE: &str = "docs/REAL_FILES.md";

/// The share of files that has to run.
const SHARE_THAT_RUNS: f64 = 0.85;

/// What gradprobe says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// It ran: how many numbers are trained, frozen, not judged.
    Ran([u64; 3]),
    /// It was refused, in these words.
    Refused(String),
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ran([trained, frozen, not_judged]) => write!(
                out,
                "ran: {trained} trained, {frozen} frozen, {not_judged} not judged"
            ),
            Self::Refused(sentence) => write!(out, "refused: {sentence}"),
        }
    }
}

/// A row of the table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    package: String,
    file: String,
    hash: String,
    outcome: String,
}

/// Runs every file of the table that is in the folder, and says which are not, and what files there
/// are that the table does not have.
///
/// # Errors
/// If a file gives another result, or not enough run.
pub fn check(root: &Path, folder: &Path) -> Result<(), String> {
    let binary = binary(root)?;
    let text = fs::read_to_string(root.join(TABLE)).map_err(|e| format!("{TABLE}: {e}"))?;
    let rows = rows(&text);
    let mut files = BTreeMap::new();
    collect(folder, &mut files)?;
    let mut wrong = Vec::new();
    let (mut ran, mut known) = (0, 0);
    for row in &rows {
        let Some(path) = files.remove(&row.hash) else {
            println!("missing: {} of {} ({})", row.file, row.package, row.hash);
            continue;
        };
        let outcome = run(&binary, &path)?;
        known += 1;
        ran += usize::from(matches!(outcome, Outcome::Ran(_)));
        if outcome.to_string() == row.outcome {
            println!("as listed: {}, {}", row.package, row.file);
        } else {
            wrong.push(format!(
                "{} of {} gives\n  {outcome}, listed is\n  {}",
                row.file, row.package, row.outcome
            ));
        }
    }
    if known < rows.len() {
        println!(
            "of each package that is missing: `pip download --no-deps NAME==VERSION`, or \
             `npm pack NAME@VERSION` where it begins with npm; unpack it below {}",
            folder.display()
        );
    }
    for (hash, path) in &files {
        let place = path.strip_prefix(folder).unwrap_or(path).display();
        println!("not listed: | {place} | {hash} | {} |", run(&binary, path)?);
    }
    println!("{ran} of {known} run; {} are missing", rows.len() - known);
    if known > 0 && (ran as f64) < SHARE_THAT_RUNS * known as f64 {
        wrong.push(format!("fewer than {:.0} % run", SHARE_THAT_RUNS * 100.0));
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(wrong.join("\n")),
    }
}

/// The newer one of the binaries that were built.
fn binary(root: &Path) -> Result<PathBuf, String> {
    let built = ["release", "debug"].map(|profile| {
        let name = format!("gradprobe{}", std::env::consts::EXE_SUFFIX);
        root.join("target").join(profile).join(name)
    });
    let age = |path: &PathBuf| fs::metadata(path).and_then(|data| data.modified()).ok();
    let built = built.into_iter().filter(|path| age(path).is_some());
    built
        .max_by_key(age)
        .ok_or_else(|| "there is no binary yet: run `cargo build --release`".into())
}

/// The rows whose third column is a hash.
fn rows(text: &str) -> Vec<Row> {
    let rows = text.lines().filter_map(|line| {
        let cells = line.trim().strip_prefix('|')?.strip_suffix('|')?;
        let mut cells = cells.split('|').map(|cell| cell.trim().to_owned());
        let (package, file, hash) = (cells.next()?, cells.next()?, cells.next()?);
        let is_hash = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        is_hash.then_some(Row {
            package,
            file,
            hash,
            outcome: cells.next()?,
        })
    });
    rows.collect()
}

/// Every ONNX file below a folder, by its hash.
fn collect(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<(), String> {
    let said = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(said)? {
        let path = entry.map_err(said)?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|end| end == "onnx") {
            let bytes = fs::read(&path).map_err(said)?;
            let hash = Sha256::digest(&bytes);
            let hash = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            files.insert(hash, path);
        }
    }
    Ok(())
}

/// What gradprobe says of a file without any option.
fn run(binary: &Path, path: &Path) -> Result<Outcome, String> {
    // From its own folder, so that what is said does not depend on where that is.
    let (folder, file) = (path.parent(), path.file_name());
    let (Some(folder), Some(file)) = (folder, file) else {
        return Err(format!("{} is no file", path.display()));
    };
    let mut command = Command::new(binary);
    command.current_dir(folder).arg("check").arg(file);
    command.args(["--isolated", "--quiet", "--format", "json"]);
    command.args(["--fail-on", "never"]);
    let output = command
        .output()
        .map_err(|error| format!("cannot run {}: {error}", binary.display()))?;
    match output.status.code() {
        Some(0) => {}
        Some(2) => {
            let text = String::from_utf8_lossy(&output.stderr);
            let first = text.lines().next().unwrap_or_default();
            let sentence = first.trim_start_matches("error: ").replace('|', "/");
            return Ok(Outcome::Refused(sentence));
        }
        _ => return Err(format!("{} ends with {}", path.display(), output.status)),
    }
    let json: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{}: no JSON: {error}", path.display()))?;
    // A file that holds no floating-point number, but makes its weights by nodes, has no counts.
    let numbers = &json["file_numbers"];
    let count = |name: &str| match numbers {
        serde_json::Value::Null => Some(0),
        numbers => numbers[name].as_u64(),
    };
    let counts = (count("trained"), count("frozen"), count("not_judged"));
    let (Some(trained), Some(frozen), Some(not_judged)) = counts else {
        return Err(format!("{}: the result lacks counts", path.display()));
    };
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (sum, expected) = (trained + frozen + not_judged, onnx_floats::count(&bytes));
    if sum != expected {
        return Err(format!(
            "{}: {trained} trained, {frozen} frozen and {not_judged} not judged are {sum} numbers, \
             and the file has {expected}",
            path.display()
        ));
    }
    Ok(Outcome::Ran([trained, frozen, not_judged]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_those_with_a_hash() {
        let hash = "0123456789abcdef".repeat(4);
        let text = format!(
            "# Title\n\n| package | file | sha256 | gives |\n|---|---|---|---|\n\
             | a 1.0 | b/c.onnx | {hash} | ran: 3 trained, 2 frozen, 1 not judged |\n"
        );
        let rows = rows(&text);
        assert_eq!(rows.len(), 1);
        assert_eq!((&rows[0].package[..], &rows[0].hash), ("a 1.0", &hash));
        assert_eq!(rows[0].outcome, Outcome::Ran([3, 2, 1]).to_string());
    }
}
