//! New weights for a model: how each is drawn follows from how it is used.

use super::session::{Use, Weight};
use crate::graph::{Graph, ParameterData, ValueKind};
use crate::init::{Fans, Initialiser, Target};
use crate::num::{Shape, Stream, Tensor};
use rayon::prelude::*;
use std::sync::Arc;

/// How a parameter is drawn.
#[derive(Clone, Debug)]
pub(super) struct Draw {
    parameter: usize,
    name: String,
    target: Target,
    initialiser: Initialiser,
}

/// How every trained weight of a graph is drawn when the matrices and kernels are drawn by
/// `initialiser`: scales are one, shifts zero (as with PyTorch's own initialiser they are drawn
/// like their weights).
pub(super) fn plan(graph: &Graph, weights: &[Weight], initialiser: Initialiser) -> Vec<Draw> {
    let mut draws = Vec::new();
    for weight in weights.iter().filter(|weight| weight.trained) {
        let Some(value) = weight.value else {
            continue;
        };
        let ValueKind::Parameter(id) = graph.value(value).kind else {
            continue;
        };
        let shape = graph.value(value).shape.to_vec();
        let (target, chosen) = choose(&shape, weight.usage, initialiser);
        // What does not fit (orthogonal on a bias) is drawn as PyTorch does.
        let initialiser = match chosen.check(&target) {
            Ok(()) => chosen,
            Err(_) => Initialiser::PYTORCH,
        };
        draws.push(Draw {
            parameter: id.index(),
            name: weight.name.clone(),
            target,
            initialiser,
        });
    }
    draws
}

fn choose(shape: &[usize], usage: Option<Use>, matrix: Initialiser) -> (Target, Initialiser) {
    let shift = match matrix {
        Initialiser::Pytorch { .. } => matrix,
        _ => Initialiser::ZEROS,
    };
    let with = |fan_in: usize, fan_out: usize| Target {
        shape: shape.to_vec(),
        fans: Fans { fan_in, fan_out },
        groups: 1,
    };
    let plain = || Target::weight(shape, 1);
    match usage {
        Some(Use::Scale) if shape.len() <= 1 || shape.iter().filter(|&&n| n > 1).count() <= 1 => {
            (plain(), Initialiser::ONES)
        }
        Some(Use::Shift(0)) => (plain(), Initialiser::ZEROS),
        Some(Use::Shift(fan_in)) => (with(fan_in, 1), shift),
        Some(Use::Matrix(false)) if shape.len() >= 2 => {
            let (rows, columns) = (shape[shape.len() - 2], shape[shape.len() - 1]);
            (with(rows, columns), matrix)
        }
        Some(Use::Kernel(groups)) => (Target::weight(shape, groups), matrix),
        Some(Use::Table) => {
            let normal = Initialiser::Normal {
                mean: 0.0,
                std: 1.0,
            };
            (plain(), normal)
        }
        Some(Use::Recurrent(hidden)) if matches!(matrix, Initialiser::Pytorch { .. }) => {
            (with(hidden, hidden), matrix)
        }
        Some(Use::Recurrent(_)) if shape.len() == 3 => (with(shape[2], shape[1]), matrix),
        Some(Use::Recurrent(_)) if shape.len() < 2 || shape[0] <= 2 => (plain(), shift),
        _ if shape.len() >= 2 => (plain(), matrix),
        _ => (plain(), shift),
    }
}

/// Draws the weights of a seed.
pub(super) fn draw(graph: &mut Graph, draws: &[Draw], seed: u64) {
    for draw in draws {
        let tensor = Tensor::new(Shape(draw.target.shape.clone()), drawn(draw, seed));
        graph.set_parameter(draw.parameter, ParameterData::F32(Arc::new(tensor)));
    }
}

/// The numbers of a weight. A large one is drawn in blocks, each from a stream of its own, so that
/// several threads can.
fn drawn(draw: &Draw, seed: u64) -> Vec<f32> {
    const BLOCK: usize = 1 << 20;
    let count = draw.target.shape.iter().product();
    let mut data = vec![0.0; count];
    let whole = matches!(
        draw.initialiser,
        Initialiser::Orthogonal { .. } | Initialiser::DeltaOrthogonal { .. }
    );
    if whole || count <= BLOCK {
        let mut stream = Stream::new(seed, &draw.name);
        draw.initialiser.fill(&draw.target, &mut stream, &mut data);
        return data;
    }
    let blocks = data.par_chunks_mut(BLOCK).enumerate();
    blocks.for_each(|(number, block)| {
        let target = Target {
            shape: vec![block.len()],
            ..draw.target.clone()
        };
        let mut stream = Stream::new(seed, &format!("{}[{number}]", draw.name));
        draw.initialiser.fill(&target, &mut stream, block);
    });
    data
}
