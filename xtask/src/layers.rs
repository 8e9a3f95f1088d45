//! Holds every `crate::…` of the library and its engine against the order of their modules: a module
//! knows those before it, never those after it.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules of both crates, in the order in which data flows through them. The library
/// re-exports those of the engine.
const ORDER: [&str; 13] = [
    "num", "ops", "graph", "run", "theory", "init", "data", "import", "measure", "diagnose", "fix",
    "report", "check",
];
const CRATES: [&str; 2] = ["crates/gradprobe-engine/src", "crates/gradprobe/src"];

/// Checks every file of the two.
pub fn check(root: &Path) -> Result<(), String> {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for source in CRATES {
        checked += check_crate(&root.join(source), &mut wrong)?;
    }
    eprintln!("== layers: {checked} files");
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

/// Adds what is wrong in a crate; returns how many files it has.
fn check_crate(source: &Path, wrong: &mut Vec<String>) -> Result<usize, String> {
    let mut files = Vec::new();
    collect(source, &mut files)?;
    for file in &files {
        let Ok(inside) = file.strip_prefix(source) else {
            continue;
        };
        let first = inside
            .components()
            .next()
            .map(|part| part.as_os_str().to_string_lossy());
        let room = first.as_deref().unwrap_or_default().trim_end_matches(".rs");
        let Some(own) = ORDER.iter().position(|&name| name == room) else {
            if inside != Path::new("lib.rs") {
                wrong.push(format!(
                    "{}: `{room}` is not in the order of modules",
                    inside.display()
                ));
            }
            continue;
        };
        let text =
            fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        // What tests use is no part of the structure.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            for used in line.split("crate::").skip(1) {
                let name: String = used
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                if ORDER
                    .iter()
                    .position(|&known| known == name)
                    .is_some_and(|used| used > own)
                {
                    wrong.push(format!(
                        "{}:{}: `{room}` must not know `{name}`, which comes after it",
                        inside.display(),
                        number + 1
                    ));
                }
            }
        }
    }
    Ok(files.len())
}

/// Adds the Rust files of a folder and of those in it.
pub fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry
            .map_err(|error| format!("{}: {error}", folder.display()))?
            .path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
