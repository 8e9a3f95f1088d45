//! Units of a signal over the rows of a batch.

use crate::num::Element;

/// The axis of units: features of a vector or a token, channels of an image.
pub(super) fn unit_axis(shape: &[usize]) -> usize {
    match shape.len() {
        3 => 2,
        axes => 1.min(axes.saturating_sub(1)),
    }
}

/// How many units a signal of this shape has; `None` where it has no elements.
pub(super) fn unit_count(shape: &[usize]) -> Option<usize> {
    let units = *shape.get(unit_axis(shape))?;
    (!shape.contains(&0)).then_some(units)
}

/// The units all of whose elements, in every row, satisfy `holds`.
pub(super) fn units_where<T: Element>(
    data: &[T],
    shape: &[usize],
    holds: impl Fn(&T) -> bool,
) -> Vec<usize> {
    let Some(units) = unit_count(shape) else {
        return Vec::new();
    };
    let inner: usize = shape.iter().skip(unit_axis(shape) + 1).product();
    let mut rows = data.chunks_exact(units * inner);
    let in_row = |row: &[T], unit: usize| row[unit * inner..][..inner].iter().all(&holds);
    let Some(first) = rows.next() else {
        return (0..units).collect();
    };
    let mut left: Vec<usize> = (0..units).filter(|&unit| in_row(first, unit)).collect();
    for row in rows {
        if left.is_empty() {
            break;
        }
        left.retain(|&unit| in_row(row, unit));
    }
    left
}

/// Bounds of flat regions in the type of a signal.
pub(super) fn flat_in<T: Element>(flat: &[(f64, f64)]) -> Vec<(T, T)> {
    let cast = |&(low, high): &(f64, f64)| (T::from_f64(low), T::from_f64(high));
    flat.iter().map(cast).collect()
}

/// Does it lie in a flat region?
pub(super) fn is_flat<T: Element>(flat: &[(T, T)], x: &T) -> bool {
    flat.iter().any(|&(low, high)| (*x >= low) & (*x <= high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_features_or_channels_over_all_rows() {
        let below = |x: &f64| *x < 0.0;
        let rows = [-1.0, 1.0, -1.0, -1.0, -1.0, -1.0];
        assert_eq!(units_where(&rows, &[2, 3], below), [0, 2]);
        // Two images of two channels of two pixels.
        let images = [-1.0, -1.0, -1.0, 1.0, -1.0, -1.0, -1.0, -1.0];
        assert_eq!(units_where(&images, &[2, 2, 1, 2], below), [0]);
        assert_eq!(units_where(&[0.0; 0], &[0, 3], below), [0usize; 0]);
    }

    #[test]
    fn nan_lies_in_no_flat_region() {
        let flat = flat_in::<f32>(&[(f64::NEG_INFINITY, 0.0)]);
        assert!(is_flat(&flat, &-1.0) && is_flat(&flat, &0.0));
        assert!(!is_flat(&flat, &1e-30) && !is_flat(&flat, &f32::NAN));
    }
}
