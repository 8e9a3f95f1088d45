//! Recurrent layers over thousands of steps, held against the same layer taken step by step in
//! f64, with the cotangent brought back near 1 at every step and its exponent kept apart.

use crate::draw::Draw;
use gradprobe_engine::num::{Extended, Real, Shape, Tensor, View, ViewMut};
use gradprobe_engine::ops::*;
use std::collections::BTreeMap;

const GATES: [usize; 3] = [1, 3, 4];
const INPUTS: usize = 2;
const HIDDEN: usize = 3;

/// A sequence for a layer, and where its cotangent arrives.
struct Sequence {
    time: usize,
    /// Empty where every sample has all steps.
    lengths: Vec<usize>,
    batch: usize,
    direction: Direction,
    /// How large the recurrent weights are: below 1 the signal vanishes over time.
    gain: f64,
    /// Does every step get a cotangent, or only the last state?
    every_step: bool,
}

/// The operands of a layer with bias and first states, in f64.
struct Layer<C> {
    op: Recurrent<C>,
    inputs: Vec<Tensor<f64>>,
    cotangents: Vec<Tensor<f64>>,
}

fn layer<C: Cell>(cell: C, gates: usize, of: &Sequence) -> Layer<C> {
    let mut draw = Draw(7);
    let directions = of.direction.reversed().len();
    let lstm = C::HAS_CELL_STATE;
    let op = Recurrent {
        cell,
        direction: of.direction,
        bias: true,
        initial_h: true,
        initial_c: lstm,
        lengths: !of.lengths.is_empty(),
        ..Recurrent::default()
    };
    let mut scaled = |shape: &[usize], factor: f64| {
        // Exact in f32, so that both types start from the same numbers.
        let tensor = draw.tensor(shape).cast::<f32>().cast::<f64>();
        let data = tensor.data().iter();
        Tensor::new(Shape(shape.to_vec()), data.map(|x| x * factor).collect())
    };
    let mut inputs = vec![
        scaled(&[of.time, of.batch, INPUTS], 0.25),
        scaled(&[directions, gates * HIDDEN, INPUTS], 0.5),
        scaled(&[directions, gates * HIDDEN, HIDDEN], of.gain),
        scaled(&[directions, 2 * gates * HIDDEN], 0.25),
        scaled(&[directions, of.batch, HIDDEN], 0.25),
    ];
    if lstm {
        inputs.push(scaled(&[directions, of.batch, HIDDEN], 0.25));
    }
    let all = [of.time, directions, of.batch, HIDDEN];
    let last = [directions, of.batch, HIDDEN];
    let mut cotangents = vec![
        scaled(&all, if of.every_step { 1.0 } else { 0.0 }),
        scaled(&last, 1.0),
    ];
    if lstm {
        cotangents.push(scaled(&last, 1.0));
    }
    if op.lengths {
        let lengths = of.lengths.iter().map(|&length| length as f64);
        inputs.push(Tensor::new([of.batch], lengths.collect()));
    }
    Layer {
        op,
        inputs,
        cotangents,
    }
}

/// The gradients of all inputs but the lengths, as the op gives them.
fn gradients<T: OpElement, C: Cell>(layer: &Layer<C>) -> Vec<Vec<Extended>> {
    let inputs: Vec<Tensor<T>> = layer.inputs.iter().map(Tensor::cast).collect();
    let context = Context::default();
    let outputs = apply(&layer.op, &context, &inputs).unwrap();
    let cotangents: Vec<Tensor<T>> = layer.cotangents.iter().map(Tensor::cast).collect();
    let mut gradients: Vec<Tensor<T>> = inputs
        .iter()
        .map(|input| Tensor::zeros(input.shape().clone()))
        .collect();
    let views: Vec<View<'_, T>> = inputs.iter().map(Tensor::view).collect();
    let outputs: Vec<View<'_, T>> = outputs.iter().map(Tensor::view).collect();
    let cotangents: Vec<_> = cotangents.iter().map(|g| Some(g.view())).collect();
    let mut targets: Vec<Option<ViewMut<'_, T>>> = gradients
        .iter_mut()
        .map(|gradient| Some(gradient.view_mut()))
        .collect();
    let saved = Saved {
        inputs: &views,
        outputs: &outputs,
    };
    let exponents = T::kernel(&layer.op)
        .vjp_apart(&context, saved, &cotangents, &mut targets)
        .unwrap();
    let given = inputs.len() - usize::from(layer.op.lengths);
    let of_input = |(input, gradient): (usize, &Tensor<T>)| {
        let elements = gradient.data().iter();
        let exponent = exponents.of(input);
        elements
            .map(|x| Extended::from_f64(x.to_f64()).scaled(exponent))
            .collect()
    };
    gradients[..given]
        .iter()
        .enumerate()
        .map(of_input)
        .collect()
}

/// The same, step by step: each sample and direction alone, as a layer of one step.
fn reference<C: Cell>(layer: &Layer<C>, of: &Sequence) -> Vec<Vec<Extended>> {
    let given = layer.inputs.len() - usize::from(layer.op.lengths);
    let zeros = |input: &Tensor<f64>| vec![Extended::from_f64(0.0); input.data().len()];
    let mut totals: Vec<Vec<Extended>> = layer.inputs[..given].iter().map(zeros).collect();
    let one_step = Recurrent {
        direction: Direction::Forward,
        lengths: false,
        ..layer.op.clone()
    };
    for (direction, &reversed) in of.direction.reversed().iter().enumerate() {
        for sample in 0..of.batch {
            let length = of.lengths.get(sample).copied().unwrap_or(of.time);
            step_by_step(
                layer,
                &one_step,
                [direction, sample, length],
                reversed,
                of,
                &mut totals,
            );
        }
    }
    totals
}

fn step_by_step<C: Cell>(
    layer: &Layer<C>,
    one_step: &Recurrent<C>,
    [direction, sample, length]: [usize; 3],
    reversed: bool,
    of: &Sequence,
    totals: &mut [Vec<Extended>],
) {
    let states = layer.cotangents.len() - 1;
    let directions = of.direction.reversed().len();
    let part =
        |tensor: &Tensor<f64>, at: usize, len: usize| tensor.data()[at * len..][..len].to_vec();
    let of_direction = |input: usize| {
        let tensor = &layer.inputs[input];
        let mut shape = tensor.shape().to_vec();
        let len = tensor.data().len() / shape[0];
        shape[0] = 1;
        Tensor::new(Shape(shape), part(tensor, direction, len))
    };
    let weights: Vec<Tensor<f64>> = (1..4).map(of_direction).collect();
    let state_row = direction * of.batch + sample;
    let time_of = |step: usize| if reversed { length - 1 - step } else { step };
    let context = Context::default();
    let state = |data: Vec<f64>| Tensor::new([1, 1, HIDDEN], data);
    let mut now: Vec<Tensor<f64>> = (0..states)
        .map(|s| state(part(&layer.inputs[4 + s], state_row, HIDDEN)))
        .collect();
    let mut steps = Vec::with_capacity(length);
    for step in 0..length {
        let x = part(&layer.inputs[0], time_of(step) * of.batch + sample, INPUTS);
        let mut inputs = vec![Tensor::new([1, 1, INPUTS], x)];
        inputs.extend(weights.iter().cloned());
        inputs.append(&mut now);
        let outputs = apply(one_step, &context, &inputs).unwrap();
        now = outputs[1..1 + states].to_vec();
        steps.push((inputs, outputs));
    }
    let mut carried: Vec<Vec<f64>> = (0..states)
        .map(|s| part(&layer.cotangents[1 + s], state_row, HIDDEN))
        .collect();
    let mut exponent = 0i64;
    let wanted = vec![true; 4 + states];
    let mut add = |input: usize, at: usize, data: &[f64], exponent: i64| {
        for (total, &x) in totals[input][at * data.len()..].iter_mut().zip(data) {
            *total = *total + Extended::from_f64(x).scaled(exponent);
        }
    };
    for (step, (inputs, outputs)) in steps.iter().enumerate().rev() {
        let row = (time_of(step) * directions + direction) * of.batch + sample;
        let arrived = part(&layer.cotangents[0], row, HIDDEN);
        for (carried, arrived) in carried[0].iter_mut().zip(arrived) {
            *carried += libm::scalbn(arrived, (-exponent).clamp(-4000, 4000) as i32);
        }
        let largest = carried.iter().flatten().fold(0.0f64, |m, x| m.max(x.abs()));
        if largest > 0.0 {
            let shift = libm::ilogb(largest);
            carried
                .iter_mut()
                .flatten()
                .for_each(|x| *x = libm::scalbn(*x, -shift));
            exponent += i64::from(shift);
        }
        let mut cotangents = vec![Tensor::zeros([1, 1, 1, HIDDEN])];
        cotangents.extend(carried.iter().map(|data| state(data.clone())));
        let (pulled, shift) =
            apply_vjp(one_step, &context, inputs, outputs, &cotangents, &wanted).unwrap();
        assert_eq!(shift, 0);
        let pulled: Vec<&[f64]> = pulled.iter().flatten().map(Tensor::data).collect();
        add(0, time_of(step) * of.batch + sample, pulled[0], exponent);
        (1..4).for_each(|input| add(input, direction, pulled[input], exponent));
        for (state, carried) in carried.iter_mut().enumerate() {
            carried.copy_from_slice(pulled[4 + state]);
        }
    }
    for (state, carried) in carried.iter().enumerate() {
        add(4 + state, state_row, carried, exponent);
    }
}

/// The largest |ours − theirs| of every input, over its largest |theirs|.
fn errors(ours: &[Vec<Extended>], theirs: &[Vec<Extended>]) -> Vec<f64> {
    let largest = |data: &[Extended]| {
        let start = Extended::from_f64(0.0);
        data.iter()
            .fold(start, |m, x| if x.abs() > m { x.abs() } else { m })
    };
    let error = |(ours, theirs): (&Vec<Extended>, &Vec<Extended>)| {
        assert!(
            ours.iter().all(|x| x.is_finite()),
            "a gradient is no number"
        );
        let size = largest(theirs);
        assert!(!size.is_zero(), "the reference is not zero");
        let difference: Vec<Extended> = ours.iter().zip(theirs).map(|(&o, &t)| o - t).collect();
        (largest(&difference) / size).to_f64()
    };
    ours.iter().zip(theirs).map(error).collect()
}

fn check<C: Cell>(cell: C, of: &Sequence) -> f64 {
    let gates = GATES[usize::from(C::GATES == 3) + 2 * usize::from(C::GATES == 4)];
    let layer = layer(cell, gates, of);
    let truth = reference(&layer, of);
    // The relative error of a product of so many factors, each rounded.
    let factors = of.time as f64 * 40.0;
    for (name, errors, epsilon) in [
        (
            "f64",
            errors(&gradients::<f64, C>(&layer), &truth),
            f64::EPSILON,
        ),
        (
            "f32",
            errors(&gradients::<f32, C>(&layer), &truth),
            f64::from(f32::EPSILON),
        ),
    ] {
        for (input, error) in errors.into_iter().enumerate() {
            assert!(
                error < factors * epsilon,
                "{} in {name}, {} steps {:?}, input {input}: {error:e}",
                C::NAME,
                of.time,
                of.lengths,
            );
        }
    }
    truth[4]
        .iter()
        .map(|x| x.log10_abs())
        .fold(f64::NEG_INFINITY, f64::max)
}

/// Every kind of cell; returns the decades of the first state's gradient.
fn check_all(of: &Sequence) -> BTreeMap<&'static str, f64> {
    BTreeMap::from([
        ("RNN", check(RnnCell::default(), of)),
        ("GRU", check(GruCell::default(), of)),
        ("LSTM", check(LstmCell, of)),
    ])
}

fn long(direction: Direction, gain: f64) -> Sequence {
    Sequence {
        time: 10_000,
        lengths: Vec::new(),
        batch: 1,
        direction,
        gain,
        every_step: false,
    }
}

#[test]
fn ten_thousand_steps_forward_lose_thousands_of_decades_and_nothing_else() {
    let decades = check_all(&long(Direction::Forward, 0.4));
    // All of them are far below what f32, and most below what f64, can hold.
    assert!(
        decades.values().all(|&decades| decades < -300.0),
        "{decades:?}"
    );
}

#[test]
fn ten_thousand_steps_both_ways_with_a_cotangent_at_every_step() {
    check_all(&Sequence {
        every_step: true,
        ..long(Direction::Bidirectional, 0.4)
    });
}

#[test]
fn a_short_sample_beside_a_long_one_takes_nothing_from_it() {
    for direction in [Direction::Reverse, Direction::Bidirectional] {
        check_all(&Sequence {
            time: 3000,
            lengths: vec![3000, 3, 0, 1700],
            batch: 4,
            ..long(direction, 0.4)
        });
    }
}

#[test]
fn every_length_at_which_the_exponents_of_a_type_end() {
    for time in [180, 200, 400, 600, 1500] {
        for every_step in [false, true] {
            check_all(&Sequence {
                time,
                every_step,
                ..long(Direction::Forward, 0.4)
            });
        }
    }
}
