//! Gradients on the node cases of ONNX's backend suite, held against central differences in double
//! precision: not of an op alone, but through the importer.

use super::node_cases::{LIMIT, folders, mode};
use gradprobe::data::{Array, read_arrays};
use gradprobe::import::onnx::{evaluate, weighted_outputs};
use gradprobe::num::{Stream, Tensor};
use gradprobe::ops::Mode;
use gradprobe::run::{Executor, Options};
use std::collections::BTreeMap;
use std::path::Path;

/// The step of the differences, relative to max(1, |x|).
const STEP: f64 = 1e-4;
/// Elements of an input that are tried, at random.
const TRIED: u64 = 5;
/// Of the largest gradient of the input.
const TOLERANCE: f64 = 1e-5;
/// Slopes to the left and to the right that differ by more than this part are a kink or a jump.
const KINK: f64 = 1e-2;

/// Cases whose gradients are not what the differences say: how their names begin, how the inputs
/// that it is so of begin, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "batchnorm_e",
        "mean",
        "running statistics are no part of what is differentiated",
    ),
    (
        "batchnorm_e",
        "var",
        "running statistics are no part of what is differentiated",
    ),
    (
        "mod_float_edge_cases",
        "y",
        "the remainder by 0 is no number, nor is its slope",
    ),
    // ONNX's own expansion of Attention chooses 0 in place of a softmax of nothing but −∞, whose
    // pull-back is NaN; PyTorch's is too. Attention itself has no such trap.
    (
        "attention_23_boolmask_fullymasked_row_nan_robustness_expanded",
        "",
        "NaN behind a Where",
    ),
    (
        "attention_23_fullymasked_qk_matmul_output_mode3_zero_expanded",
        "",
        "NaN behind a Where",
    ),
    (
        "attention_24_fullymasked_qk_matmul_output_mode3_zero_expanded",
        "",
        "NaN behind a Where",
    ),
    (
        "attention_4d_causal_nonpad_negative_offset_structural_empty_expanded",
        "",
        "NaN behind a Where",
    ),
    (
        "attention_causal_boolmask_nan_robustness_expanded",
        "",
        "NaN behind a Where",
    ),
    (
        "attention_local_window_gqa_rank4_mask_expanded",
        "",
        "NaN behind a Where",
    ),
];

/// What became of the elements that were tried.
#[derive(Default)]
struct Tally {
    agree: usize,
    kinks: usize,
    /// Inputs that have to be constant, or of an op that has no gradient.
    constant: usize,
}

struct Case<'a> {
    model: &'a Path,
    inputs: Vec<Array>,
    cotangents: Vec<Array>,
    mode: Mode,
}

impl Case<'_> {
    /// Σ cotangent · output with element `at` of an input moved.
    fn value(&self, input: usize, at: usize, by: f64) -> f64 {
        let mut inputs = self.inputs.clone();
        inputs[input].tensor.data_mut()[at] += by;
        let outputs = evaluate(self.model, &inputs, self.mode).unwrap();
        let pairs = self.cotangents.iter().map(|cotangent| {
            let output = outputs.iter().find(|array| array.name == cotangent.name);
            let elements = output.unwrap().tensor.data().iter();
            let terms = elements.zip(cotangent.tensor.data());
            // What is hidden or not a number says nothing of a slope.
            terms
                .map(|(y, g)| if y.is_finite() { y * g } else { 0.0 })
                .sum::<f64>()
        });
        pairs.sum()
    }

    /// The gradient by the pull-back; `None` where the input has to be constant.
    fn gradient(&self, input: usize) -> Option<Tensor<f64>> {
        let Array { name, tensor } = &self.inputs[input];
        let graph = weighted_outputs(self.model, &self.inputs, name, &self.cotangents, self.mode);
        let graph = match graph {
            Ok(Some(graph)) => graph,
            Ok(None) => return Some(Tensor::zeros(tensor.shape().clone())),
            Err(error) => {
                let error = error.to_string();
                let known = ["has to be constant", "rounding has no gradient"];
                assert!(known.iter().any(|part| error.contains(part)), "{error}");
                return None;
            }
        };
        let options = Options {
            mode: self.mode,
            input_gradients: true,
            threads: 1,
            ..Options::default()
        };
        let mut executor = Executor::<f64>::new(&graph, options).unwrap();
        let run = executor.run(std::slice::from_ref(tensor)).unwrap();
        let Some(gradient) = &run.input_gradients[0] else {
            return Some(Tensor::zeros(tensor.shape().clone()));
        };
        let scale = f64::exp2(gradient.exponent as f64);
        let data = gradient.tensor.data().iter().map(|g| g * scale).collect();
        Some(Tensor::new(tensor.shape().clone(), data))
    }

    /// Holds the gradient of an input against differences of some of its elements.
    fn check(&self, input: usize, stream: &mut Stream, tally: &mut Tally) -> Result<(), String> {
        let x = &self.inputs[input].tensor;
        let Some(gradient) = self.gradient(input) else {
            tally.constant += 1;
            return Ok(());
        };
        assert_eq!(gradient.shape(), x.shape());
        let finite = |x: &f64| x.is_finite();
        let sizes = gradient.data().iter().filter(|x| finite(x));
        let largest = sizes.fold(0.0, |most: f64, g| most.max(g.abs()));
        let count = x.data().len() as u64;
        for _ in 0..TRIED.min(count) {
            let at = stream.below(count) as usize;
            if !x.data()[at].is_finite() {
                continue;
            }
            let step = STEP * x.data()[at].abs().max(1.0);
            let [far_down, down, here, up, far_up] =
                [-2.0, -1.0, 0.0, 1.0, 2.0].map(|steps| self.value(input, at, steps * step));
            let difference = (far_down - 8.0 * down + 8.0 * up - far_up) / (12.0 * step);
            let slopes = [(here - down) / step, (up - here) / step];
            // What rounding of the sum makes of a difference.
            let rounding = 1e-13 * here.abs().max(1.0) / step;
            let size = largest.max(difference.abs());
            if (slopes[0] - slopes[1]).abs() > KINK * size + rounding {
                tally.kinks += 1;
                continue;
            }
            let got = gradient.data()[at];
            // The mean of the slopes is a worse estimate: how much says how good the other one is.
            let doubt = 3.0 * (difference - (slopes[0] + slopes[1]) / 2.0).abs();
            if (got - difference).abs() <= TOLERANCE * size + doubt + rounding {
                tally.agree += 1;
                continue;
            }
            let name = &self.inputs[input].name;
            return Err(format!(
                "∂{name}[{at}] at {} is {got}, the difference says {difference} (slopes {slopes:?})",
                x.data()[at]
            ));
        }
        Ok(())
    }
}

#[test]
fn gradients_of_the_node_cases_agree_with_central_differences() {
    let folders = folders();
    let mut by_op: BTreeMap<String, Tally> = BTreeMap::new();
    let mut wrong = Vec::new();
    for folder in folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        // Every evaluation would drop other elements.
        if name.contains("training_dropout") {
            continue;
        }
        let (model, mode) = (folder.join("model.onnx"), mode(&name));
        let inputs = read_arrays(&folder.join("inputs.npz"), LIMIT).unwrap();
        let Ok(outputs) = evaluate(&model, &inputs, mode) else {
            continue;
        };
        let mut stream = Stream::new(3, &name);
        let reals = std::fs::read_to_string(folder.join("floats.txt")).unwrap();
        let is_real = |name: &str| reals.lines().any(|real| real == name);
        let cotangents = outputs.into_iter().filter(|array| is_real(&array.name));
        let cotangents = cotangents.map(|Array { name, tensor }| {
            let data = tensor.data().iter();
            let drawn = |y: &f64| if y.is_finite() { stream.normal() } else { 0.0 };
            let data = data.map(drawn).collect();
            Array {
                name,
                tensor: Tensor::new(tensor.shape().clone(), data),
            }
        });
        let case = Case {
            model: &model,
            cotangents: cotangents.collect(),
            mode,
            inputs,
        };
        let op = std::fs::read_to_string(folder.join("op.txt")).unwrap();
        let tally = by_op.entry(op).or_default();
        let mut stream = Stream::new(4, &name);
        for input in 0..case.inputs.len() {
            let of_input = &case.inputs[input].name;
            let bare = name.strip_prefix("test_").unwrap_or(&name);
            let is_exception = EXCEPTIONS
                .iter()
                .any(|(start, input, _)| bare.starts_with(start) && of_input.starts_with(input));
            if is_exception || !is_real(of_input) {
                continue;
            }
            if let Err(why) = case.check(input, &mut stream, tally) {
                wrong.push(format!("{name}: {why}"));
            }
        }
    }
    println!("{:28}  agree  kinks  constant inputs", "operator");
    let mut total = Tally::default();
    for (op, tally) in &by_op {
        let Tally {
            agree,
            kinks,
            constant,
        } = tally;
        println!("{op:28} {agree:6} {kinks:6} {constant:16}");
        total.agree += agree;
        total.kinks += kinks;
    }
    println!(
        "in all {} elements agree, {} are at kinks",
        total.agree, total.kinks
    );
    for line in &wrong {
        println!("{line}");
    }
    assert!(wrong.is_empty(), "see above");
    assert!(total.agree > 1000);
}
