//! What the `infer` of many ops has in common.

use super::OpError;
use crate::num::Shape;
use std::ops::RangeInclusive;

/// Refuses a number of inputs outside `range`.
pub(super) fn expect_inputs(
    inputs: &[&Shape],
    range: RangeInclusive<usize>,
) -> Result<(), OpError> {
    if range.contains(&inputs.len()) {
        return Ok(());
    }
    let (least, most) = (*range.start(), *range.end());
    Err(OpError::InputCount {
        expected: match (least, most) {
            (least, usize::MAX) => format!("at least {least}"),
            (least, most) if least == most => least.to_string(),
            (least, most) => format!("{least} to {most}"),
        },
        got: inputs.len(),
    })
}

/// A shape that does not fit.
pub(super) fn misfit(
    what: impl Into<String>,
    expected: impl ToString,
    got: impl ToString,
) -> OpError {
    OpError::Shape {
        what: what.into(),
        expected: expected.to_string(),
        got: got.to_string(),
    }
}

/// Refuses an operand of another shape than `expected`.
pub(super) fn expect_shape(what: &str, expected: &[usize], got: &Shape) -> Result<(), OpError> {
    if expected == &got[..] {
        return Ok(());
    }
    Err(misfit(
        format!("shape of {what}"),
        Shape::new(expected),
        got,
    ))
}

/// A shape, if a tensor of it could be held in memory at all.
pub(super) fn in_memory(extents: Vec<usize>) -> Result<Shape, OpError> {
    let shape = Shape(extents);
    match shape.checked_len() {
        Some(len) if len <= isize::MAX as usize / size_of::<f64>() => Ok(shape),
        _ => Err(misfit("output", "a tensor that fits in memory", shape)),
    }
}

/// The axis that `axis` means, counted from the end where it is negative, as in ONNX.
pub(super) fn resolve_axis(name: &'static str, axis: i64, rank: usize) -> Result<usize, OpError> {
    let counted = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(counted)
        .ok()
        .filter(|&axis| axis < rank)
        .ok_or_else(|| OpError::Attribute {
            name,
            expected: match rank {
                0 => "none, for the input is a scalar".into(),
                rank => format!("between -{rank} and {}", rank - 1),
            },
            got: axis.to_string(),
        })
}

/// The axes that `axes` mean, each at most once.
pub(super) fn resolve_axes(
    name: &'static str,
    axes: &[i64],
    rank: usize,
) -> Result<Vec<usize>, OpError> {
    let mut resolved = Vec::with_capacity(axes.len().min(rank));
    for &axis in axes {
        let axis = resolve_axis(name, axis, rank)?;
        if resolved.contains(&axis) {
            return Err(OpError::Attribute {
                name,
                expected: "every axis at most once".into(),
                got: format!("{axes:?}"),
            });
        }
        resolved.push(axis);
    }
    Ok(resolved)
}

/// Refuses an attribute that is a list of another length.
pub(super) fn expect_len<V: std::fmt::Debug>(
    name: &'static str,
    list: &[V],
    len: usize,
) -> Result<(), OpError> {
    if list.len() == len {
        return Ok(());
    }
    Err(OpError::Attribute {
        name,
        expected: format!("{len} numbers"),
        got: format!("{list:?}"),
    })
}

/// The shape that operands broadcast to, as in NumPy.
pub(super) fn broadcast(shapes: &[&[usize]]) -> Result<Shape, OpError> {
    let rank = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
    let mut result = vec![1; rank];
    for shape in shapes {
        let offset = rank - shape.len();
        for (axis, &extent) in shape.iter().enumerate() {
            let so_far = &mut result[offset + axis];
            if *so_far == 1 {
                *so_far = extent;
            } else if extent != 1 && extent != *so_far {
                return Err(misfit(
                    "shapes of the operands",
                    "extents that are equal or 1",
                    shapes
                        .iter()
                        .map(|shape| Shape::new(*shape).to_string())
                        .collect::<Vec<_>>()
                        .join(" and "),
                ));
            }
        }
    }
    Ok(Shape(result))
}

/// Do the operands in `sampled` broadcast to an axis 0 that enumerates their own rows, the others
/// being the same for every row?
pub(super) fn broadcast_per_sample(sampled: &[bool], inputs: &[&Shape]) -> bool {
    let rank = inputs.iter().map(|shape| shape.len()).max().unwrap_or(0);
    let rows = inputs
        .iter()
        .filter(|shape| shape.len() == rank)
        .filter_map(|shape| shape.first());
    let Some(&rows) = rows.max() else {
        return false;
    };
    let fits = |(&sampled, shape): (&bool, &&Shape)| {
        let full = shape.len() == rank && shape.first() == Some(&rows);
        let same_for_all = shape.len() < rank || shape[0] == 1;
        if sampled { full } else { same_for_all }
    };
    sampled.contains(&true) && sampled.iter().zip(inputs).all(fits)
}

/// How the elements of a row-major tensor lie around one axis: `outer` × `extent` × `inner`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    pub(super) outer: usize,
    pub(super) extent: usize,
    pub(super) inner: usize,
}

impl Around {
    pub(super) fn axis(shape: &[usize], axis: usize) -> Self {
        Self {
            outer: shape[..axis].iter().product(),
            extent: shape[axis],
            inner: shape[axis + 1..].iter().product(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_broadcast_as_in_numpy() {
        assert_eq!(
            broadcast(&[&[3, 1], &[4]]).expect("they fit"),
            Shape::from([3, 4])
        );
        assert_eq!(
            broadcast(&[&[], &[2, 0]]).expect("they fit"),
            Shape::from([2, 0])
        );
        let error = broadcast(&[&[3, 2], &[4]]).expect_err("2 against 4");
        assert_eq!(
            error.to_string(),
            "shapes of the operands: expected extents that are equal or 1, got [3, 2] and [4]"
        );
    }

    #[test]
    fn a_batch_is_split_only_where_every_operand_allows_it() {
        let (x, row, column, one) = (
            Shape::from([8, 3]),
            Shape::from([3]),
            Shape::from([8, 1]),
            Shape::from([1, 3]),
        );
        assert!(broadcast_per_sample(&[true, false], &[&x, &row]));
        assert!(broadcast_per_sample(&[true, true], &[&x, &column]));
        assert!(broadcast_per_sample(&[true, false], &[&x, &one]));
        assert!(!broadcast_per_sample(&[true, false], &[&x, &column]));
        assert!(!broadcast_per_sample(&[true, true], &[&x, &one]));
        assert!(!broadcast_per_sample(&[false, false], &[&x, &x]));
    }

    #[test]
    fn an_axis_is_counted_from_the_end_where_it_is_negative() {
        assert_eq!(resolve_axis("axis", -1, 3), Ok(2));
        assert_eq!(resolve_axis("axis", 2, 3), Ok(2));
        let error = resolve_axis("axis", 3, 3).expect_err("out of range");
        assert_eq!(error.to_string(), "axis is 3, expected between -3 and 2");
        assert!(resolve_axis("axis", i64::MIN, 3).is_err());
    }
}
