//! How far samples differ.

use crate::num::square_sum;
use crate::num::sum::add_with_squares;
use crate::run::RunElement;
use std::ops::Range;

/// Samples (or tokens) that are compared with each other.
const COMPARED_ROWS: usize = 16;
/// Elements of each that are compared.
const COMPARED_ELEMENTS: usize = 1024;
/// The same where there are more, in stretches of so many.
const STRETCH: usize = 64;
/// A difference of sums that is a smaller share of them is summed from differences.
const CANCELLED: f64 = 1e-6;

/// At most `most` of `count` positions, evenly spread.
pub(super) fn evenly(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let taken = count.min(most);
    (0..taken).map(move |index| index * count / taken.max(1))
}

/// √(Σ‖hᵢ − h̄‖² / Σ‖hᵢ‖²) over rows that are evenly spread, and of each as many elements, in
/// stretches that are evenly spread.
pub(super) fn spread<T: RunElement>(data: &[T], rows: usize, len: usize) -> Option<f64> {
    // A row that is short enough is one stretch.
    let (count, size) = match len {
        0..=COMPARED_ELEMENTS => (1, len),
        _ => (COMPARED_ELEMENTS / STRETCH, STRETCH),
    };
    let stretches: Vec<Range<usize>> = evenly(len, count)
        .map(|start| start..start + size.min(len - start))
        .collect();
    let chosen: Vec<&[T]> = evenly(rows, COMPARED_ROWS)
        .filter_map(|row| data.get(row * len..(row + 1) * len))
        .collect();
    let taken = stretches.iter().map(ExactSizeIterator::len).sum();
    if chosen.len() < 2 || taken == 0 {
        return None;
    }
    let count = chosen.len() as f64;
    let mut sums = vec![0.0f64; taken];
    let pieces = || chosen.iter().flat_map(|row| placed(&stretches, row));
    let mut total = 0.0;
    for (at, values) in pieces() {
        let sums = &mut sums[at..][..values.len()];
        total += add_with_squares(values, sums);
    }
    let mut deviation = total - square_sum(&sums) / count;
    if deviation < CANCELLED * total {
        let from_mean = |(x, sum): (&T, &f64)| (x.to_f64() - sum / count).powi(2);
        let of_piece = |(at, values): (usize, &[T])| -> f64 {
            values.iter().zip(&sums[at..]).map(from_mean).sum()
        };
        deviation = pieces().map(of_piece).sum();
    }
    let spread = (deviation / total).sqrt();
    spread.is_finite().then_some(spread)
}

/// The stretches of a row, each with its place among all that is taken of one.
fn placed<'a, T>(
    stretches: &'a [Range<usize>],
    row: &'a [T],
) -> impl Iterator<Item = (usize, &'a [T])> {
    stretches.iter().scan(0, move |place, stretch| {
        let at = *place;
        *place += stretch.len();
        Some((at, &row[stretch.clone()]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_that_are_the_same_have_no_spread() {
        assert_eq!(spread(&[1.0, 2.0, 1.0, 2.0], 2, 2), Some(0.0));
        let opposite = spread(&[1.0, -1.0], 2, 1);
        assert_eq!(opposite, Some(1.0));
        assert_eq!(spread(&[1.0, 2.0], 1, 2), None);
    }

    #[test]
    fn a_spread_that_sums_of_squares_cannot_show_is_found() {
        // 1 + d and 1 − d: exactly d, up to its square.
        for d in [1e-2, 1e-5, 1e-10] {
            let data: Vec<f64> = [1.0 + d, 1.0 - d].map(|x| [x; 37]).concat();
            let found = spread(&data, 2, 37).expect("a spread");
            assert!((found / d - 1.0).abs() < 1e-3, "{found} of {d}");
        }
    }

    #[test]
    fn rows_are_spread_evenly() {
        assert_eq!(evenly(10, 5).collect::<Vec<_>>(), [0, 2, 4, 6, 8]);
        assert_eq!(evenly(3, 5).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn of_long_rows_stretches_are_compared() {
        // Alike but for the second half.
        let len = 50 * COMPARED_ELEMENTS;
        let mut data = vec![1.0f32; 2 * len];
        data[len / 2..len].fill(-1.0);
        let found = spread(&data, 2, len).expect("a spread");
        let expected = 0.5f64.sqrt();
        assert!((found / expected - 1.0).abs() < 1e-9, "{found}");
    }
}
