//! Elements and slices by index: GatherElements, GatherND, ScatterElements, ScatterND.
//!
//! A gather copies blocks of the data to its output one after the other, a scatter writes blocks
//! of updates into a copy of the data; the ops differ only in where the indices put the blocks.
//! Indices are whole numbers, counted from the end of their axis where negative, and have no
//! gradient.

mod gather;
mod scatter;

pub use gather::{GatherElements, GatherNd};
pub use scatter::{ScatterElements, ScatterNd, ScatterReduction};

use super::OpError;
use super::shapes::{misfit, resolve_axis};
use crate::num::{Element, Shape, View};

/// Where blocks of the data are, in the order of the indices.
struct Blocks {
    starts: Vec<usize>,
    /// Elements of a block.
    len: usize,
}

/// The place along an axis of `extent` that element `at` of the indices means.
pub(super) fn place<T: Element>(index: T, extent: usize, at: usize) -> Result<usize, OpError> {
    let index = index.to_f64();
    let counted = if index < 0.0 {
        index + extent as f64
    } else {
        index
    };
    if counted >= 0.0 && counted < extent as f64 && counted.fract() == 0.0 {
        return Ok(counted as usize);
    }
    Err(OpError::Value {
        what: format!(
            "index {at} is {index}, expected a whole number from -{extent} to {}",
            extent.saturating_sub(1)
        ),
    })
}

/// Indices of the rank of the data that say one coordinate of an element, the others being the
/// index's own.
fn along_axis<T: Element>(
    data: &[usize],
    indices: View<'_, T>,
    axis: usize,
) -> Result<Blocks, OpError> {
    let mut strides = vec![1usize; data.len()];
    for axis in (1..data.len()).rev() {
        strides[axis - 1] = data[axis].saturating_mul(strides[axis]);
    }
    let mut position = vec![0; data.len()];
    let mut starts = Vec::with_capacity(indices.data.len());
    for (at, &index) in indices.data.iter().enumerate() {
        let own = place(index, data[axis], at)?;
        let coordinates = position.iter().zip(&strides).enumerate();
        let start = coordinates.map(|(other, (&position, stride))| {
            let coordinate = if other == axis { own } else { position };
            coordinate * stride
        });
        starts.push(start.sum());
        for axis in (0..position.len()).rev() {
            position[axis] += 1;
            if position[axis] < indices.shape[axis] {
                break;
            }
            position[axis] = 0;
        }
    }
    Ok(Blocks { starts, len: 1 })
}

/// Indices whose last axis holds the first coordinates of a block, after `batch` axes that data
/// and indices share.
fn tuples<T: Element>(
    data: &[usize],
    indices: View<'_, T>,
    batch: usize,
) -> Result<Blocks, OpError> {
    let (&count, leading) = indices.shape.split_last().unwrap_or((&1, &[]));
    let inner = &data[batch..];
    // Saturates where another extent is 0 and there is nothing to be indexed.
    let product = |extents: &[usize]| Shape::new(extents).element_count();
    let (len, sample) = (product(&inner[count..]), product(inner));
    let per_sample = product(&leading[batch..]);
    let mut starts = Vec::with_capacity(indices.data.len() / count.max(1));
    for (row, tuple) in indices.data.chunks_exact(count).enumerate() {
        let mut start = 0;
        for (offset, (&index, &extent)) in tuple.iter().zip(inner).enumerate() {
            start = start * extent + place(index, extent, row * count + offset)?;
        }
        starts.push(row / per_sample.max(1) * sample + start * len);
    }
    Ok(Blocks { starts, len })
}

fn expect_element_indices(axis: i64, x: &Shape, indices: &Shape) -> Result<(), OpError> {
    if x.is_empty() {
        return Err(misfit("input", "at least one axis", "a scalar"));
    }
    let axis = resolve_axis("axis", axis, x.len())?;
    let fits = indices.len() == x.len()
        && (0..x.len()).all(|other| other == axis || indices[other] <= x[other]);
    if fits {
        return Ok(());
    }
    let expected = format!("extents of at most those of {x} but for axis {axis}");
    Err(misfit("shape of the indices", expected, indices))
}

/// The shape of the blocks that tuples of indices stand for.
fn tuple_blocks(batch: usize, x: &Shape, indices: &Shape) -> Result<Vec<usize>, OpError> {
    let fits = batch < indices.len()
        && batch < x.len()
        && x[..batch] == indices[..batch]
        && (1..=x.len() - batch).contains(&indices[indices.len() - 1]);
    if !fits {
        let expected = match batch {
            0 => format!("a last axis of 1 to {} coordinates", x.len()),
            batch => format!(
                "the {batch} first extents of {x} and a last axis of 1 to {} coordinates",
                x.len().saturating_sub(batch)
            ),
        };
        return Err(misfit("shape of the indices", expected, indices));
    }
    let (&count, leading) = indices.split_last().unwrap_or((&1, &[]));
    Ok([leading, &x[batch + count..]].concat())
}

fn gather<T: Element>(blocks: &Blocks, x: &[T], y: &mut [T]) {
    if blocks.len == 0 {
        return;
    }
    for (y, &start) in y.chunks_exact_mut(blocks.len).zip(&blocks.starts) {
        y.copy_from_slice(&x[start..start + blocks.len]);
    }
}

fn add_back<T: Element>(blocks: &Blocks, g: &[T], dx: &mut [T]) {
    if blocks.len == 0 {
        return;
    }
    for (g, &start) in g.chunks_exact(blocks.len).zip(&blocks.starts) {
        for (dx, &g) in dx[start..].iter_mut().zip(g) {
            *dx += g;
        }
    }
}
