//! Elements and slices by index: GatherElements, GatherND, ScatterElements, ScatterND.
//!
//! A gather copies blocks of the data to its output one after the other, a scatter writes blocks
//! of updates into a copy of the data; the ops differ only in where the indices put the blocks.
//! Indices are whole numbers, counted from the end of their axis where negative, and have no
//! gradient.

use super::attributes::{AttributeReader, wrong};
use super::shapes::{expect_inputs, expect_shape, in_memory, misfit, resolve_axis};
use super::{Attribute, Attributes, Context, Kernel, Op, OpElement, OpError, Role, Saved};
use crate::num::{Element, Shape, View, ViewMut};

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

/// y\[i, j, …\] = x\[index\[i, j, …\], j, …\] along `axis` (here the first): inputs x and indices of
/// the same rank, and no larger than x along the other axes. PyTorch's `gather`. The pull-back adds
/// the cotangents to where the elements are from.
#[derive(Clone, Copy, Debug, Default)]
pub struct GatherElements {
    /// The axis; counted from the end where it is negative.
    pub axis: i64,
}

/// The slices of x at the coordinates that the last axis of the indices holds, after
/// `batch_dims` axes that x and the indices share. The pull-back adds the cotangents to where the
/// slices are from.
#[derive(Clone, Copy, Debug, Default)]
pub struct GatherNd {
    /// How many leading axes x and the indices share.
    pub batch_dims: usize,
}

/// What a scatter does with an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ScatterReduction {
    /// It takes the element's place; the last one stays where several have one target, and it
    /// alone gets the cotangent.
    #[default]
    Replace,
    /// It is added to the element.
    Add,
}

/// x with updates written to where [`GatherElements`] would read: inputs x, indices, and updates
/// of the indices' shape. PyTorch's `scatter` and `scatter_add`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScatterElements {
    /// The axis; counted from the end where it is negative.
    pub axis: i64,
    /// What is done with an update.
    pub reduction: ScatterReduction,
}

/// x with updates written to where [`GatherNd`] without batch axes would read: inputs x, indices
/// and updates.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScatterNd {
    /// What is done with an update.
    pub reduction: ScatterReduction,
}

fn read_reduction(reader: &mut AttributeReader<'_>) -> Result<ScatterReduction, OpError> {
    match reader.text("reduction", "none")? {
        "none" => Ok(ScatterReduction::Replace),
        "add" => Ok(ScatterReduction::Add),
        other => Err(wrong(
            "reduction",
            "none or add",
            &Attribute::Text(other.into()),
        )),
    }
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

impl GatherElements {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let axis = reader.int("axis", 0)?;
        reader.finish()?;
        Ok(Box::new(Self { axis }))
    }

    fn blocks<T: Element>(&self, x: &[usize], indices: View<'_, T>) -> Result<Blocks, OpError> {
        along_axis(x, indices, resolve_axis("axis", self.axis, x.len())?)
    }

    fn target(&self, x: &Shape, indices: &Shape) -> Result<Shape, OpError> {
        expect_element_indices(self.axis, x, indices)?;
        Ok(indices.clone())
    }

    fn keeps_rows(&self, inputs: &[&Shape]) -> bool {
        let axis = resolve_axis("axis", self.axis, inputs[0].len());
        axis.is_ok_and(|axis| axis > 0) && inputs[0].first() == inputs[1].first()
    }
}

impl GatherNd {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let batch_dims = reader.size("batch_dims", 0, 0)?;
        reader.finish()?;
        Ok(Box::new(Self { batch_dims }))
    }

    fn blocks<T: Element>(&self, x: &[usize], indices: View<'_, T>) -> Result<Blocks, OpError> {
        tuples(x, indices, self.batch_dims)
    }

    fn target(&self, x: &Shape, indices: &Shape) -> Result<Shape, OpError> {
        in_memory(tuple_blocks(self.batch_dims, x, indices)?)
    }

    fn keeps_rows(&self, _inputs: &[&Shape]) -> bool {
        self.batch_dims > 0
    }
}

impl ScatterElements {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let axis = reader.int("axis", 0)?;
        let reduction = read_reduction(&mut reader)?;
        reader.finish()?;
        Ok(Box::new(Self { axis, reduction }))
    }

    fn blocks<T: Element>(&self, x: &[usize], indices: View<'_, T>) -> Result<Blocks, OpError> {
        along_axis(x, indices, resolve_axis("axis", self.axis, x.len())?)
    }

    fn updates(&self, x: &Shape, indices: &Shape) -> Result<Vec<usize>, OpError> {
        expect_element_indices(self.axis, x, indices)?;
        Ok(indices.to_vec())
    }

    fn keeps_rows(&self, inputs: &[&Shape]) -> bool {
        let axis = resolve_axis("axis", self.axis, inputs[0].len());
        axis.is_ok_and(|axis| axis > 0) && inputs[0].first() == inputs[1].first()
    }
}

impl ScatterNd {
    pub(super) fn from_attributes(attributes: &Attributes) -> Result<Box<dyn Op>, OpError> {
        let mut reader = AttributeReader::new(attributes);
        let reduction = read_reduction(&mut reader)?;
        reader.finish()?;
        Ok(Box::new(Self { reduction }))
    }

    fn blocks<T: Element>(&self, x: &[usize], indices: View<'_, T>) -> Result<Blocks, OpError> {
        tuples(x, indices, 0)
    }

    fn updates(&self, x: &Shape, indices: &Shape) -> Result<Vec<usize>, OpError> {
        tuple_blocks(0, x, indices)
    }

    fn keeps_rows(&self, _inputs: &[&Shape]) -> bool {
        false
    }
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

fn scatter<T: Element>(blocks: &Blocks, reduction: ScatterReduction, updates: &[T], y: &mut [T]) {
    match reduction {
        ScatterReduction::Add => add_back(blocks, updates, y),
        ScatterReduction::Replace if blocks.len > 0 => {
            let updates = updates.chunks_exact(blocks.len);
            for (update, &start) in updates.zip(&blocks.starts) {
                y[start..start + blocks.len].copy_from_slice(update);
            }
        }
        ScatterReduction::Replace => {}
    }
}

/// The cotangents of the updates: those of what they were written to, 0 where another update
/// came later.
fn pull_updates<T: Element>(
    blocks: &Blocks,
    reduction: ScatterReduction,
    g: &[T],
    updates: &mut [T],
) {
    gather(blocks, g, updates);
    if reduction == ScatterReduction::Replace && blocks.len > 0 {
        let mut taken = std::collections::HashSet::with_capacity(blocks.starts.len());
        let pairs = updates.chunks_exact_mut(blocks.len).zip(&blocks.starts);
        for (update, start) in pairs.rev() {
            if !taken.insert(start) {
                update.fill(T::zero());
            }
        }
    }
}

macro_rules! gather_op {
    ($type:ident, $name:literal) => {
        impl<T: OpElement> Kernel<T> for $type {
            fn forward(
                &self,
                _context: &Context,
                inputs: &[View<'_, T>],
                outputs: &mut [ViewMut<'_, T>],
            ) -> Result<(), OpError> {
                let blocks = self.blocks(inputs[0].shape, inputs[1])?;
                gather(&blocks, inputs[0].data, outputs[0].data);
                Ok(())
            }

            fn vjp(
                &self,
                _context: &Context,
                saved: Saved<'_, T>,
                cotangents: &[Option<View<'_, T>>],
                gradients: &mut [Option<ViewMut<'_, T>>],
            ) -> Result<i64, OpError> {
                if let Some(indices) = &mut gradients[1] {
                    indices.data.fill(T::zero());
                }
                if let (Some(g), Some(dx)) = (cotangents[0], &mut gradients[0]) {
                    let blocks = self.blocks(dx.shape, saved.inputs[1])?;
                    dx.data.fill(T::zero());
                    add_back(&blocks, g.data, dx.data);
                }
                Ok(0)
            }
        }

        impl Op for $type {
            fn name(&self) -> &'static str {
                $name
            }

            fn role(&self) -> Role {
                Role::Other
            }

            fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
                expect_inputs(inputs, 2..=2)?;
                Ok(vec![self.target(inputs[0], inputs[1])?])
            }

            fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
                sampled == [true, true] && self.keeps_rows(inputs)
            }

            fn differentiable(&self, input: usize) -> bool {
                input == 0
            }

            fn reads_input(&self, input: usize) -> bool {
                input == 1
            }

            fn reads_outputs(&self) -> bool {
                false
            }
        }
    };
}

macro_rules! scatter_op {
    ($type:ident, $name:literal) => {
        impl<T: OpElement> Kernel<T> for $type {
            fn forward(
                &self,
                _context: &Context,
                inputs: &[View<'_, T>],
                outputs: &mut [ViewMut<'_, T>],
            ) -> Result<(), OpError> {
                let blocks = self.blocks(inputs[0].shape, inputs[1])?;
                let y = &mut *outputs[0].data;
                y.copy_from_slice(inputs[0].data);
                scatter(&blocks, self.reduction, inputs[2].data, y);
                Ok(())
            }

            fn vjp(
                &self,
                _context: &Context,
                saved: Saved<'_, T>,
                cotangents: &[Option<View<'_, T>>],
                gradients: &mut [Option<ViewMut<'_, T>>],
            ) -> Result<i64, OpError> {
                if let Some(indices) = &mut gradients[1] {
                    indices.data.fill(T::zero());
                }
                let Some(g) = cotangents[0] else { return Ok(0) };
                let blocks = self.blocks(g.shape, saved.inputs[1])?;
                if let Some(dx) = &mut gradients[0] {
                    dx.data.copy_from_slice(g.data);
                    if self.reduction == ScatterReduction::Replace {
                        for &start in &blocks.starts {
                            dx.data[start..start + blocks.len].fill(T::zero());
                        }
                    }
                }
                if let Some(updates) = &mut gradients[2] {
                    pull_updates(&blocks, self.reduction, g.data, updates.data);
                }
                Ok(0)
            }
        }

        impl Op for $type {
            fn name(&self) -> &'static str {
                $name
            }

            fn role(&self) -> Role {
                Role::Other
            }

            fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
                expect_inputs(inputs, 3..=3)?;
                let updates = self.updates(inputs[0], inputs[1])?;
                expect_shape("the updates", &updates, inputs[2])?;
                Ok(vec![inputs[0].clone()])
            }

            fn per_sample(&self, sampled: &[bool], inputs: &[&Shape]) -> bool {
                sampled == [true; 3] && self.keeps_rows(inputs)
            }

            fn differentiable(&self, input: usize) -> bool {
                input != 1
            }

            fn reads_input(&self, input: usize) -> bool {
                input == 1
            }

            fn reads_outputs(&self) -> bool {
                false
            }
        }
    };
}

gather_op!(GatherElements, "GatherElements");
gather_op!(GatherNd, "GatherND");
scatter_op!(ScatterElements, "ScatterElements");
scatter_op!(ScatterNd, "ScatterND");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Tensor;
    use crate::ops::{apply, apply_vjp};

    #[test]
    fn an_index_out_of_range_is_named() {
        let x = Tensor::new([2], vec![1.0, 2.0]);
        for (index, shown) in [(2.0, "2"), (-3.0, "-3"), (0.5, "0.5"), (f64::NAN, "NaN")] {
            let inputs = [x.clone(), Tensor::new([1], vec![index])];
            let error = apply(&GatherElements::default(), &Context::default(), &inputs)
                .expect_err("no such element");
            assert_eq!(
                error.to_string(),
                format!("index 0 is {shown}, expected a whole number from -2 to 1")
            );
        }
    }

    #[test]
    fn the_last_of_several_updates_stays_and_gets_the_cotangent() {
        let inputs = [vec![0.0, 0.0], vec![1.0, 1.0], vec![5.0, 7.0]].map(|x| Tensor::new([2], x));
        let (op, context) = (ScatterElements::default(), Context::default());
        let y = apply(&op, &context, &inputs).expect("it fits");
        assert_eq!(y[0].data(), [0.0, 7.0]);
        let g = Tensor::new([2], vec![2.0, 3.0]);
        let (gradients, _) =
            apply_vjp(&op, &context, &inputs, &y, &[g], &[true; 3]).expect("it fits");
        let gradients: Vec<&[f64]> = gradients.iter().flatten().map(Tensor::data).collect();
        assert_eq!(gradients, [[2.0, 0.0], [0.0, 0.0], [0.0, 3.0]]);
    }
}
