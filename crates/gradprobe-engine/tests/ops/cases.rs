//! A generator of random cases for every op: the table that every promise is tested on.

use crate::draw::{Case, Draw};
use crate::{elementwise, indexed, rearranging, sequences, signals, windowed};
use gradprobe_engine::num::Tensor;
use gradprobe_engine::ops::*;

/// A row: the op, and how to draw a case of it.
pub type Row = (&'static str, fn(&mut Draw) -> Case);

/// Every row.
pub fn cases() -> impl Iterator<Item = &'static Row> {
    [
        CASES,
        elementwise::CASES,
        indexed::CASES,
        rearranging::CASES,
        signals::CASES,
        windowed::CASES,
    ]
    .into_iter()
    .flatten()
}

#[rustfmt::skip]
const CASES: &[Row] = &[
    ("Add", |draw| { let [a, b] = broadcast_pair(draw); Case::new(Add, vec![a, b]) }),
    ("BatchNormalization", batch_norm),
    ("BinaryCrossEntropyWithLogits", |draw| {
        let (x, _) = prediction_and_target(draw);
        let mut t = draw.tensor(x.shape());
        t.data_mut().iter_mut().for_each(|t| *t = t.abs() / 2.0);
        Case::new(BinaryCrossEntropyWithLogits { reduction: reduction(draw) }, vec![x, t])
    }),
    ("Concat", concat),
    ("Div", |draw| {
        let [a, b] = broadcast_pair(draw);
        let b = draw.away_from_zero(b.shape());
        Case::new(Div, vec![a, b])
    }),
    ("Fmod", |draw| remainder(draw, Fmod)),
    ("Flatten", |draw| {
        let shape = draw.shape(0, 4);
        let axis = draw.size(0, 2 * shape.len()) as i64 - shape.len() as i64;
        Case::new(Flatten { axis }, vec![draw.tensor(&shape)])
    }),
    ("Huber", |draw| {
        let (x, t) = prediction_and_target(draw);
        Case::new(Huber { delta: 1.0, reduction: reduction(draw) }, vec![x, t])
    }),
    ("Identity", |draw| { let shape = draw.shape(0, 3); Case::new(Identity, vec![draw.tensor(&shape)]) }),
    ("LayerNormalization", layer_norm),
    ("Linear", linear),
    ("LogSoftmax", |draw| {
        let (x, axis) = tensor_and_axis(draw);
        Case::new(LogSoftmax { axis }, vec![x])
    }),
    ("MeanAbsoluteError", |draw| {
        let (x, t) = prediction_and_target(draw);
        Case::new(MeanAbsoluteError { reduction: reduction(draw) }, vec![x, t])
    }),
    ("MeanSquaredError", |draw| {
        let (x, t) = prediction_and_target(draw);
        Case::new(MeanSquaredError { reduction: reduction(draw) }, vec![x, t])
    }),
    ("Mod", |draw| remainder(draw, Mod)),
    ("Mul", |draw| { let [a, b] = broadcast_pair(draw); Case::new(Mul, vec![a, b]) }),
    ("Neg", |draw| { let shape = draw.shape(0, 3); Case::new(Neg, vec![draw.tensor(&shape)]) }),
    ("Reshape", reshape),
    ("Softmax", |draw| {
        let (x, axis) = tensor_and_axis(draw);
        Case::new(Softmax { axis }, vec![x])
    }),
    ("SoftmaxCrossEntropyLoss", cross_entropy),
    ("Sub", |draw| { let [a, b] = broadcast_pair(draw); Case::new(Sub, vec![a, b]) }),
    ("Sum", sum),
    ("Transpose", transpose),
    ("AveragePool", average_pool),
    ("activation", |draw| {
        // Away from the kinks, all of which lie at whole numbers and halves (but for Hardswish
        // and the like at ±3, which are whole too).
        let rows = activation::registry();
        let activation = rows[draw.size(0, rows.len() - 1)].make(None).unwrap();
        let shape = draw.shape(0, 3);
        let mut x = draw.tensor(&shape);
        x.data_mut().iter_mut().for_each(|x| *x = (*x * 8.0).floor() / 4.0 + 0.125);
        Case::new(activation::ActivationOp::new(activation), vec![x])
    }),
    ("Conv", conv),
    ("Dropout", |draw| {
        let shape = draw.shape(0, 3);
        let probability = [0.0, 0.3, 0.8, 1.0][draw.size(0, 3)];
        let dropout = Dropout { probability, with_mask: draw.coin() };
        let mut case = Case::new(dropout, vec![draw.tensor(&shape)]);
        case.context.mode = if draw.size(0, 3) == 0 { Mode::Eval } else { Mode::Train };
        case
    }),
    ("GlobalAveragePool", |draw| { let shape = draw.shape(3, 5); Case::new(GlobalAveragePool, vec![draw.tensor(&shape)]) }),
    ("GlobalMaxPool", |draw| { let shape = draw.shape(3, 4); Case::new(GlobalMaxPool, vec![draw.distinct(&shape)]) }),
    ("MatMul", matmul),
    ("MaxPool", max_pool),
    ("PRelu", |draw| {
        let shape = draw.shape(1, 4);
        let slope = draw.broadcastable(&shape);
        Case::new(PRelu, vec![draw.away_from_zero(&shape), draw.tensor(&slope)])
    }),
    ("Attention", sequences::attention),
    ("GRU", sequences::gru),
    ("Gather", sequences::gather),
    ("Glu", sequences::glu),
    ("LSTM", |draw| sequences::recurrent(draw, LstmCell, 4, true)),
    ("RNN", sequences::rnn),
    ("RotaryEmbedding", sequences::rotary),
    ("ReduceL2", |draw| reduce(draw, ReduceKind::L2)),
    ("ReduceMax", |draw| reduce(draw, ReduceKind::Max)),
    ("ReduceMean", |draw| reduce(draw, ReduceKind::Mean)),
    ("ReduceMin", |draw| reduce(draw, ReduceKind::Min)),
    ("ReduceProd", |draw| reduce(draw, ReduceKind::Prod)),
    ("ReduceSum", |draw| reduce(draw, ReduceKind::Sum)),
];

/// Two operands that broadcast against each other, often with a full one.
pub fn broadcast_pair(draw: &mut Draw) -> [Tensor<f64>; 2] {
    let shape = draw.shape(0, 4);
    let (a, b) = match draw.size(0, 3) {
        0 => (shape.clone(), draw.broadcastable(&shape)),
        1 => (draw.broadcastable(&shape), shape.clone()),
        2 => (shape.clone(), shape.clone()),
        _ => (draw.broadcastable(&shape), draw.broadcastable(&shape)),
    };
    [draw.tensor(&a), draw.tensor(&b)]
}

/// Quotients keep away from whole numbers, where a remainder jumps.
fn remainder(draw: &mut Draw, op: impl Op + 'static) -> Case {
    let shape = draw.shape(0, 3);
    let b = draw.away_from_zero(&shape);
    let mut a = draw.tensor(&shape);
    for (a, b) in a.data_mut().iter_mut().zip(b.data()) {
        let quotient = draw.size(0, 6) as f64 - 3.0 + 0.1 + 0.2 * (*a + 2.0);
        *a = b * quotient;
    }
    Case::new(op, vec![a, b])
}

fn reduction(draw: &mut Draw) -> Reduction {
    if draw.coin() {
        Reduction::Mean
    } else {
        Reduction::Sum
    }
}

/// Differences keep away from 0 and from ±1, where Huber's and the absolute error have kinks.
fn prediction_and_target(draw: &mut Draw) -> (Tensor<f64>, Tensor<f64>) {
    let shape = draw.shape(1, 3);
    let target = draw.tensor(&shape);
    let mut prediction = draw.tensor(&shape);
    for (x, t) in prediction.data_mut().iter_mut().zip(target.data()) {
        for kink in [-1.0, 0.0, 1.0] {
            if (*x - t - kink).abs() < 0.02 {
                *x += 0.1;
            }
        }
    }
    (prediction, target)
}

pub fn tensor_and_axis(draw: &mut Draw) -> (Tensor<f64>, i64) {
    let shape = draw.shape(1, 4);
    let axis = draw.size(0, 2 * shape.len() - 1) as i64 - shape.len() as i64;
    (draw.tensor(&shape), axis)
}

fn concat(draw: &mut Draw) -> Case {
    let mut shape = draw.shape(1, 3);
    let rank = shape.len();
    let axis = draw.size(0, rank - 1);
    let inputs = (0..draw.size(1, 3))
        .map(|_| {
            shape[axis] = draw.size(1, 3);
            draw.tensor(&shape)
        })
        .collect();
    let axis = axis as i64 - if draw.coin() { rank as i64 } else { 0 };
    Case::new(Concat { axis }, inputs)
}

fn linear(draw: &mut Draw) -> Case {
    let (mut x, bias) = (draw.shape(0, 3), draw.coin());
    let (fan_in, fan_out) = (draw.size(1, 5), draw.size(1, 5));
    x.push(fan_in);
    let mut inputs = vec![draw.tensor(&x), draw.tensor(&[fan_out, fan_in])];
    if bias {
        inputs.push(draw.tensor(&[fan_out]));
    }
    Case::new(Linear { bias }, inputs)
}

fn reshape(draw: &mut Draw) -> Case {
    let shape = draw.shape(1, 4);
    let extents: Vec<i64> = shape.iter().map(|&extent| extent as i64).collect();
    let target = match draw.size(0, 3) {
        0 => vec![-1],
        1 => vec![0, -1],
        2 => vec![1, -1, extents[0]],
        _ => extents.iter().rev().copied().collect(),
    };
    let op = Reshape {
        shape: target,
        ..Reshape::default()
    };
    Case::new(op, vec![draw.tensor(&shape)])
}

fn cross_entropy(draw: &mut Draw) -> Case {
    let mut shape = draw.shape(2, 4);
    let logits = draw.tensor(&shape);
    let classes = shape.remove(1);
    let mut target = draw.tensor(&shape);
    for target in target.data_mut() {
        *target = draw.size(0, classes - 1) as f64;
    }
    Case::new(
        CrossEntropy {
            reduction: reduction(draw),
        },
        vec![logits, target],
    )
}

fn sum(draw: &mut Draw) -> Case {
    let shape = draw.shape(0, 3);
    let inputs = (0..draw.size(1, 4))
        .map(|_| {
            let shape = draw.broadcastable(&shape);
            draw.tensor(&shape)
        })
        .collect();
    Case::new(Sum, inputs)
}

fn transpose(draw: &mut Draw) -> Case {
    let shape = draw.shape(0, 4);
    let mut permutation: Vec<usize> = (0..shape.len()).collect();
    for last in (1..shape.len()).rev() {
        permutation.swap(last, draw.size(0, last));
    }
    if draw.size(0, 3) == 0 {
        permutation.clear();
    }
    Case::new(Transpose { permutation }, vec![draw.tensor(&shape)])
}

fn layer_norm(draw: &mut Draw) -> Case {
    let mut shape = draw.shape(1, 4);
    let rank = shape.len();
    shape[rank - 1] += 1;
    let axis = draw.size(0, rank - 1);
    let mut inputs = vec![draw.tensor(&shape), draw.tensor(&shape[axis..])];
    if draw.coin() {
        inputs.push(draw.tensor(&shape[axis..]));
    }
    let axis = axis as i64 - if draw.coin() { rank as i64 } else { 0 };
    Case::new(LayerNorm { axis, epsilon: 0.1 }, inputs)
}

fn batch_norm(draw: &mut Draw) -> Case {
    let mut shape = draw.shape(2, 4);
    shape[0] += 1;
    let channels = [shape[1]];
    let mut inputs = vec![draw.tensor(&shape)];
    inputs.extend((0..3).map(|_| draw.tensor(&channels)));
    inputs.push(draw.away_from_zero(&channels));
    inputs[4]
        .data_mut()
        .iter_mut()
        .for_each(|variance| *variance = variance.abs());
    let mut case = Case::new(BatchNorm { epsilon: 0.1 }, inputs);
    case.context.mode = if draw.coin() { Mode::Train } else { Mode::Eval };
    case
}

fn matmul(draw: &mut Draw) -> Case {
    let [rows, inner, columns] = [0; 3].map(|_| draw.size(1, 4));
    let batch = draw.shape(0, 2);
    let (mut a, mut b) = match draw.size(0, 4) {
        0 => (batch.clone(), batch),
        1 => (batch, vec![]),
        2 => (vec![], batch),
        3 => (draw.broadcastable(&batch), batch),
        _ => (batch.clone(), draw.broadcastable(&batch)),
    };
    if draw.size(0, 5) == 0 {
        a = vec![inner];
    } else {
        a.extend([rows, inner]);
    }
    if draw.size(0, 5) == 0 {
        b = vec![inner];
    } else {
        b.extend([inner, columns]);
    }
    Case::new(MatMul, vec![draw.tensor(&a), draw.tensor(&b)])
}

pub fn reduce(draw: &mut Draw, kind: ReduceKind) -> Case {
    let shape = draw.shape(0, 4);
    let rank = shape.len() as i64;
    let axes = (0..rank)
        .filter_map(|axis| match draw.size(0, 3) {
            0 => Some(axis),
            1 => Some(axis - rank),
            _ => None,
        })
        .collect();
    let x = match kind {
        ReduceKind::Max | ReduceKind::Min => draw.distinct(&shape),
        ReduceKind::L1 | ReduceKind::L2 => draw.away_from_zero(&shape),
        _ => draw.tensor(&shape),
    };
    Case::new(
        Reduce {
            kind,
            axes,
            keep_dims: draw.coin(),
        },
        vec![x],
    )
}

/// A kernel, strides, dilations and padding that fit `spatial`, some lists left empty.
pub struct Windows {
    pub kernel: Vec<usize>,
    pub strides: Vec<usize>,
    pub dilations: Vec<usize>,
    pub padding: Padding,
}

pub fn windows(draw: &mut Draw, spatial: &[usize]) -> Windows {
    let rank = spatial.len();
    let list = |draw: &mut Draw, most| (0..rank).map(|_| draw.size(1, most)).collect::<Vec<_>>();
    let kernel = list(draw, 3);
    let strides = if draw.coin() { vec![] } else { list(draw, 3) };
    let mut dilations = if draw.coin() { vec![] } else { list(draw, 2) };
    let reach = |axis: usize, dilations: &[usize]| {
        (kernel[axis] - 1) * dilations.get(axis).unwrap_or(&1) + 1
    };
    let padding = match draw.size(0, 4) {
        0 => Padding::SameUpper,
        1 => Padding::SameLower,
        2 => Padding::default(),
        _ => Padding::Explicit(
            (0..2 * rank)
                .map(|pad| draw.size(0, 2).min(reach(pad % rank, &dilations) - 1))
                .collect(),
        ),
    };
    // What does not fit without padding is made to.
    if (0..rank).any(|axis| reach(axis, &dilations) > spatial[axis]) {
        dilations = vec![];
    }
    let padding = match padding {
        Padding::Explicit(pads) => Padding::Explicit(
            pads.iter()
                .enumerate()
                .map(|(pad, &size)| size.min(reach(pad % rank, &dilations) - 1))
                .collect(),
        ),
        same => same,
    };
    Windows {
        kernel,
        strides,
        dilations,
        padding,
    }
}

/// Of at most 576 elements.
pub fn image(draw: &mut Draw) -> Vec<usize> {
    let rank = [1, 2, 2, 2, 3][draw.size(0, 4)];
    let mut shape = vec![draw.size(1, 3), draw.size(1, 3)];
    let most = if rank == 3 { 4 } else { 6 };
    shape.extend((0..rank).map(|_| draw.size(3, most)));
    shape
}

fn conv(draw: &mut Draw) -> Case {
    let mut shape = image(draw);
    let Windows {
        kernel,
        strides,
        dilations,
        padding,
    } = windows(draw, &shape[2..]);
    let groups = draw.size(1, 3);
    let (channels, kernels) = (draw.size(1, 3), draw.size(1, 3));
    shape[1] = channels * groups;
    let mut w = vec![kernels * groups, channels];
    w.extend(kernel);
    let mut inputs = vec![draw.tensor(&shape), draw.tensor(&w)];
    if draw.coin() {
        inputs.push(draw.tensor(&[kernels * groups]));
    }
    Case::new(
        Conv {
            strides,
            padding,
            dilations,
            groups,
        },
        inputs,
    )
}

fn max_pool(draw: &mut Draw) -> Case {
    let shape = image(draw);
    let window = pool_window(draw, &shape[2..]);
    let order = [PoolIndices::RowMajor, PoolIndices::ColumnMajor][draw.size(0, 1)];
    let indices = draw.coin().then_some(order);
    let pool = MaxPool { window, indices };
    Case::new(pool, vec![draw.distinct(&shape)])
}

pub fn pool_window(draw: &mut Draw, inputs: &[usize]) -> PoolWindow {
    let Windows {
        kernel,
        strides,
        dilations,
        padding,
    } = windows(draw, inputs);
    PoolWindow {
        kernel,
        strides,
        padding,
        dilations,
        ceil_mode: draw.coin(),
    }
}

fn average_pool(draw: &mut Draw) -> Case {
    let shape = image(draw);
    let window = pool_window(draw, &shape[2..]);
    let count_include_pad = draw.coin();
    let pool = AveragePool {
        window,
        count_include_pad,
    };
    Case::new(pool, vec![draw.tensor(&shape)])
}
