//! Random cases of the normalisations of channels, transposed convolution and further pools.

use crate::cases::{Row, image, pool_window};
use crate::draw::{Case, Draw};
use gradprobe_engine::ops::*;

#[rustfmt::skip]
pub const CASES: &[Row] = &[
    ("AdaptiveAveragePool", |draw| {
        let shape = image(draw);
        let output_size = shape[2..].iter().map(|_| draw.size(1, 7)).collect();
        Case::new(AdaptiveAveragePool { output_size }, vec![draw.tensor(&shape)])
    }),
    ("AdaptiveMaxPool", |draw| {
        let shape = image(draw);
        let output_size = shape[2..].iter().map(|_| draw.size(1, 7)).collect();
        Case::new(AdaptiveMaxPool { output_size }, vec![draw.distinct(&shape)])
    }),
    ("ConvTranspose", conv_transpose),
    ("GlobalLpPool", |draw| {
        let shape = image(draw);
        Case::new(GlobalLpPool { p: draw.size(1, 3) as u32 }, vec![draw.away_from_zero(&shape)])
    }),
    ("GroupNormalization", |draw| {
        let (groups, channels) = (draw.size(1, 3), draw.size(1, 3));
        let mut shape = draw.shape(2, 4);
        shape[1] = groups * channels;
        let inputs = vec![draw.tensor(&shape), draw.tensor(&[shape[1]]), draw.tensor(&[shape[1]])];
        Case::new(GroupNorm { groups, epsilon: 0.1 }, inputs)
    }),
    ("InstanceNormalization", |draw| {
        let mut shape = draw.shape(3, 5);
        shape[2] += 1;
        let inputs = vec![draw.tensor(&shape), draw.tensor(&[shape[1]]), draw.tensor(&[shape[1]])];
        Case::new(InstanceNorm { epsilon: 0.1 }, inputs)
    }),
    ("LRN", |draw| {
        let mut shape = draw.shape(2, 4);
        shape[1] += draw.size(0, 3);
        let op = LocalResponseNorm { alpha: 0.5, beta: 0.75, bias: 1.0, size: draw.size(1, 5) };
        Case::new(op, vec![draw.tensor(&shape)])
    }),
    ("LpPool", |draw| {
        let shape = image(draw);
        let pool = LpPool { window: pool_window(draw, &shape[2..]), p: draw.size(1, 3) as u32 };
        Case::new(pool, vec![draw.away_from_zero(&shape)])
    }),
    ("RMSNormalization", |draw| {
        let shape = draw.shape(1, 4);
        let axis = draw.size(0, shape.len() - 1);
        let inputs = vec![draw.tensor(&shape), draw.tensor(&shape[axis..])];
        let axis = axis as i64 - if draw.coin() { shape.len() as i64 } else { 0 };
        Case::new(RmsNorm { axis, epsilon: 0.1 }, inputs)
    }),
];

fn conv_transpose(draw: &mut Draw) -> Case {
    let rank = [1, 2, 2, 2, 3][draw.size(0, 4)];
    let list = |draw: &mut Draw, least, most| -> Vec<usize> {
        (0..rank).map(|_| draw.size(least, most)).collect()
    };
    let (groups, channels, kernels) = (draw.size(1, 3), draw.size(1, 2), draw.size(1, 2));
    let mut x = vec![draw.size(1, 3), groups * channels];
    x.extend(list(draw, 1, 3));
    let mut w = vec![groups * channels, kernels];
    let kernel = list(draw, 1, 3);
    w.extend(&kernel);
    let strides = if draw.coin() {
        vec![]
    } else {
        list(draw, 1, 3)
    };
    let dilations = if draw.coin() {
        vec![]
    } else {
        list(draw, 1, 2)
    };
    let output_padding = if draw.coin() {
        vec![]
    } else {
        list(draw, 0, 1)
    };
    let (mut padding, mut output_shape) = (Padding::default(), vec![]);
    match draw.size(0, 4) {
        0 => padding = Padding::SameUpper,
        1 => padding = Padding::SameLower,
        2 => output_shape = list(draw, 2, 4),
        3 => {
            // At most what the kernel reaches beyond its first tap, in all.
            let pads = (0..2 * rank).map(|pad| draw.size(0, 1).min((kernel[pad % rank] - 1) / 2));
            padding = Padding::Explicit(pads.collect());
        }
        _ => {}
    }
    let mut inputs = vec![draw.tensor(&x), draw.tensor(&w)];
    if draw.coin() {
        inputs.push(draw.tensor(&[groups * kernels]));
    }
    let op = ConvTranspose {
        strides,
        padding,
        dilations,
        groups,
        output_padding,
        output_shape,
    };
    Case::new(op, inputs)
}
