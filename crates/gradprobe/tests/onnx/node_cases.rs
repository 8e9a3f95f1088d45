//! The node cases of ONNX's own backend suite, written by `cases.py`; skipped where the variable
//! `GRADPROBE_ONNX_CASES` names no folder of them.

use gradprobe::data::{Array, read_arrays};
use gradprobe::import::onnx::{coverage, evaluate};
use gradprobe::ops::Mode;
use std::collections::BTreeMap;
use std::path::Path;

const LIMIT: u64 = 1 << 30;

/// Cases of operators in the table that are known not to pass: how their names begin, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    (
        "attention_local_window",
        "attention to a window of neighbours",
    ),
    (
        "attention_3d_local_window",
        "attention to a window of neighbours",
    ),
    (
        "attention_bidirectional_window",
        "attention to a window of neighbours",
    ),
    (
        "attention_4d_causal_nonpad",
        "keys that are padding (nonpad_kv_seqlen)",
    ),
    (
        "attention_4d_diff_heads_mask4d_padded_kv",
        "keys that are padding (nonpad_kv_seqlen)",
    ),
    (
        "attention_4d_gqa_causal_nonpad",
        "keys that are padding (nonpad_kv_seqlen)",
    ),
    (
        "attention_23_boolmask_fullymasked",
        "a query that sees nothing is NaN, as in PyTorch",
    ),
    (
        "attention_23_fullymasked",
        "a query that sees nothing is NaN, as in PyTorch",
    ),
    (
        "attention_24_fullymasked",
        "a query that sees nothing is NaN, as in PyTorch",
    ),
    (
        "attention_causal_boolmask_nan",
        "a query that sees nothing is NaN, as in PyTorch",
    ),
    (
        "batchnorm_epsilon_training_mode",
        "new running statistics as outputs",
    ),
    (
        "batchnorm_example_training_mode",
        "new running statistics as outputs",
    ),
    ("lstm_with_peepholes", "peepholes"),
    ("maxpool_with_argmax", "the winners' indices as an output"),
    ("mod_float_edge_cases_fmod_0", "the remainder by infinity"),
    ("reduce_l1_empty_set", "tensors without elements"),
    ("reduce_l2_empty_set", "tensors without elements"),
    ("reduce_log_sum_empty_set", "tensors without elements"),
    ("reduce_log_sum_exp_empty_set", "tensors without elements"),
    ("reduce_max_empty_set", "tensors without elements"),
    ("reduce_min_empty_set", "tensors without elements"),
    ("reduce_prod_empty_set", "tensors without elements"),
    ("reduce_sum_empty_set", "tensors without elements"),
    ("reduce_sum_square_empty_set", "tensors without elements"),
    ("reshape_allowzero_reordered", "tensors without elements"),
    (
        "resize_downsample_scales_cubic_A_n0p5_exclude_outside",
        "exclude_outside",
    ),
    (
        "resize_upsample_scales_cubic_A_n0p5_exclude_outside",
        "exclude_outside",
    ),
    ("resize_downsample_scales_cubic_antialias", "antialias"),
    ("resize_downsample_scales_linear_antialias", "antialias"),
    ("resize_downsample_sizes_cubic_antialias", "antialias"),
    ("resize_downsample_sizes_linear_antialias", "antialias"),
    (
        "resize_downsample_scales_cubic_align_corners",
        "corners aligned to a broken extent",
    ),
    (
        "resize_downsample_scales_linear_align_corners",
        "corners aligned to a broken extent",
    ),
    (
        "resize_downsample_scales_linear_half_pixel_symmetric",
        "half_pixel_symmetric",
    ),
    (
        "resize_upsample_scales_linear_half_pixel_symmetric",
        "half_pixel_symmetric",
    ),
    ("resize_tf_crop_and_resize", "tf_crop_and_resize"),
    ("scan_sum", "the Scan of opset 8"),
    (
        "scatter_elements_with_reduction_m",
        "reductions other than a sum",
    ),
    ("scatternd_m", "reductions other than a sum"),
    ("training_dropout", "dropout is the identity"),
];

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
    let mut counted = [0usize; 3];
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
        let bare = name.strip_prefix("test_").unwrap_or(&name);
        let excused = EXCEPTIONS.iter().any(|(start, _)| bare.starts_with(start));
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
}
