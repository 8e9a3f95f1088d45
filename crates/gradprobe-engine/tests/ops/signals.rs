//! Random cases of the ops on signals, grids and matrices: Fourier transforms, sampling at given
//! places, blocks of images, reversed sequences, determinants.

use crate::cases::{Row, Windows, windows};
use crate::draw::{Case, Draw};
use gradprobe_engine::num::{Shape, Tensor};
use gradprobe_engine::ops::*;

#[rustfmt::skip]
pub const CASES: &[Row] = &[
    ("Col2Im", col2im),
    ("DFT", dft),
    ("Det", det),
    ("GridSample", grid_sample),
    ("ReverseSequence", reverse_sequence),
];

fn col2im(draw: &mut Draw) -> Case {
    let rank = draw.size(1, 3);
    let image_shape: Vec<usize> = (0..rank).map(|_| draw.size(3, 5)).collect();
    let Windows {
        kernel,
        strides,
        dilations,
        padding,
    } = windows(draw, &image_shape);
    let pads = match padding {
        Padding::Explicit(pads) => pads,
        _ => Vec::new(),
    };
    // As many blocks as a convolution with this window has outputs.
    let conv = Conv {
        strides: strides.clone(),
        padding: pads.clone().into(),
        dilations: dilations.clone(),
        groups: 1,
    };
    let one_channel = |extents: &[usize]| Shape([&[1, 1], extents].concat());
    let shapes = [one_channel(&image_shape), one_channel(&kernel)];
    let made = conv.infer(&[&shapes[0], &shapes[1]]).unwrap();
    let blocks: usize = made[0][2..].iter().product();
    let taps: usize = kernel.iter().product();
    let (batch, channels) = (draw.size(1, 3), draw.size(1, 2));
    let x = draw.tensor(&[batch, taps * channels, blocks]);
    let op = Col2Im {
        image_shape,
        block_shape: kernel,
        strides,
        pads,
        dilations,
    };
    Case::new(op, vec![x])
}

fn dft(draw: &mut Draw) -> Case {
    let mut shape = draw.shape(1, 3);
    let axis = draw.size(0, shape.len() - 1);
    shape[axis] = draw.size(2, 9);
    let (inverse, one_sided) = (draw.coin(), draw.coin());
    let complex = match one_sided {
        true => inverse,
        false => draw.coin(),
    };
    shape.push(1 + usize::from(complex));
    let length = draw.coin().then(|| draw.size(1, 12));
    let op = Dft {
        axis: match draw.coin() {
            true => axis as i64,
            false => axis as i64 - shape.len() as i64,
        },
        length,
        inverse,
        one_sided,
    };
    Case::new(op, vec![draw.tensor(&shape)])
}

fn det(draw: &mut Draw) -> Case {
    let mut shape = draw.shape(0, 2);
    let n = draw.size(1, 4);
    shape.extend([n, n]);
    Case::new(Det, vec![draw.tensor(&shape)])
}

/// The places lie between two steps of every padding, where central differences see no kink.
fn grid_sample(draw: &mut Draw) -> Case {
    let rank = draw.size(1, 3);
    let op = GridSample {
        mode: [Sampling::Linear, Sampling::Nearest, Sampling::Cubic][draw.size(0, 2)],
        padding: [Outside::Zeros, Outside::Border, Outside::Reflection][draw.size(0, 2)],
        align_corners: draw.coin(),
    };
    let batch = draw.size(1, 3);
    let mut image = vec![batch, draw.size(1, 2)];
    image.extend((0..rank).map(|_| draw.size(2, 4)));
    let mut grid = vec![batch];
    grid.extend((0..rank).map(|_| draw.size(1, 2)));
    grid.push(rank);
    let mut places = draw.tensor(&grid);
    for (at, coordinate) in places.data_mut().iter_mut().enumerate() {
        let extent = image[1 + rank - at % rank] as f64;
        // An index that is 0.05 away from wholes and halves, up to one beyond either end.
        let half = draw.size(0, 2 * (extent as usize + 1) - 1) as f64 / 2.0 - 1.0;
        let index = half + draw.real(0.05, 0.45);
        *coordinate = match op.align_corners {
            true => 2.0 * index / (extent - 1.0) - 1.0,
            false => (2.0 * index + 1.0) / extent - 1.0,
        };
    }
    Case::new(op, vec![draw.tensor(&image), places])
}

fn reverse_sequence(draw: &mut Draw) -> Case {
    let shape = draw.shape(2, 4);
    let batch_first = draw.coin();
    let (sequences, steps) = match batch_first {
        true => (shape[0], shape[1]),
        false => (shape[1], shape[0]),
    };
    let lengths = (0..sequences).map(|_| draw.size(0, steps) as f64).collect();
    let lengths = Tensor::new([sequences], lengths);
    Case::new(
        ReverseSequence { batch_first },
        vec![draw.tensor(&shape), lengths],
    )
}
