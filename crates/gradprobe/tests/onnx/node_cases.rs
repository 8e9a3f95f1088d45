//! The node cases of ONNX's own backend suite (onnx 1.23.2, Apache-2.0), written by `cases.py` and
//! kept as an archive.

use gradprobe::data::{Array, read_arrays};
use gradprobe::import::onnx::{coverage, evaluate};
use gradprobe::ops::Mode;
use lzma_rust2::XzReader;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tar::Archive;

pub const LIMIT: u64 = 1 << 30;

/// Cases of operators in the table that are known not to pass: how their names begin, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    (
        "resize_downsample_scales_cubic_align_corners",
        "counts 2.4 outputs where there are 2; PyTorch and onnxruntime count 2, as is done here",
    ),
    (
        "resize_downsample_scales_linear_align_corners",
        "counts 2.4 outputs where there are 2; PyTorch and onnxruntime count 2, as is done here",
    ),
    (
        "dft_inverse",
        "is made in single precision, in which a part that is exactly 0 comes out as 1.9e-7",
    ),
    (
        "bernoulli",
        "which elements are drawn is up to the random numbers, here not NumPy's",
    ),
    (
        "training_dropout",
        "which elements are dropped is up to the random numbers, here not NumPy's",
    ),
];

/// Is the case one of training?
pub fn mode(name: &str) -> Mode {
    if name.contains("training") {
        Mode::Train
    } else {
        Mode::Eval
    }
}

enum Verdict {
    Passed,
    Failed(String),
    Unsupported(String),
}

fn run(folder: &Path, mode: Mode) -> Verdict {
    let inputs = read_arrays(&folder.join("inputs.npz"), LIMIT).unwrap();
    let expected = read_arrays(&folder.join("outputs.npz"), LIMIT).unwrap();
    let tolerance = std::fs::read_to_string(folder.join("tolerance.txt")).unwrap();
    let mut tolerance = tolerance.split(' ').map(|x| x.parse::<f64>().unwrap());
    let (relative, absolute) = (tolerance.next().unwrap(), tolerance.next().unwrap());
    let outputs = match evaluate(&folder.join("model.onnx"), &inputs, mode) {
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

/// The folders of all cases, sorted: those of the archive, unpacked once, or those below the folder
/// that the variable `GRADPROBE_ONNX_CASES` names.
pub fn folders() -> Vec<PathBuf> {
    static UNPACKED: OnceLock<PathBuf> = OnceLock::new();
    let folder = match std::env::var_os("GRADPROBE_ONNX_CASES") {
        Some(folder) => PathBuf::from(folder),
        None => UNPACKED.get_or_init(unpack).clone(),
    };
    let entries = std::fs::read_dir(folder).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn unpack() -> PathBuf {
    let packed: &[u8] = include_bytes!("node_cases.tar.xz");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("onnx_node_cases");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    Archive::new(XzReader::new(packed, false))
        .unpack(&folder)
        .unwrap();
    folder
}

#[test]
fn node_cases_of_the_backend_suite_pass() {
    let folders = folders();
    let known: Vec<&str> = coverage().iter().map(|op| op.name).collect();
    let mut by_op: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut counted = [0usize; 3];
    for folder in folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let op = std::fs::read_to_string(folder.join("op.txt")).unwrap();
        let listed = known.iter().any(|known| known.eq_ignore_ascii_case(&op));
        let counts = by_op.entry(op.clone()).or_default();
        let bare = name.strip_prefix("test_").unwrap_or(&name);
        let excused = EXCEPTIONS.iter().any(|(start, _)| bare.starts_with(start));
        let at = match run(&folder, mode(&name)) {
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
        if listed {
            let which = if at == 0 { 0 } else { 1 + usize::from(excused) };
            counted[which] += 1;
        }
    }
    println!("{:28} passed failed unsupported", "operator");
    for (op, [passed, failed, unsupported]) in &by_op {
        println!("{op:28} {passed:6} {failed:6} {unsupported:11}");
    }
    for line in &wrong {
        println!("{line}");
    }
    let [passed, others, excused] = counted;
    println!(
        "of the operators in the table: {passed} passed, {excused} are exceptions with a reason, \
         {others} others did not"
    );
    assert_eq!(others, 0, "see above");
    assert!(100 * passed >= 98 * (passed + excused), "see above");
}
