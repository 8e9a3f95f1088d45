//! Measuring a phase diagram so that it can be interrupted: what is finished is kept in a file beside
//! the picture, and the same command goes on from it.

use crate::failure::{Failure, in_words};
use crate::output::{OutputArguments, shown};
use crate::talk::{Progress, say};
use gradprobe::diagnose::experiment::{GridRun, GridSettings, MeasuredDiagram, measure_grid};
use gradprobe::ops::activation::Activation;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Exit status of an interrupted command: 128 and the number of SIGINT.
pub const INTERRUPTED: u8 = 130;

/// How often what is finished is written on the way, for the case that nobody asks first.
const KEPT_EVERY: Duration = Duration::from_secs(5);

/// The name and version of what is kept. A version measures other numbers than the one before.
const SCHEMA: &str = "gradprobe.phase-grid/1";

/// What is kept of an unfinished diagram.
#[derive(Debug, Serialize, Deserialize)]
struct Partial {
    schema: String,
    settings: GridSettings,
    finished: Vec<GridRun>,
}

/// How measuring ended.
pub enum GridOutcome {
    /// With every point.
    Measured(Box<MeasuredDiagram>),
    /// Before that.
    Interrupted,
}

/// Where the finished points of a diagram are kept until it is drawn.
pub fn partial_file(diagram: &Path) -> PathBuf {
    let mut name = diagram.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Removes it, where it is.
pub fn forget(file: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::Input(format!(
            "cannot remove `{}`: {}",
            shown(file),
            in_words(&error)
        ))),
        _ => Ok(()),
    }
}

/// Measures what of a grid is not finished yet. Ctrl-C ends it soon, a second one at once.
pub fn measure(
    settings: GridSettings,
    activation: &Arc<dyn Activation>,
    file: &Path,
    threads: usize,
    wants_progress: bool,
) -> Result<GridOutcome, Failure> {
    let finished = finished(&settings, file)?;
    let stop = Arc::new(AtomicBool::new(false));
    listen(&stop);
    let mut progress = Progress::new("point", settings.run_count(), wants_progress);
    progress.show(finished.len());
    struct State {
        progress: Progress,
        runs: Vec<GridRun>,
        kept: Instant,
        failure: Option<Failure>,
    }
    let state = Mutex::new(State {
        progress,
        runs: finished.clone(),
        kept: Instant::now(),
        failure: None,
    });
    let told = |runs: Vec<GridRun>| {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.runs.extend(runs);
        let done = state.runs.len();
        state.progress.show(done);
        if state.kept.elapsed() > KEPT_EVERY && done < settings.run_count() {
            state.kept = Instant::now();
            if let Err(failure) = keep(&settings, &state.runs, file) {
                state.failure.get_or_insert(failure);
                stop.store(true, Ordering::Relaxed);
            }
        }
    };
    let ended = measure_grid(&settings, activation, &finished, threads, &stop, &told);
    let State {
        runs,
        failure: not_kept,
        ..
    } = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    ended.map_err(|error| Failure::escaped(&error))?;
    if let Some(not_kept) = not_kept {
        return Err(not_kept);
    }
    if runs.len() == settings.run_count() {
        let measured = MeasuredDiagram::of(settings, &**activation, &runs, threads);
        let measured = measured.map_err(|error| Failure::escaped(&error))?;
        return Ok(GridOutcome::Measured(Box::new(measured)));
    }
    if runs.is_empty() {
        say(format_args!(
            "interrupted before the first point was finished"
        ));
        return Ok(GridOutcome::Interrupted);
    }
    keep(&settings, &runs, file)?;
    say(format_args!(
        "interrupted: {} of {} points are finished and kept in `{}`; the same command goes on from \
         them",
        runs.len(),
        settings.run_count(),
        shown(file)
    ));
    Ok(GridOutcome::Interrupted)
}

/// Raises the flag at SIGINT, SIGTERM and SIGHUP; ends the process where it is up already.
fn listen(stop: &Arc<AtomicBool>) {
    let stop = Arc::clone(stop);
    let handler = move || {
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(INTERRUPTED));
        }
    };
    // Without a handler an interruption loses what was finished since the file was last written.
    let _ = ctrlc::set_handler(handler);
}

fn keep(settings: &GridSettings, finished: &[GridRun], file: &Path) -> Result<(), Failure> {
    let partial = Partial {
        schema: SCHEMA.into(),
        settings: settings.clone(),
        finished: finished.to_vec(),
    };
    OutputArguments::to(file).write(|out| {
        serde_json::to_writer(&mut *out, &partial)?;
        writeln!(out)
    })
}

/// What an interrupted run of the same settings left.
fn finished(settings: &GridSettings, file: &Path) -> Result<Vec<GridRun>, Failure> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let (file, why) = (shown(file), in_words(&error));
            return Err(Failure::Input(format!("cannot read `{file}`: {why}")));
        }
    };
    let refused = |why: &str| {
        Failure::Input(format!(
            "`{}` {why}; delete it to begin anew, or give the diagram another name",
            shown(file)
        ))
    };
    let partial: Partial = serde_json::from_str(&text)
        .map_err(|_| refused("does not hold the finished points of a diagram"))?;
    if partial.schema != SCHEMA {
        return Err(refused("was written by another version of gradprobe"));
    }
    if let Some(difference) = settings.difference(&partial.settings) {
        let difference = gradprobe::report::escape(&difference).into_owned();
        return Err(refused(&format!(
            "holds finished points of other settings: {difference}"
        )));
    }
    if !settings.owns(&partial.finished) {
        return Err(refused("does not hold the finished points of a diagram"));
    }
    Ok(partial.finished)
}
