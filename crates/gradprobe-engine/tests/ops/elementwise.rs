//! Random cases of the elementwise ops that are not activations.

use crate::cases::{Row, broadcast_pair};
use crate::draw::{Case, Draw};
use gradprobe_engine::num::Tensor;
use gradprobe_engine::ops::*;

#[rustfmt::skip]
pub const CASES: &[Row] = &[
    ("Abs", |draw| unary(draw, Abs, signed)),
    ("Acos", |draw| unary(draw, Acos, within_one)),
    ("Acosh", |draw| unary(draw, Acosh, above_one)),
    ("And", |draw| logic(draw, And)),
    ("Asin", |draw| unary(draw, Asin, within_one)),
    ("Asinh", |draw| unary(draw, Asinh, signed)),
    ("Atanh", |draw| unary(draw, Atanh, within_one)),
    ("Ceil", |draw| unary(draw, Ceil, between_steps)),
    ("Clip", clip),
    ("Cos", |draw| unary(draw, Cos, signed)),
    ("Cosh", |draw| unary(draw, Cosh, signed)),
    ("Equal", |draw| logic(draw, Equal)),
    ("Exp", |draw| unary(draw, Exp, signed)),
    ("Floor", |draw| unary(draw, Floor, between_steps)),
    ("Greater", |draw| logic(draw, Greater)),
    ("GreaterOrEqual", |draw| logic(draw, GreaterOrEqual)),
    ("IsNaN", |draw| unary(draw, IsNaN, signed)),
    ("Less", |draw| logic(draw, Less)),
    ("LessOrEqual", |draw| logic(draw, LessOrEqual)),
    ("Log", |draw| unary(draw, Log, positive)),
    ("Max", |draw| { let inputs = operands(draw); Case::new(Max, inputs) }),
    ("Min", |draw| { let inputs = operands(draw); Case::new(Min, inputs) }),
    ("Not", |draw| unary(draw, Not, signed)),
    ("Or", |draw| logic(draw, Or)),
    ("Pow", pow),
    ("Reciprocal", |draw| unary(draw, Reciprocal, signed)),
    ("Round", |draw| unary(draw, Round, between_steps)),
    ("Sign", |draw| unary(draw, Sign, signed)),
    ("Sinh", |draw| unary(draw, Sinh, signed)),
    ("Sqrt", |draw| unary(draw, Sqrt, positive)),
    ("Tan", |draw| unary(draw, Tan, within_one)),
    ("Where", choose),
];

fn unary(
    draw: &mut Draw,
    op: impl Op + 'static,
    operand: fn(&mut Draw, &[usize]) -> Tensor<f64>,
) -> Case {
    let shape = draw.shape(0, 3);
    Case::new(op, vec![operand(draw, &shape)])
}

fn signed(draw: &mut Draw, shape: &[usize]) -> Tensor<f64> {
    draw.away_from_zero(shape)
}

fn positive(draw: &mut Draw, shape: &[usize]) -> Tensor<f64> {
    let mut x = draw.away_from_zero(shape);
    x.data_mut().iter_mut().for_each(|x| *x = x.abs());
    x
}

/// Between −0.9 and 0.9.
fn within_one(draw: &mut Draw, shape: &[usize]) -> Tensor<f64> {
    let mut x = draw.tensor(shape);
    x.data_mut().iter_mut().for_each(|x| *x *= 0.45);
    x
}

/// Between 1.2 and 3.2.
fn above_one(draw: &mut Draw, shape: &[usize]) -> Tensor<f64> {
    let mut x = draw.tensor(shape);
    x.data_mut().iter_mut().for_each(|x| *x = 1.2 + x.abs());
    x
}

/// Away from whole numbers and halves.
fn between_steps(draw: &mut Draw, shape: &[usize]) -> Tensor<f64> {
    let mut x = draw.tensor(shape);
    for x in x.data_mut() {
        *x = (*x * 8.0).floor() / 4.0 + 0.125;
    }
    x
}

/// Small whole numbers, so that equal ones come up.
fn logic(draw: &mut Draw, op: impl Op + 'static) -> Case {
    let mut operands = broadcast_pair(draw);
    for x in operands.iter_mut().flat_map(|operand| operand.data_mut()) {
        *x = x.round();
    }
    Case::new(op, operands.to_vec())
}

fn clip(draw: &mut Draw) -> Case {
    let shape = draw.shape(0, 3);
    let x = between_steps(draw, &shape);
    let min = [f64::NEG_INFINITY, -2.0, -1.0, 0.0][draw.size(0, 3)];
    let max = [f64::INFINITY, 3.0, 1.0, 0.0][draw.size(0, 3)];
    Case::new(Clip { min, max }, vec![x])
}

/// One to four of them, no two of whose elements are near each other.
fn operands(draw: &mut Draw) -> Vec<Tensor<f64>> {
    let shape = draw.shape(0, 3);
    let count = draw.size(1, 4);
    let shapes: Vec<Vec<usize>> = (0..count).map(|_| draw.broadcastable(&shape)).collect();
    let lens = shapes.iter().map(|shape| shape.iter().product::<usize>());
    let all = draw.distinct(&[lens.sum()]);
    let mut rest = all.data();
    let take = |shape: &Vec<usize>| {
        let (own, others) = rest.split_at(shape.iter().product());
        rest = others;
        Tensor::new(gradprobe_engine::num::Shape::new(&shape[..]), own.to_vec())
    };
    shapes.iter().map(take).collect()
}

fn pow(draw: &mut Draw) -> Case {
    let [mut base, exponent] = broadcast_pair(draw);
    // Below zero there is no derivative with respect to the exponent.
    for base in base.data_mut() {
        *base = 0.5 + base.abs();
    }
    Case::new(Pow, vec![base, exponent])
}

fn choose(draw: &mut Draw) -> Case {
    let shape = draw.shape(0, 3);
    let shapes = [0; 3].map(|_| draw.broadcastable(&shape));
    let mut condition = draw.tensor(&shapes[0]);
    for condition in condition.data_mut() {
        *condition = f64::from(*condition > 0.0);
    }
    let operands = [draw.tensor(&shapes[1]), draw.tensor(&shapes[2])];
    let [a, b] = operands;
    Case::new(Where, vec![condition, a, b])
}
