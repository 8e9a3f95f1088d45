//! Random cases of the ops that move elements about.

use crate::cases::{Row, tensor_and_axis};
use crate::draw::{Case, Draw};
use gradprobe_engine::ops::*;

#[rustfmt::skip]
pub const CASES: &[Row] = &[
    ("CumSum", |draw| {
        let (x, axis) = tensor_and_axis(draw);
        Case::new(CumSum { axis, exclusive: draw.coin(), reverse: draw.coin() }, vec![x])
    }),
    ("DepthToSpace", |draw| {
        let (block, order, [n, c, h, w]) = blocks(draw);
        Case::new(DepthToSpace { block, order }, vec![draw.tensor(&[n, c * block * block, h, w])])
    }),
    ("Expand", |draw| {
        let whole = draw.shape(0, 4);
        let (x, shape) = (draw.broadcastable(&whole), draw.broadcastable(&whole));
        Case::new(Expand { shape }, vec![draw.tensor(&x)])
    }),
    ("Pad", pad),
    ("Slice", slice),
    ("SpaceToDepth", |draw| {
        let (block, order, [n, c, h, w]) = blocks(draw);
        Case::new(SpaceToDepth { block, order }, vec![draw.tensor(&[n, c, h * block, w * block])])
    }),
    ("Split", split),
    ("Squeeze", squeeze),
    ("Tile", |draw| {
        let shape = draw.shape(0, 3);
        let repeats = shape.iter().map(|_| draw.size(1, 3)).collect();
        Case::new(Tile { repeats }, vec![draw.tensor(&shape)])
    }),
    ("Trilu", |draw| {
        let shape = draw.shape(2, 4);
        let diagonal = draw.size(0, 6) as i64 - 3;
        Case::new(Trilu { upper: draw.coin(), diagonal }, vec![draw.tensor(&shape)])
    }),
    ("Unsqueeze", |draw| {
        let shape = draw.shape(0, 3);
        let axes: Vec<i64> = [vec![0], vec![-1], vec![0, -1], vec![1, 0]][draw.size(0, 3)].clone();
        Case::new(Unsqueeze { axes }, vec![draw.tensor(&shape)])
    }),
];

fn blocks(draw: &mut Draw) -> (usize, DepthOrder, [usize; 4]) {
    let order = if draw.coin() {
        DepthOrder::Dcr
    } else {
        DepthOrder::Crd
    };
    (draw.size(1, 3), order, [0; 4].map(|_| draw.size(1, 2)))
}

/// Some of the axes, in random order, counted from either end.
fn some_axes(draw: &mut Draw, rank: usize) -> Vec<usize> {
    let mut axes: Vec<usize> = (0..rank).collect();
    for last in (1..rank).rev() {
        axes.swap(last, draw.size(0, last));
    }
    axes.truncate(draw.size(0, rank));
    axes
}

fn from_either_end(draw: &mut Draw, axes: &[usize], rank: usize) -> Vec<i64> {
    axes.iter()
        .map(|&axis| axis as i64 - if draw.coin() { rank as i64 } else { 0 })
        .collect()
}

fn slice(draw: &mut Draw) -> Case {
    let shape = draw.shape(1, 4);
    let axes = some_axes(draw, shape.len());
    let mut op = Slice {
        axes: from_either_end(draw, &axes, shape.len()),
        ..Slice::default()
    };
    for &axis in &axes {
        // An element that is in it, and ends on either side.
        let inside = draw.size(0, shape[axis] - 1) as i64;
        let step = [-2, -1, 1, 2, 3][draw.size(0, 4)];
        let count = draw.size(1, 3) as i64;
        op.starts.push(inside);
        op.steps.push(step);
        op.ends.push(match inside + step * count {
            end if end < 0 => i64::MIN,
            end => end,
        });
    }
    Case::new(op, vec![draw.tensor(&shape)])
}

fn pad(draw: &mut Draw) -> Case {
    let mut shape = draw.shape(1, 3);
    let mode = [
        PadMode::Constant,
        PadMode::Reflect,
        PadMode::Edge,
        PadMode::Wrap,
    ][draw.size(0, 3)];
    shape.iter_mut().for_each(|extent| *extent += 1);
    let axes = some_axes(draw, shape.len());
    let pads = (0..2 * axes.len())
        .map(|pad| match draw.size(0, 4) {
            0 if pad < axes.len() => -1,
            size => size as i64,
        })
        .collect();
    let op = Pad {
        pads,
        axes: from_either_end(draw, &axes, shape.len()),
        mode,
        value: 0.5,
    };
    Case::new(op, vec![draw.tensor(&shape)])
}

fn split(draw: &mut Draw) -> Case {
    let mut shape = draw.shape(1, 3);
    let axis = draw.size(0, shape.len() - 1);
    let mut op = Split {
        axis: axis as i64 - if draw.coin() { shape.len() as i64 } else { 0 },
        ..Split::default()
    };
    if draw.coin() {
        op.split = (0..draw.size(1, 3)).map(|_| draw.size(1, 3)).collect();
        shape[axis] = op.split.iter().sum();
    } else {
        op.pieces = draw.size(1, 3);
        shape[axis] = op.pieces * draw.size(1, 2) + draw.size(0, 1) * (op.pieces - 1) / 2;
    }
    Case::new(op, vec![draw.tensor(&shape)])
}

fn squeeze(draw: &mut Draw) -> Case {
    let mut shape = draw.shape(1, 4);
    let axes = some_axes(draw, shape.len());
    for &axis in &axes {
        shape[axis] = 1;
    }
    let axes = from_either_end(draw, &axes, shape.len());
    Case::new(Squeeze { axes }, vec![draw.tensor(&shape)])
}
