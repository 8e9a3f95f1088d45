//! The promises of the contract between ops and the executor.

use crate::cases::cases;
use crate::draw::{Case, Draw};
use gradprobe_engine::num::{Shape, Tensor, View};
use gradprobe_engine::ops::{Context, Kernel, Saved, apply, apply_vjp, check_gradients, registry};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// Draws of every op that each promise is tested on.
const DRAWS: u32 = 60;

/// Tests a promise on random cases of every op.
fn on_every_op(promise: impl Fn(&str, &Case, u64)) {
    let config = ProptestConfig {
        cases: DRAWS,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
        .run(&any::<u64>().no_shrink(), |seed| {
            for (name, make) in cases() {
                let case = make(&mut Draw(seed));
                promise(name, &case, seed);
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

fn cotangents(case: &Case, outputs: &[Tensor<f64>], seed: u64) -> Vec<Tensor<f64>> {
    let mut draw = Draw(seed ^ 1);
    let visible = outputs.len() - case.op.kept_outputs();
    outputs[..visible]
        .iter()
        .map(|output| draw.tensor(output.shape()))
        .collect()
}

fn differentiable(case: &Case) -> Vec<bool> {
    (0..case.inputs.len())
        .map(|input| case.op.differentiable(input))
        .collect()
}

fn cast(tensors: &[Tensor<f64>]) -> Vec<Tensor<f32>> {
    tensors.iter().map(Tensor::cast).collect()
}

#[test]
fn every_op_of_the_registry_has_cases() {
    for entry in registry() {
        assert!(
            cases().any(|(name, _)| *name == entry.name),
            "{} has no row in cases.rs",
            entry.name
        );
    }
    // Activations have a table and names of their own.
    for (name, make) in cases().filter(|(name, _)| *name != "activation") {
        assert_eq!(make(&mut Draw(0)).op.name(), *name);
    }
}

#[test]
fn pull_backs_agree_with_central_differences() {
    on_every_op(|_, case, seed| {
        let worst = check_gradients(&*case.op, &case.context, &case.inputs, seed).unwrap();
        if let Some(worst) = worst {
            assert!(worst.relative < 1e-6, "{}: {worst:?}", case.describe());
        }
    });
}

#[test]
fn single_precision_agrees_with_double() {
    on_every_op(|_, case, seed| {
        // Both start from inputs that are exact in f32.
        let inputs32 = cast(&case.inputs);
        let inputs: Vec<Tensor<f64>> = inputs32.iter().map(Tensor::cast).collect();
        let (op, context) = (&*case.op, &case.context);
        let outputs = apply(op, context, &inputs).unwrap();
        let outputs32 = apply(op, context, &inputs32).unwrap();
        let cotangents32 = cast(&cotangents(case, &outputs, seed));
        let cotangents: Vec<Tensor<f64>> = cotangents32.iter().map(Tensor::cast).collect();
        for (double, single) in outputs.iter().zip(&outputs32) {
            assert_close(double, single, &case.describe());
        }
        let wanted = differentiable(case);
        let (double, _) = apply_vjp(op, context, &inputs, &outputs, &cotangents, &wanted).unwrap();
        let (single, _) =
            apply_vjp(op, context, &inputs32, &outputs32, &cotangents32, &wanted).unwrap();
        for (double, single) in double.iter().flatten().zip(single.iter().flatten()) {
            assert_close(double, single, &case.describe());
        }
    });
}

fn assert_close(double: &Tensor<f64>, single: &Tensor<f32>, what: &str) {
    let size = double
        .data()
        .iter()
        .fold(1.0, |size: f64, x| size.max(x.abs()));
    for (&double, &single) in double.data().iter().zip(single.data()) {
        let distance = (double - f64::from(single)).abs();
        assert!(distance <= 1e-5 * size, "{what}: {double} against {single}");
    }
}

/// The samples that a graph could give the op: any one input alone, all of them, the first two.
fn samplings(inputs: usize) -> Vec<Vec<bool>> {
    (1..1u32 << inputs.min(5))
        .map(|mask| (0..inputs).map(|input| mask >> input & 1 == 1).collect())
        .collect()
}

fn rows(tensor: &Tensor<f64>, from: usize, to: usize) -> Tensor<f64> {
    let mut shape = tensor.shape().to_vec();
    let row_len = tensor.shape().row_len();
    shape[0] = to - from;
    Tensor::new(
        Shape(shape),
        tensor.data()[from * row_len..to * row_len].to_vec(),
    )
}

#[test]
fn a_chunk_of_the_batch_gives_a_chunk_of_the_whole() {
    let mut tested = std::collections::BTreeSet::new();
    let tested_now = std::cell::RefCell::new(&mut tested);
    on_every_op(|name, case, seed| {
        let shapes: Vec<&Shape> = case.inputs.iter().map(Tensor::shape).collect();
        for sampled in samplings(case.inputs.len()) {
            let scalar = |(&sampled, shape): (&bool, &&Shape)| sampled && shape.is_empty();
            if sampled.iter().zip(&shapes).any(scalar) {
                continue;
            }
            let op = &*case.op;
            if !op.per_sample(&sampled, &shapes) {
                continue;
            }
            let outputs = apply(op, &case.context, &case.inputs).unwrap();
            let cotangents = cotangents(case, &outputs, seed);
            let wanted: Vec<bool> = sampled
                .iter()
                .zip(differentiable(case))
                .map(|(&s, d)| s && d)
                .collect();
            let (gradients, _) = apply_vjp(
                op,
                &case.context,
                &case.inputs,
                &outputs,
                &cotangents,
                &wanted,
            )
            .unwrap();
            let batch = outputs[0].shape()[0];
            let (from, to) = (batch / 3, batch - batch / 4);
            if from == to {
                continue;
            }
            let context = Context {
                first_row: from,
                ..case.context
            };
            let part = |tensor: &Tensor<f64>| rows(tensor, from, to);
            let inputs: Vec<Tensor<f64>> = case
                .inputs
                .iter()
                .zip(&sampled)
                .map(|(input, &sampled)| if sampled { part(input) } else { input.clone() })
                .collect();
            // As the executor does it: the shapes come from the whole, not from `infer`.
            let mut part_outputs: Vec<Tensor<f64>> = outputs.iter().map(part).collect();
            for output in &mut part_outputs {
                output.data_mut().fill(f64::NAN);
            }
            let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
            let mut writes: Vec<_> = part_outputs.iter_mut().map(Tensor::view_mut).collect();
            Kernel::<f64>::forward(op, &context, &views, &mut writes).unwrap();
            let what = format!("{} rows {from}..{to} of {sampled:?}", case.describe());
            for (output, whole) in part_outputs.iter().zip(&outputs) {
                assert_near(output, &part(whole), &what);
            }
            let cotangents: Vec<_> = cotangents.iter().map(part).collect();
            let (part_gradients, _) =
                apply_vjp(op, &context, &inputs, &part_outputs, &cotangents, &wanted).unwrap();
            for (gradient, whole) in part_gradients.iter().zip(&gradients) {
                if let (Some(gradient), Some(whole)) = (gradient, whole) {
                    assert_near(gradient, &part(whole), &what);
                }
            }
            tested_now.borrow_mut().insert(name.to_string());
        }
    });
    for name in ["Linear", "Add", "Softmax", "Concat", "Transpose", "Reshape"] {
        assert!(tested.contains(name), "{name} was never split");
    }
}

#[test]
fn an_empty_batch_passes_through_what_treats_each_sample_by_itself() {
    on_every_op(|_, case, _| {
        let op = &*case.op;
        let shapes: Vec<&Shape> = case.inputs.iter().map(Tensor::shape).collect();
        for sampled in samplings(case.inputs.len()) {
            let scalar = |(&sampled, shape): (&bool, &&Shape)| sampled && shape.is_empty();
            let scalars = sampled.iter().zip(&shapes).any(scalar);
            if scalars || !op.per_sample(&sampled, &shapes) {
                continue;
            }
            let inputs: Vec<Tensor<f64>> = case
                .inputs
                .iter()
                .zip(&sampled)
                .map(|(input, &sampled)| {
                    if sampled {
                        rows(input, 0, 0)
                    } else {
                        input.clone()
                    }
                })
                .collect();
            let mut shapes = op.infer(&shapes).unwrap();
            shapes.iter_mut().for_each(|shape| shape.0[0] = 0);
            let mut outputs: Vec<Tensor<f64>> = shapes.into_iter().map(Tensor::zeros).collect();
            let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
            let mut writes: Vec<_> = outputs.iter_mut().map(Tensor::view_mut).collect();
            Kernel::<f64>::forward(op, &case.context, &views, &mut writes).unwrap();
            let cotangents: Vec<_> = outputs[..outputs.len() - op.kept_outputs()].to_vec();
            let wanted = differentiable(case);
            let pulled = apply_vjp(op, &case.context, &inputs, &outputs, &cotangents, &wanted);
            for gradient in pulled.unwrap().0.iter().flatten() {
                assert!(
                    gradient.data().iter().all(|&x| x == 0.0),
                    "{}",
                    case.describe()
                );
            }
        }
    });
}

/// Equal but for the order of a sum: a matrix product of other extents is blocked otherwise.
fn assert_near(one: &Tensor<f64>, other: &Tensor<f64>, what: &str) {
    assert_eq!(one.shape(), other.shape());
    for (one, other) in one.data().iter().zip(other.data()) {
        let size = 1.0 + other.abs();
        assert!(
            (one - other).abs() <= 1e-13 * size,
            "{what}: {one} against {other}"
        );
    }
}

#[test]
fn only_what_a_pull_back_claims_to_read_is_read() {
    on_every_op(|_, case, seed| {
        let (op, context) = (&*case.op, &case.context);
        let outputs = apply(op, context, &case.inputs).unwrap();
        let cotangents = cotangents(case, &outputs, seed);
        let wanted = differentiable(case);
        let (expected, exponent) =
            apply_vjp(op, context, &case.inputs, &outputs, &cotangents, &wanted).unwrap();
        // What it does not read has been freed: a shape without elements.
        let inputs: Vec<View<'_, f64>> = case
            .inputs
            .iter()
            .enumerate()
            .map(|(input, tensor)| View {
                shape: tensor.shape(),
                data: if op.reads_input(input) {
                    tensor.data()
                } else {
                    &[]
                },
            })
            .collect();
        let visible = outputs.len() - op.kept_outputs();
        let outputs: Vec<View<'_, f64>> = outputs
            .iter()
            .enumerate()
            .map(|(output, tensor)| View {
                shape: tensor.shape(),
                data: if op.reads_outputs() || output >= visible {
                    tensor.data()
                } else {
                    &[]
                },
            })
            .collect();
        let saved = Saved {
            inputs: &inputs,
            outputs: &outputs,
        };
        let cotangents: Vec<_> = cotangents.iter().map(|g| Some(g.view())).collect();
        for only in 0..case.inputs.len() {
            // And a gradient does not depend on which others are asked for.
            let mut gradient = Tensor::zeros(case.inputs[only].shape().clone());
            gradient.data_mut().fill(f64::NAN);
            let mut writes: Vec<_> = case.inputs.iter().map(|_| None).collect();
            writes[only] = Some(gradient.view_mut());
            let got = Kernel::<f64>::vjp(op, context, saved, &cotangents, &mut writes).unwrap();
            drop(writes);
            assert_eq!(got, exponent, "{}", case.describe());
            match &expected[only] {
                Some(expected) => assert_eq!(&gradient, expected, "{}", case.describe()),
                None => assert!(
                    gradient.data().iter().all(|&x| x == 0.0),
                    "{}",
                    case.describe()
                ),
            }
        }
    });
}

#[test]
fn a_plan_can_be_made_for_every_case() {
    on_every_op(|_, case, _| {
        let shapes: Vec<&Shape> = case.inputs.iter().map(Tensor::shape).collect();
        let outputs = case.op.infer(&shapes).unwrap();
        assert!(case.op.rows_per_call(&shapes) > 0, "{}", case.describe());
        assert!(case.op.flops(&shapes, &outputs) > 0, "{}", case.describe());
        assert!(
            case.op.kept_outputs() < outputs.len(),
            "{}",
            case.describe()
        );
    });
}

#[test]
fn parallel_and_sequential_give_the_same_bits() {
    on_every_op(|_, case, seed| assert_same_bits_in_parallel(case, seed));
}

pub fn assert_same_bits_in_parallel(case: &Case, seed: u64) {
    let run = |parallel: bool| {
        let context = Context {
            parallel,
            ..case.context
        };
        let outputs = apply(&*case.op, &context, &case.inputs).unwrap();
        let cotangents = cotangents(case, &outputs, seed);
        let wanted = differentiable(case);
        let gradients = apply_vjp(
            &*case.op,
            &context,
            &case.inputs,
            &outputs,
            &cotangents,
            &wanted,
        )
        .unwrap();
        (outputs, gradients)
    };
    assert_eq!(run(true), run(false), "{}", case.describe());
}
