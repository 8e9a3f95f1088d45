//! What is said on stderr: mistakes, progress, times.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Says a line on stderr. One that cannot be written (a full disk, a closed terminal) is no reason
/// to stop, and none to change the exit status.
pub fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

/// A line on stderr that counts what is done, on a terminal only.
pub struct Progress {
    noun: &'static str,
    total: usize,
    wanted: bool,
    shown: bool,
}

impl Progress {
    /// Counts up to `total`, if that is more than one and `wanted`.
    pub fn new(noun: &'static str, total: usize, wanted: bool) -> Self {
        Self {
            noun,
            total,
            wanted: wanted && total > 1 && std::io::stderr().is_terminal(),
            shown: false,
        }
    }

    /// So many are done; once all are, the line is gone, so that the result can follow.
    pub fn show(&mut self, done: usize) {
        if !self.wanted {
            return;
        }
        if done == self.total {
            return self.clear();
        }
        const WIDTH: usize = 30;
        let full = WIDTH * done.min(self.total) / self.total;
        let (full, rest) = ("█".repeat(full), "░".repeat(WIDTH - full));
        let mut stderr = std::io::stderr().lock();
        let _ = write!(
            stderr,
            "\r{} {done} of {} {full}{rest}",
            self.noun, self.total
        )
        .and_then(|()| stderr.flush());
        self.shown = true;
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// How long each step took, told on stderr under `--verbose`.
pub struct Times {
    wanted: bool,
    began: Instant,
    step: Instant,
}

impl Times {
    /// Starts the clock.
    pub fn new(wanted: bool) -> Self {
        let now = Instant::now();
        Self {
            wanted,
            began: now,
            step: now,
        }
    }

    /// A step ends.
    pub fn step(&mut self, what: std::fmt::Arguments<'_>) {
        if self.wanted {
            let took = self.step.elapsed();
            say(format_args!("{what}: {}", seconds(took)));
            self.step = Instant::now();
        }
    }

    /// All is done.
    pub fn end(&self) {
        if self.wanted {
            say(format_args!("in all: {}", seconds(self.began.elapsed())));
            if let Some(peak) = peak_memory() {
                let mebibytes = peak as f64 / 1024.0;
                say(format_args!("peak of resident memory: {mebibytes:.1} MiB"));
            }
        }
    }
}

/// The most memory of this process that was resident so far, in KiB, where the system says so
/// (Linux: `VmHWM` of proc_pid_status(5)).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}
