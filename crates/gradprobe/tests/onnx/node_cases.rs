//! The node cases of ONNX's own backend suite, written by `cases.py`; skipped where the variable
//! `GRADPROBE_ONNX_CASES` names no folder of them.

use gradprobe::data::{Array, read_arrays};
use gradprobe::import::onnx::{coverage, evaluate};
use gradprobe::ops::Mode;
use std::collections::BTreeMap;
use std::path::Path;

const LIMIT: u64 = 1 << 30;

/// Cases of operators in the table that are known not to pass, with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[];

enum Verdict {
    Passed,
    Failed(String),
    Unsupported(String),
}

fn run(folder: &Path) -> Verdict {
    let inputs = read_arrays(&folder.join("inputs.npz"), LIMIT).unwrap();
    let expected = read_arrays(&folder.join("outputs.npz"), LIMIT).unwrap();
    let tolerance = std::fs::read_to_string(folder.join("tolerance.txt")).unwrap();
    let mut tolerance = tolerance.split(' ').map(|x| x.parse::<f64>().unwrap());
    let (relative, absolute) = (tolerance.next().unwrap(), tolerance.next().unwrap());
    let outputs = match evaluate(&folder.join("model.onnx"), &inputs, Mode::Eval) {
        Ok(outputs) => outputs,
        Err(error) => return Verdict::Unsupported(error.to_string()),
    };
    let named = |name: &str| outputs.iter().find(|array| array.name == name);
    for Array { name, tensor } in &expected {
        let Some(got) = named(name) else {
            return Verdict::Failed(format!("no output {name}"));
        };
        if got.tensor.shape() != tensor.shape() {
            let (got, expected) = (got.tensor.shape(), tensor.shape());
            return Verdict::Failed(format!("{name}: shape {got}, expected {expected}"));
        }
        let pairs = got.tensor.data().iter().zip(tensor.data());
        for (index, (&got, &expected)) in pairs.enumerate() {
            // Numbers that overflow float32 are infinite there.
            let same = got == expected
                || got.is_nan() && expected.is_nan()
                || (got as f32) as f64 == expected
                || (got - expected).abs() <= absolute + relative * expected.abs();
            if !same {
                return Verdict::Failed(format!("{name}[{index}]: {got}, expected {expected}"));
            }
        }
    }
    Verdict::Passed
}

#[test]
fn node_cases_of_the_backend_suite_pass() {
    let Ok(folder) = std::env::var("GRADPROBE_ONNX_CASES") else {
        eprintln!("skipped: GRADPROBE_ONNX_CASES names no folder (see cases.py)");
        return;
    };
    let known: Vec<&str> = coverage().iter().map(|op| op.name).collect();
    let mut by_op: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut counted = [0usize; 2];
    let mut folders: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    for folder in folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let op = std::fs::read_to_string(folder.join("op.txt")).unwrap();
        let listed = known.iter().any(|known| known.eq_ignore_ascii_case(&op));
        let counts = by_op.entry(op.clone()).or_default();
        let excused = EXCEPTIONS.iter().any(|(excused, _)| *excused == name);
        let at = match run(&folder) {
            Verdict::Passed => 0,
            Verdict::Failed(why) => {
                wrong.push(format!("failed {name}: {why}"));
                1
            }
            Verdict::Unsupported(why) => {
                if listed {
                    wrong.push(format!("unsupported {name}: {why}"));
                }
                2
            }
        };
        counts[at] += 1;
        if listed && !excused {
            counted[usize::from(at > 0)] += 1;
        }
    }
    println!("{:28} passed failed unsupported", "operator");
    for (op, [passed, failed, unsupported]) in &by_op {
        println!("{op:28} {passed:6} {failed:6} {unsupported:11}");
    }
    for line in &wrong {
        println!("{line}");
    }
    let [passed, others] = counted;
    println!("of the operators in the table: {passed} passed, {others} did not");
    assert!(
        passed as f64 >= 0.98 * (passed + others) as f64,
        "{passed} of {} pass",
        passed + others
    );
}
