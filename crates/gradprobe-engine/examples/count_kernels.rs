//! The kernels whose instructions `cargo xtask instructions` counts: `count_kernels NAME` runs one
//! of them once, forward and back, in `counted`; without a name it prints the names.

use gradprobe_engine::num::random::Stream;
use gradprobe_engine::num::{Shape, Statistics, Tensor, View, ViewMut};
use gradprobe_engine::ops::activation::{self, ActivationOp};
use gradprobe_engine::ops::{
    Attention, BatchNorm, Context, Conv, LayerNorm, Linear, Lstm, MaxPool, Op, OpError, Padding,
    PoolWindow, Saved, Softmax,
};
use std::error::Error;
use std::hint::black_box;

/// A kernel: a name, and what is counted.
type Row = (&'static str, fn() -> Result<Work, OpError>);
type Work = Box<dyn FnMut() -> Result<(), OpError>>;

const ROWS: [Row; 12] = [
    ("linear", || {
        both(Linear { bias: true }, &[&[64, 256], &[256, 256], &[256]])
    }),
    ("conv_3x3", || {
        both(conv(1, 1), &[&[1, 32, 28, 28], &[32, 32, 3, 3]])
    }),
    ("conv_1x1", || {
        both(conv(0, 1), &[&[1, 64, 28, 28], &[64, 64, 1, 1]])
    }),
    ("conv_depthwise", || {
        both(conv(1, 32), &[&[1, 32, 28, 28], &[32, 1, 3, 3]])
    }),
    ("max_pool", || both(max_pool(), &[&[1, 32, 28, 28]])),
    ("batch_norm", || {
        both(
            BatchNorm::default(),
            &[&[4, 32, 28, 28], &[32], &[32], &[32], &[32]],
        )
    }),
    ("layer_norm", || {
        both(LayerNorm::default(), &[&[64, 256], &[256], &[256]])
    }),
    ("tanh", || both(tanh()?, &[&[64, 512]])),
    ("softmax", || both(Softmax { axis: -1 }, &[&[64, 512]])),
    ("attention", || {
        both(
            Attention {
                causal: true,
                ..Attention::default()
            },
            &[HEADS; 3],
        )
    }),
    ("lstm", || {
        both(
            Lstm::default(),
            &[&[20, 8, 64], &[1, 256, 64], &[1, 256, 64]],
        )
    }),
    ("statistics", statistics),
];

/// Samples, heads, time, dimension.
const HEADS: &[usize] = &[1, 4, 64, 32];

fn conv(padding: usize, groups: usize) -> Conv {
    Conv {
        padding: Padding::Explicit(vec![padding; 4]),
        groups,
        ..Conv::default()
    }
}

fn max_pool() -> MaxPool {
    MaxPool {
        window: PoolWindow {
            kernel: vec![3, 3],
            strides: vec![2, 2],
            padding: Padding::Explicit(vec![1; 4]),
            ..PoolWindow::default()
        },
        ..MaxPool::default()
    }
}

fn tanh() -> Result<ActivationOp, OpError> {
    let found = activation::parse("tanh").map_err(|error| OpError::Value {
        what: error.to_string(),
    })?;
    Ok(ActivationOp::new(found))
}

fn normal(name: &str, shape: &Shape) -> Tensor<f32> {
    let mut values = Tensor::<f64>::zeros(shape.clone());
    Stream::new(0, name).fill_normal(0.0, 0.5, values.data_mut());
    values.cast()
}

/// An op's forward and its pull-back to every input that has a gradient.
fn both(op: impl Op + 'static, inputs: &[&[usize]]) -> Result<Work, OpError> {
    let shapes: Vec<Shape> = inputs.iter().map(|&extents| Shape::new(extents)).collect();
    let outputs = op.infer(&shapes.iter().collect::<Vec<_>>())?;
    let visible = outputs.len() - op.kept_outputs();
    let cotangents: Vec<Tensor<f32>> = outputs[..visible]
        .iter()
        .map(|shape| normal("cotangent", shape))
        .collect();
    let inputs: Vec<Tensor<f32>> = shapes.iter().map(|shape| normal("input", shape)).collect();
    let mut outputs: Vec<Tensor<f32>> = outputs.into_iter().map(Tensor::zeros).collect();
    let mut gradients: Vec<Tensor<f32>> = shapes.into_iter().map(Tensor::zeros).collect();
    Ok(Box::new(move || {
        let context = Context::default();
        let inputs: Vec<View<'_, f32>> = inputs.iter().map(Tensor::view).collect();
        let mut writes: Vec<ViewMut<'_, f32>> = outputs.iter_mut().map(Tensor::view_mut).collect();
        op.forward(&context, &inputs, &mut writes)?;
        let outputs: Vec<View<'_, f32>> = outputs.iter().map(Tensor::view).collect();
        let saved = Saved {
            inputs: &inputs,
            outputs: &outputs,
        };
        let cotangents: Vec<_> = cotangents.iter().map(|g| Some(g.view())).collect();
        let mut gradients: Vec<Option<ViewMut<'_, f32>>> = gradients
            .iter_mut()
            .enumerate()
            .map(|(input, gradient)| op.differentiable(input).then(|| gradient.view_mut()))
            .collect();
        op.vjp(&context, saved, &cotangents, &mut gradients)?;
        black_box(&gradients);
        Ok(())
    }))
}

fn statistics() -> Result<Work, OpError> {
    let values = normal("input", &Shape::new([1 << 16]));
    Ok(Box::new(move || {
        black_box(Statistics::of(values.data(), 0, None));
        Ok(())
    }))
}

/// What is counted: its own symbol.
#[inline(never)]
fn counted(work: &mut Work) -> Result<(), OpError> {
    work()
}

fn main() -> Result<(), Box<dyn Error>> {
    let Some(name) = std::env::args().nth(1) else {
        for (name, _) in ROWS {
            println!("{name}");
        }
        return Ok(());
    };
    let row = ROWS.iter().find(|(known, _)| *known == name);
    let (_, make) = row.ok_or_else(|| format!("there is no kernel {name:?}"))?;
    let mut work = make()?;
    // The first call lays out tables and scratch memory, and asks for the processor's features.
    work()?;
    counted(&mut work)?;
    Ok(())
}
