//! Makers: scripts that export networks and record what their framework computes for them.

use crate::case::Case;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::environment::{Environment, fnv1a};

/// The cases that a maker makes.
///
/// # Panics
/// If the peers are not installed, or the maker fails.
pub fn cases(name: &str) -> Vec<Case> {
    let folder = run_maker(name);
    let text = fs::read_to_string(folder.join("cases.json")).unwrap();
    let mut cases: Vec<Case> = serde_json::from_str(&text).unwrap();
    for case in &mut cases {
        case.folder.clone_from(&folder);
    }
    cases
}

/// Runs `makers/NAME.py FOLDER` and says which folder it wrote to. It runs again when it, what it
/// shares with others, or the peers have changed.
///
/// # Panics
/// If the peers are not installed, or the maker fails.
pub fn run_maker(name: &str) -> PathBuf {
    let environment = Environment::find().unwrap_or_else(|message| panic!("{message}"));
    let python = environment
        .ready()
        .unwrap_or_else(|message| panic!("{message}"));
    let makers = Path::new(env!("CARGO_MANIFEST_DIR")).join("makers");
    let script = makers.join(format!("{name}.py"));
    let mut texts = vec![environment.folder().display().to_string()];
    texts.extend(shared(&makers).iter().map(|path| text_of(path)));
    texts.push(text_of(&script));
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let of_name = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/peers")
        .join(name);
    let folder = of_name.join(format!("{:016x}", fnv1a(&texts)));
    fs::create_dir_all(&of_name).unwrap();
    let lock = File::create(of_name.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if folder.is_dir() {
        return folder;
    }
    // Renamed when it is whole: what an interrupted maker left is not taken for it.
    fs::remove_dir_all(&of_name).unwrap();
    let unfinished = of_name.join("unfinished");
    fs::create_dir_all(&unfinished).unwrap();
    let output = Command::new(python)
        .arg(&script)
        .arg(&unfinished)
        .env("OMP_NUM_THREADS", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("TF_CPP_MIN_LOG_LEVEL", "3")
        .env("CUDA_VISIBLE_DEVICES", "")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{} failed:\n{}",
        script.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    fs::rename(&unfinished, &folder).unwrap();
    folder
}

/// The modules that makers share: their names begin with `_`.
fn shared(makers: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(makers).unwrap();
    let mut shared: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    shared.retain(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with('_') && name.ends_with(".py")
    });
    shared.sort();
    shared
}

fn text_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
