//! Random cases of the ops of sequence models.

use crate::draw::{Case, Draw};
use gradprobe_engine::num::Tensor;
use gradprobe_engine::ops::*;

/// A recurrent layer over a short sequence, in any direction and layout.
pub fn recurrent<C: Cell>(draw: &mut Draw, cell: C, gates: usize, cell_state: bool) -> Case {
    let direction = [
        Direction::Forward,
        Direction::Reverse,
        Direction::Bidirectional,
    ][draw.size(0, 2)];
    let directions = if direction == Direction::Bidirectional {
        2
    } else {
        1
    };
    let batch_first = draw.coin();
    // Up to 19 samples, so that the batch is cut into parts.
    let batch = if draw.size(0, 5) == 0 {
        draw.size(9, 19)
    } else {
        draw.size(1, 3)
    };
    let (time, inputs, hidden) = (draw.size(1, 3), draw.size(1, 3), draw.size(1, 3));
    let x = if batch_first {
        [batch, time, inputs]
    } else {
        [time, batch, inputs]
    };
    let state = if batch_first {
        [batch, directions, hidden]
    } else {
        [directions, batch, hidden]
    };
    let op = Recurrent {
        cell,
        direction,
        hidden_size: draw.coin().then_some(hidden),
        batch_first,
        bias: draw.coin(),
        initial_h: draw.coin(),
        initial_c: cell_state && draw.coin(),
        peepholes: cell_state && draw.coin(),
        lengths: draw.coin(),
    };
    let mut operands = vec![
        draw.tensor(&x),
        draw.tensor(&[directions, gates * hidden, inputs]),
        draw.tensor(&[directions, gates * hidden, hidden]),
    ];
    if op.bias {
        operands.push(draw.tensor(&[directions, 2 * gates * hidden]));
    }
    if op.initial_h {
        operands.push(draw.tensor(&state));
    }
    if op.initial_c {
        operands.push(draw.tensor(&state));
    }
    if op.peepholes {
        operands.push(draw.tensor(&[directions, 3 * hidden]));
    }
    if op.lengths {
        let lengths = (0..batch).map(|_| draw.size(0, time) as f64).collect();
        operands.push(Tensor::new([batch], lengths));
    }
    Case::new(op, operands)
}

/// Of positive numbers, so that no ReLU comes near its kink.
pub fn rnn(draw: &mut Draw) -> Case {
    let activation = if draw.coin() {
        RnnActivation::Tanh
    } else {
        RnnActivation::Relu
    };
    let mut case = recurrent(draw, RnnCell { activation }, 1, false);
    if activation == RnnActivation::Relu {
        // All but the lengths.
        for input in case
            .inputs
            .iter_mut()
            .filter(|input| input.shape().len() > 1)
        {
            let positive = |x: &mut f64| *x = 0.1 + x.abs() / 3.0;
            input.data_mut().iter_mut().for_each(positive);
        }
    }
    case
}

pub fn gru(draw: &mut Draw) -> Case {
    let linear_before_reset = draw.coin();
    let cell = GruCell {
        linear_before_reset,
    };
    recurrent(draw, cell, 3, false)
}

pub fn gather(draw: &mut Draw) -> Case {
    let shape = draw.shape(1, 3);
    let axis = draw.size(0, shape.len() - 1);
    let extent = shape[axis];
    let indices = draw.shape(0, 2);
    let mut indices = draw.tensor(&indices);
    for index in indices.data_mut() {
        *index = draw.size(0, 2 * extent - 1) as f64 - extent as f64;
    }
    let axis = axis as i64 - if draw.coin() { shape.len() as i64 } else { 0 };
    Case::new(Gather { axis }, vec![draw.tensor(&shape), indices])
}

pub fn attention(draw: &mut Draw) -> Case {
    let (batch, kv_heads, group) = (draw.size(1, 2), draw.size(1, 2), draw.size(1, 2));
    let heads = kv_heads * group;
    let (queries, keys) = (draw.size(1, 4), draw.size(1, 4));
    let (dim, value_dim) = (draw.size(1, 3), draw.size(1, 3));
    let flat = draw.coin();
    let shape = |heads: usize, time: usize, dim: usize| {
        if flat {
            vec![batch, time, heads * dim]
        } else {
            vec![batch, heads, time, dim]
        }
    };
    let mut inputs = vec![
        draw.tensor(&shape(heads, queries, dim)),
        draw.tensor(&shape(kv_heads, keys, dim)),
        draw.tensor(&shape(kv_heads, keys, value_dim)),
    ];
    let mask = draw.coin();
    if mask {
        let mask = draw.broadcastable(&[batch, heads, queries, keys]);
        inputs.push(draw.tensor(&mask));
    }
    let op = Attention {
        query_heads: flat.then_some(heads),
        key_heads: flat.then_some(kv_heads),
        causal: draw.coin(),
        scale: draw.coin().then_some(0.3),
        mask,
    };
    Case::new(op, inputs)
}

pub fn rotary(draw: &mut Draw) -> Case {
    let (batch, heads, time) = (draw.size(1, 2), draw.size(1, 2), draw.size(1, 3));
    let half = draw.size(1, 2);
    let dim = 2 * half + draw.size(0, 2);
    let flat = draw.coin();
    let shape = if flat {
        vec![batch, time, heads * dim]
    } else {
        vec![batch, heads, time, dim]
    };
    let caches = draw.coin();
    let mut inputs = vec![draw.tensor(&shape)];
    if caches {
        let shape = if draw.coin() {
            vec![batch, time, half]
        } else {
            vec![time, half]
        };
        inputs.extend((0..2).map(|_| draw.tensor(&shape)));
    }
    let op = RotaryEmbedding {
        base: 100.0,
        interleaved: draw.coin(),
        heads: flat.then_some(heads),
        rotated: (dim > 2 * half || draw.coin()).then_some(2 * half),
        caches,
    };
    // Without `rotated` an odd extent could not be split.
    Case::new(op, inputs)
}

pub fn glu(draw: &mut Draw) -> Case {
    let mut shape = draw.shape(1, 3);
    let axis = draw.size(0, shape.len() - 1);
    shape[axis] *= 2;
    let name = ["sigmoid", "silu", "gelu"][draw.size(0, 2)];
    let activation = activation::parse(name).unwrap();
    let axis = axis as i64 - if draw.coin() { shape.len() as i64 } else { 0 };
    let x: Tensor<f64> = draw.tensor(&shape);
    Case::new(Glu { axis, activation }, vec![x])
}
