//! Random cases of the ops that index, interpolate, contract or reduce in less usual ways.

use crate::cases::{Row, reduce};
use crate::draw::{Case, Draw};
use gradprobe_engine::num::{Shape, Tensor};
use gradprobe_engine::ops::*;

#[rustfmt::skip]
pub const CASES: &[Row] = &[
    ("Einsum", einsum),
    ("GatherElements", |draw| {
        let (axis, x, indices) = elements(draw, false);
        Case::new(GatherElements { axis }, vec![draw.tensor(&x), indices])
    }),
    ("GatherND", |draw| {
        let shape = draw.shape(1, 4);
        let batch_dims = draw.size(0, shape.len() - 1).min(2);
        let indices = tuples(draw, &shape, batch_dims);
        Case::new(GatherNd { batch_dims }, vec![draw.tensor(&shape), indices])
    }),
    ("OneHot", |draw| {
        let shape = draw.shape(0, 3);
        let (depth, axis) = (draw.size(1, 4), draw.size(0, shape.len()) as i64);
        let axis = axis - if draw.coin() { shape.len() as i64 + 1 } else { 0 };
        let mut indices = draw.tensor(&shape);
        indices.data_mut().iter_mut().for_each(|i| *i = draw.size(0, 2 * depth) as f64 - depth as f64);
        Case::new(OneHot { depth, axis }, vec![indices, draw.tensor(&[2])])
    }),
    ("ReduceL1", |draw| reduce(draw, ReduceKind::L1)),
    ("ReduceLogSumExp", |draw| reduce(draw, ReduceKind::LogSumExp)),
    ("ReduceSumSquare", |draw| reduce(draw, ReduceKind::SumSquare)),
    ("Resize", resize),
    ("ScatterElements", |draw| {
        let (axis, x, indices) = elements(draw, true);
        let reduction = reduction(draw);
        let [x, updates] = data_and_updates(draw, reduction, &x, indices.shape());
        Case::new(ScatterElements { axis, reduction }, vec![x, indices, updates])
    }),
    ("ScatterND", |draw| {
        let shape = draw.shape(1, 3);
        let indices = tuples(draw, &shape, 0);
        let (&count, leading) = indices.shape().split_last().unwrap();
        let (reduction, updates) = (reduction(draw), [leading, &shape[count..]].concat());
        let [x, updates] = data_and_updates(draw, reduction, &shape, &updates);
        Case::new(ScatterNd { reduction }, vec![x, indices, updates])
    }),
    ("TopK", |draw| {
        let shape = draw.shape(1, 3);
        let axis = draw.size(0, shape.len() - 1);
        let k = draw.size(1, shape[axis]);
        let axis = axis as i64 - if draw.coin() { shape.len() as i64 } else { 0 };
        let op = TopK { k, axis, largest: draw.coin(), sorted: draw.coin() };
        Case::new(op, vec![draw.distinct(&shape)])
    }),
];

fn reduction(draw: &mut Draw) -> ScatterReduction {
    [
        ScatterReduction::Replace,
        ScatterReduction::Add,
        ScatterReduction::Mul,
        ScatterReduction::Max,
        ScatterReduction::Min,
    ][draw.size(0, 4)]
}

/// x and updates of a scatter; for a maximum without values that differ less than a step of the
/// central differences.
fn data_and_updates(
    draw: &mut Draw,
    reduction: ScatterReduction,
    x: &[usize],
    updates: &[usize],
) -> [Tensor<f64>; 2] {
    if !matches!(reduction, ScatterReduction::Max | ScatterReduction::Min) {
        return [draw.tensor(x), draw.tensor(updates)];
    }
    let count: usize = x.iter().product();
    let all = draw.distinct(&[count + updates.iter().product::<usize>()]);
    let (first, rest) = all.data().split_at(count);
    [
        Tensor::new(Shape::new(x), first.to_vec()),
        Tensor::new(Shape::new(updates), rest.to_vec()),
    ]
}

/// An index into `extent`, from either end.
fn index(draw: &mut Draw, extent: usize) -> f64 {
    draw.size(0, 2 * extent - 1) as f64 - extent as f64
}

/// An axis, a shape, and indices along the axis.
fn elements(draw: &mut Draw, few: bool) -> (i64, Vec<usize>, Tensor<f64>) {
    let x = draw.shape(1, 3);
    let axis = draw.size(0, x.len() - 1);
    let mut shape: Vec<usize> = x.iter().map(|&extent| draw.size(1, extent)).collect();
    if draw.coin() {
        shape[0] = x[0];
    }
    shape[axis] = draw.size(1, if few { 3 } else { 5 });
    let mut indices = draw.tensor(&shape);
    for value in indices.data_mut() {
        *value = index(draw, x[axis]);
    }
    let axis = axis as i64 - if draw.coin() { x.len() as i64 } else { 0 };
    (axis, x, indices)
}

fn tuples(draw: &mut Draw, shape: &[usize], batch: usize) -> Tensor<f64> {
    let count = draw.size(1, shape.len() - batch);
    let mut own = shape[..batch].to_vec();
    own.extend(draw.shape(0, 2));
    own.push(count);
    let mut indices = draw.tensor(&own);
    for tuple in indices.data_mut().chunks_exact_mut(count) {
        for (value, &extent) in tuple.iter_mut().zip(&shape[batch..]) {
            *value = index(draw, extent);
        }
    }
    indices
}

fn einsum(draw: &mut Draw) -> Case {
    const EQUATIONS: &[&str] = &[
        "bij,bjk->bik",
        "ij,jk",
        "ii->i",
        "ii",
        "bii->b",
        "i,j->ij",
        "ij->ji",
        "bhqd,bhkd->bhqk",
        "ij,ij->",
        "ijk,il,jm,kn->lmn",
        "bij,kj,bi->bk",
        "iij,jk->ki",
        "i,i,i->i",
        "...ij,...jk->...ik",
        "b...,b->b...",
        "a,b,ca,db->cd",
    ];
    let equation = EQUATIONS[draw.size(0, EQUATIONS.len() - 1)];
    let extents: Vec<usize> = (0..26).map(|_| draw.size(1, 3)).collect();
    let covered: Vec<usize> = (0..draw.size(0, 2)).map(|_| draw.size(1, 3)).collect();
    let left = equation.split("->").next().unwrap();
    let operands = left.split(',').map(|term| {
        let mut shape = Vec::new();
        // Now and then an ellipsis that is broadcast.
        let flat = draw.size(0, 3) == 0;
        for part in term.replace("...", ".").chars() {
            match part {
                '.' => shape.extend(covered.iter().map(|&extent| if flat { 1 } else { extent })),
                letter => shape.push(extents[(letter as u8 - b'a') as usize]),
            }
        }
        shape
    });
    let shapes: Vec<Vec<usize>> = operands.collect();
    let inputs = shapes.iter().map(|shape| draw.tensor(shape)).collect();
    let equation = equation.to_string();
    Case::new(Einsum { equation }, inputs)
}

fn resize(draw: &mut Draw) -> Case {
    let shape = draw.shape(1, 4);
    let interpolation = [
        Interpolation::Nearest,
        Interpolation::Linear,
        Interpolation::Cubic(-0.75),
    ][draw.size(0, 2)];
    let coordinates = [
        Coordinates::HalfPixel,
        Coordinates::PytorchHalfPixel,
        Coordinates::AlignCorners,
        Coordinates::Asymmetric,
        Coordinates::HalfPixelSymmetric,
        Coordinates::CropAndResize,
    ][draw.size(0, 5)];
    let rounding = [
        Rounding::PreferFloor,
        Rounding::PreferCeil,
        Rounding::Floor,
        Rounding::Ceil,
    ][draw.size(0, 3)];
    let mut op = Resize {
        interpolation,
        coordinates,
        rounding,
        antialias: draw.coin() && interpolation != Interpolation::Nearest,
        exclude_outside: draw.coin(),
        extrapolation: 1.5,
        ..Resize::default()
    };
    let axes: Vec<i64> = (0..shape.len() as i64).filter(|_| draw.coin()).collect();
    match draw.size(0, 2) {
        0 => {
            op.scales = shape
                .iter()
                .map(|&extent| match [0.6, 1.0, 1.5, 2.0][draw.size(0, 3)] {
                    // Nothing would be left.
                    scale if scale * (extent as f64) < 1.0 => 1.0,
                    scale => scale,
                })
                .collect()
        }
        1 if !axes.is_empty() => {
            op.sizes = axes.iter().map(|_| draw.size(1, 6)).collect();
            op.axes = axes;
        }
        _ => op.sizes = shape.iter().map(|_| draw.size(1, 6)).collect(),
    }
    if coordinates == Coordinates::CropAndResize {
        let axes = if op.axes.is_empty() {
            shape.len()
        } else {
            op.axes.len()
        };
        let starts: Vec<f64> = (0..axes).map(|_| draw.real(-0.2, 0.5)).collect();
        let ends = (0..axes).map(|_| draw.real(0.5, 1.2));
        op.region = starts.into_iter().chain(ends).collect();
    }
    Case::new(op, vec![draw.tensor(&shape)])
}
