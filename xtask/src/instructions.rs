//! Instruction counts of some kernels, under Valgrind, held against recorded ones.
//!
//! Valgrind offers a program AVX2 and FMA at most, on any machine that has them, and counts what
//! is executed: a count is that of the kernels' AVX2 paths and does not depend on how fast the
//! machine is or what else it does. It does depend on the compiler: the record says which one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A kernel may take so many times the instructions that are recorded.
const MOST: f64 = 1.1;

/// Counts the kernels and fails if one takes too many instructions, or writes the record anew.
///
/// # Errors
/// If there is no Valgrind, a kernel cannot be counted, or one has become more expensive.
pub fn check(root: &Path, record: bool) -> Result<(), String> {
    eprintln!("== instructions");
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        eprintln!("skipped: they are recorded for Linux on x86-64");
        return Ok(());
    }
    let installed = Command::new("valgrind").arg("--version").output().is_ok();
    if !installed {
        let how = "Valgrind is not installed (apt-get install valgrind)";
        if std::env::var_os("CI").is_some() {
            return Err(how.into());
        }
        eprintln!("skipped: {how}");
        return Ok(());
    }
    let program = build(root)?;
    let names = output(Command::new(&program))?.0;
    let counts: BTreeMap<String, u64> = names
        .lines()
        .map(|name| Ok((name.to_owned(), count(&program, name)?)))
        .collect::<Result<_, String>>()?;
    let file = root.join("bench").join("instructions.txt");
    if record {
        return std::fs::write(&file, render(&counts)?)
            .map_err(|error| format!("{}: {error}", file.display()));
    }
    let text =
        std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    compare(&counts, &parse(&text)?)
}

fn build(root: &Path) -> Result<PathBuf, String> {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--profile", "profiling"])
        .args(["--package", "gradprobe-engine"])
        .args(["--example", "count_kernels"])
        .current_dir(root)
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !status.success() {
        return Err("the kernels cannot be built".into());
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("profiling/examples/count_kernels"))
}

fn count(program: &Path, name: &str) -> Result<u64, String> {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args([
            "--collect-atstart=no",
            "--toggle-collect=count_kernels::counted",
        ])
        .arg(program)
        .arg(name);
    let (_, told) = output(valgrind)?;
    let collected = told
        .lines()
        .find_map(|line| line.split("Collected : ").nth(1));
    match collected.and_then(|count| count.trim().parse().ok()) {
        Some(count @ 1..) => Ok(count),
        _ => Err(format!("nothing was counted of {name}:\n{told}")),
    }
}

/// What a program wrote on its two streams.
fn output(mut command: Command) -> Result<(String, String), String> {
    let output = command
        .output()
        .map_err(|error| format!("cannot run {command:?}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        return Err(format!("{command:?} failed:\n{}", text(&output.stderr)));
    }
    Ok((text(&output.stdout), text(&output.stderr)))
}

fn render(counts: &BTreeMap<String, u64>) -> Result<String, String> {
    let mut rustc = Command::new("rustc");
    rustc.arg("--version");
    let compiler = output(rustc)?.0;
    let mut text = format!(
        "# Instructions of a call of each kernel, forward and back, on one thread with AVX2 and FMA:\n\
         # written by `cargo xtask instructions --record`, with {}.\n\
         # `cargo xtask test` fails where one takes a tenth more.\n",
        compiler.trim()
    );
    for (name, count) in counts {
        text += &format!("{name} {count}\n");
    }
    Ok(text)
}

fn parse(text: &str) -> Result<BTreeMap<String, u64>, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let entry = |line: &str| {
        let (name, count) = line.split_once(' ')?;
        Some((name.to_owned(), count.parse().ok()?))
    };
    lines
        .map(|line| entry(line).ok_or_else(|| format!("not a count: {line:?}")))
        .collect()
}

fn compare(counts: &BTreeMap<String, u64>, recorded: &BTreeMap<String, u64>) -> Result<(), String> {
    let mut wrong = Vec::new();
    for (name, &count) in counts {
        match recorded.get(name) {
            Some(&before) => {
                let ratio = count as f64 / before as f64;
                eprintln!("{name}: {count} instructions, {ratio:.3} of the {before} recorded");
                if ratio > MOST {
                    wrong.push(format!("{name} takes {ratio:.2} times its instructions"));
                }
            }
            None => wrong.push(format!("{name} is not recorded")),
        }
    }
    let gone = recorded.keys().filter(|name| !counts.contains_key(*name));
    wrong.extend(gone.map(|name| format!("{name} is recorded and no longer counted")));
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}\n(if that is meant: cargo xtask instructions --record)",
        wrong.join("\n")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_of_more_than_a_tenth_is_refused_and_a_fall_is_not() {
        let recorded = parse("# by hand\none 1000\nother 200\n").expect("two counts");
        let with = |one: u64| BTreeMap::from([("one".into(), one), ("other".into(), 150)]);
        assert!(compare(&with(1100), &recorded).is_ok());
        assert!(compare(&with(500), &recorded).is_ok());
        let error = compare(&with(1101), &recorded).expect_err("too many");
        assert!(error.starts_with("one takes 1.10 times"), "{error}");
    }

    #[test]
    fn a_kernel_without_a_record_and_a_record_without_a_kernel_are_told() {
        let one = BTreeMap::from([("one".to_owned(), 1)]);
        let other = BTreeMap::from([("other".to_owned(), 1)]);
        let error = compare(&one, &other).expect_err("they differ");
        assert!(error.contains("one is not recorded"));
        assert!(error.contains("other is recorded and no longer counted"));
        assert!(parse("one").is_err());
    }
}
