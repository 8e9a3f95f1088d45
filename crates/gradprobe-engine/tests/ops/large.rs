//! Operands large enough that the work is split: into tiles, over threads, over the batch.

use crate::draw::{Case, Draw};
use crate::promises::assert_same_bits_in_parallel;
use gradprobe_engine::num::Tensor;
use gradprobe_engine::ops::*;

#[test]
fn large_operands_give_the_same_bits_in_parallel() {
    let draw = &mut Draw(7);
    let images = [8, 16, 40, 40];
    let mut classes = Tensor::zeros([3000]);
    classes
        .data_mut()
        .iter_mut()
        .for_each(|class| *class = draw.size(0, 19) as f64);
    let channels = |draw: &mut Draw| draw.away_from_zero(&[16]);
    let window = |kernel: usize, stride: usize| PoolWindow {
        kernel: vec![kernel; 2],
        strides: vec![stride; 2],
        ..PoolWindow::default()
    };
    let pool = || MaxPool {
        window: window(3, 2),
        indices: Some(PoolIndices::RowMajor),
    };
    let mean = || AveragePool {
        window: window(2, 1),
        count_include_pad: false,
    };
    let conv = || Conv {
        padding: vec![1, 1, 1, 1].into(),
        ..Conv::default()
    };
    let cases = [
        Case::new(Add, vec![draw.tensor(&[300, 400]), draw.tensor(&[400])]),
        Case::new(
            Mul,
            vec![draw.tensor(&[300, 400]), draw.tensor(&[300, 400])],
        ),
        Case::new(
            Div,
            vec![draw.tensor(&[16, 1]), draw.away_from_zero(&[50, 1, 200])],
        ),
        Case::new(
            Linear { bias: true },
            vec![
                draw.tensor(&[300, 500]),
                draw.tensor(&[700, 500]),
                draw.tensor(&[700]),
            ],
        ),
        Case::new(
            MatMul,
            vec![draw.tensor(&[20, 40, 50]), draw.tensor(&[20, 50, 30])],
        ),
        Case::new(
            MatMul,
            vec![draw.tensor(&[40, 50]), draw.tensor(&[20, 50, 30])],
        ),
        Case::new(
            MatMul,
            vec![draw.tensor(&[20, 40, 300]), draw.tensor(&[300, 500])],
        ),
        Case::new(Softmax { axis: 1 }, vec![draw.tensor(&[40, 30, 50])]),
        Case::new(LogSoftmax { axis: -1 }, vec![draw.tensor(&[1000, 80])]),
        Case::new(
            LayerNorm::default(),
            vec![
                draw.tensor(&[1000, 80]),
                draw.tensor(&[80]),
                draw.tensor(&[80]),
            ],
        ),
        Case::new(
            BatchNorm::default(),
            vec![
                draw.tensor(&images),
                channels(draw),
                channels(draw),
                channels(draw),
                channels(draw),
            ],
        ),
        Case::new(
            BatchNorm::default(),
            vec![
                draw.tensor(&[4000, 16]),
                channels(draw),
                channels(draw),
                channels(draw),
                channels(draw),
            ],
        ),
        Case::new(
            CrossEntropy::default(),
            vec![draw.tensor(&[3000, 20]), classes],
        ),
        Case::new(
            MeanSquaredError::default(),
            vec![draw.tensor(&[300, 400]), draw.tensor(&[300, 400])],
        ),
        Case::new(
            Dropout {
                probability: 0.3,
                with_mask: true,
            },
            vec![draw.tensor(&[300, 400])],
        ),
        Case::new(pool(), vec![draw.tensor(&images)]),
        Case::new(mean(), vec![draw.tensor(&images)]),
        Case::new(GlobalAveragePool, vec![draw.tensor(&images)]),
        Case::new(GlobalMaxPool, vec![draw.tensor(&images)]),
        Case::new(
            conv(),
            vec![
                draw.tensor(&images),
                draw.tensor(&[24, 16, 3, 3]),
                draw.tensor(&[24]),
            ],
        ),
        Case::new(
            Conv {
                groups: 16,
                ..conv()
            },
            vec![
                draw.tensor(&images),
                draw.tensor(&[16, 1, 3, 3]),
                draw.tensor(&[16]),
            ],
        ),
        Case::new(
            Reduce {
                kind: ReduceKind::Sum,
                axes: vec![0],
                keep_dims: false,
            },
            vec![draw.tensor(&[300, 400])],
        ),
        Case::new(
            Reduce {
                kind: ReduceKind::Max,
                axes: vec![1],
                keep_dims: false,
            },
            vec![draw.tensor(&[300, 400])],
        ),
    ];
    for case in cases.iter().chain(&further_cases(draw)) {
        assert_same_bits_in_parallel(case, 11);
    }
}

/// Of the elementwise functions, the normalisations, and what is resampled, transposed or
/// contracted.
fn further_cases(draw: &mut Draw) -> Vec<Case> {
    let images = [8, 16, 40, 40];
    let wide = [300, 400];
    let equation = "bij,bjk,bk->bi".to_string();
    let upsample = Resize {
        interpolation: Interpolation::Linear,
        scales: vec![1.0, 1.0, 1.5, 2.0],
        ..Resize::default()
    };
    let transposed = ConvTranspose {
        strides: vec![2, 2],
        ..ConvTranspose::default()
    };
    let pool = LpPool {
        window: PoolWindow {
            kernel: vec![3, 3],
            strides: vec![2, 2],
            ceil_mode: true,
            ..PoolWindow::default()
        },
        p: 2,
    };
    let output_size = vec![7, 9];
    let average = AdaptiveAveragePool {
        output_size: output_size.clone(),
    };
    let log_sum = Reduce {
        kind: ReduceKind::LogSumExp,
        axes: vec![1],
        keep_dims: true,
    };
    let norm = LocalResponseNorm {
        size: 5,
        ..LocalResponseNorm::default()
    };
    let groups = GroupNorm {
        groups: 4,
        epsilon: 1e-5,
    };
    vec![
        Case::new(Exp, vec![draw.tensor(&wide)]),
        Case::new(Max, vec![draw.tensor(&wide), draw.tensor(&[400])]),
        Case::new(
            Where,
            vec![
                draw.tensor(&[400]),
                draw.tensor(&wide),
                draw.tensor(&[300, 1]),
            ],
        ),
        Case::new(
            RmsNorm::default(),
            vec![draw.tensor(&wide), draw.tensor(&[400])],
        ),
        Case::new(
            groups,
            vec![draw.tensor(&images), draw.tensor(&[16]), draw.tensor(&[16])],
        ),
        Case::new(norm, vec![draw.tensor(&images)]),
        Case::new(
            transposed,
            vec![
                draw.tensor(&images),
                draw.tensor(&[16, 8, 3, 3]),
                draw.tensor(&[8]),
            ],
        ),
        Case::new(pool, vec![draw.tensor(&images)]),
        Case::new(average, vec![draw.tensor(&images)]),
        Case::new(AdaptiveMaxPool { output_size }, vec![draw.tensor(&images)]),
        Case::new(upsample, vec![draw.tensor(&images)]),
        Case::new(log_sum, vec![draw.tensor(&wide)]),
        Case::new(
            Einsum { equation },
            vec![
                draw.tensor(&[4, 200, 300]),
                draw.tensor(&[4, 300, 250]),
                draw.tensor(&[4, 250]),
            ],
        ),
    ]
}

/// The definition, term by term.
fn correlate(
    conv: &Conv,
    x: &Tensor<f64>,
    w: &Tensor<f64>,
    stride: usize,
    pad: usize,
    dilation: usize,
) -> Tensor<f64> {
    let shape = conv.infer(&[x.shape(), w.shape()]).unwrap().remove(0);
    let [samples, kernels, rows, columns] = shape[..] else {
        panic!("an image")
    };
    let (height, width) = (x.shape()[2], x.shape()[3]);
    let (channels, taps) = (w.shape()[1], w.shape()[2]);
    let mut y = Tensor::zeros(shape.clone());
    for n in 0..samples {
        for m in 0..kernels {
            let first = m / (kernels / conv.groups) * channels;
            for (row, column) in (0..rows * columns).map(|at| (at / columns, at % columns)) {
                let mut sum = 0.0;
                for c in 0..channels {
                    for (i, j) in (0..taps * taps).map(|at| (at / taps, at % taps)) {
                        let (h, v) = (row * stride + i * dilation, column * stride + j * dilation);
                        if h < pad || v < pad || h - pad >= height || v - pad >= width {
                            continue;
                        }
                        let at = ((n * channels * conv.groups + first + c) * height + h - pad)
                            * width
                            + v
                            - pad;
                        sum += x.data()[at] * w.data()[((m * channels + c) * taps + i) * taps + j];
                    }
                }
                y.data_mut()[((n * kernels + m) * rows + row) * columns + column] = sum;
            }
        }
    }
    y
}

fn inner(one: &Tensor<f64>, other: &Tensor<f64>) -> f64 {
    assert_eq!(one.shape(), other.shape());
    one.data()
        .iter()
        .zip(other.data())
        .map(|(a, b)| a * b)
        .sum()
}

#[test]
fn a_convolution_of_many_tiles_is_the_definition_and_its_pull_backs_are_its_adjoints() {
    let draw = &mut Draw(5);
    for (groups, channels, kernels, taps, stride, pad, dilation) in [
        (1, 48, 8, 3, 1, 1, 1),
        (1, 48, 8, 3, 2, 1, 1),
        (2, 24, 4, 3, 1, 0, 2),
        (8, 1, 1, 3, 1, 1, 1),
        (8, 1, 2, 3, 2, 2, 2),
        (1, 40, 12, 1, 1, 0, 1),
        (1, 40, 12, 1, 2, 0, 1),
        (1, 20, 6, 3, 1, 4, 1),
    ] {
        let conv = Conv {
            strides: vec![stride; 2],
            padding: vec![pad; 4].into(),
            dilations: vec![dilation; 2],
            groups,
        };
        let (x_shape, w_shape) = (
            [3, channels * groups, 37, 41],
            [kernels * groups, channels, taps, taps],
        );
        let (x, w) = (draw.tensor(&x_shape), draw.tensor(&w_shape));
        let context = Context::default();
        let inputs = [x, w];
        let y = apply(&conv, &context, &inputs).unwrap();
        let expected = correlate(&conv, &inputs[0], &inputs[1], stride, pad, dilation);
        for (ours, theirs) in y[0].data().iter().zip(expected.data()) {
            assert!(
                (ours - theirs).abs() < 1e-11 * (1.0 + theirs.abs()),
                "{conv:?}"
            );
        }
        let g = draw.tensor(y[0].shape());
        let (gradients, _) = apply_vjp(
            &conv,
            &context,
            &inputs,
            &y,
            std::slice::from_ref(&g),
            &[true; 2],
        )
        .unwrap();
        let [Some(dx), Some(dw)] = &gradients[..] else {
            panic!("both were wanted")
        };
        // Linear in each operand: ⟨g, x′ ∗ w⟩ = ⟨∂x, x′⟩ and ⟨g, x ∗ w′⟩ = ⟨∂w, w′⟩.
        for _ in 0..3 {
            let (other_x, other_w) = (draw.tensor(&x_shape), draw.tensor(&w_shape));
            let by_x = correlate(&conv, &other_x, &inputs[1], stride, pad, dilation);
            let by_w = correlate(&conv, &inputs[0], &other_w, stride, pad, dilation);
            for (direct, pulled) in [
                (inner(&g, &by_x), inner(dx, &other_x)),
                (inner(&g, &by_w), inner(dw, &other_w)),
            ] {
                let size = 1.0 + direct.abs();
                assert!(
                    (direct - pulled).abs() < 1e-9 * size,
                    "{conv:?}: {direct}, {pulled}"
                );
            }
        }
    }
}

#[test]
fn a_weight_gradient_is_the_sum_over_the_parts_of_a_batch() {
    let draw = &mut Draw(3);
    let conv = Conv {
        padding: vec![1; 4].into(),
        ..Conv::default()
    };
    let inputs = [draw.tensor(&[12, 32, 24, 24]), draw.tensor(&[16, 32, 3, 3])];
    let context = Context::default();
    let y = apply(&conv, &context, &inputs).unwrap();
    let g = draw.tensor(y[0].shape());
    let wanted = [false, true];
    let (whole, _) = apply_vjp(
        &conv,
        &context,
        &inputs,
        &y,
        std::slice::from_ref(&g),
        &wanted,
    )
    .unwrap();
    let mut sum = Tensor::<f64>::zeros([16, 32, 3, 3]);
    for sample in 0..12 {
        let part = |tensor: &Tensor<f64>| {
            let len = tensor.shape().row_len();
            let mut shape = tensor.shape().clone();
            shape.0[0] = 1;
            Tensor::new(shape, tensor.data()[sample * len..][..len].to_vec())
        };
        let one = [part(&inputs[0]), inputs[1].clone()];
        let (gradient, _) =
            apply_vjp(&conv, &context, &one, &[part(&y[0])], &[part(&g)], &wanted).unwrap();
        let gradient = gradient[1].as_ref().unwrap();
        for (sum, part) in sum.data_mut().iter_mut().zip(gradient.data()) {
            *sum += part;
        }
    }
    for (whole, sum) in whole[1].as_ref().unwrap().data().iter().zip(sum.data()) {
        assert!(
            (whole - sum).abs() < 1e-10 * (1.0 + sum.abs()),
            "{whole}, {sum}"
        );
    }
}
