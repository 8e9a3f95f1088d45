//! The shape of an expression: found by looking at it on a grid, sharpened where something happens.

use super::tree::Node;
use crate::num::roots::{brent, minimum};
use crate::num::{Extended, Real};

/// The finer part of the grid reaches so far on either side of 0.
const NEAR: f64 = 24.0;
const NEAR_STEPS: i32 = 1536;
/// The coarser part goes on to this.
const FAR: f64 = 1e6;

/// What an expression looks like.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Where it has no derivative, ascending.
    pub kinks: Vec<f64>,
    /// Its infimum and supremum.
    pub range: (f64, f64),
    /// The supremum of |φ′|.
    pub steepest: f64,
    /// Where φ′ is exactly 0 over a length.
    pub flat_regions: Vec<(f64, f64)>,
    /// Is φ′ tiny but not zero somewhere?
    pub underflows: bool,
}

/// Points at which nothing special is likely to be: a root at 0 lies between two of them.
fn grid() -> Vec<f64> {
    let step = NEAR / f64::from(NEAR_STEPS);
    let mut grid: Vec<f64> = (-NEAR_STEPS..NEAR_STEPS)
        .map(|k| (f64::from(k) + 0.437_281) * step)
        .collect();
    let mut x = NEAR;
    while x < FAR {
        x *= 1.19;
        grid.extend([-x, x]);
    }
    grid.sort_by(f64::total_cmp);
    grid
}

/// φ and φ′, by numbers without bounds where f64 does not hold a step of the way.
fn dual(tree: &Node, x: f64) -> (f64, f64) {
    let (value, derivative) = tree.dual(x);
    if value.is_finite() && derivative.is_finite() {
        return (value, derivative);
    }
    let (value, derivative) = tree.dual(Extended::from_f64(x));
    (value.to_f64(), derivative.to_f64())
}

impl Survey {
    /// Looks at an expression.
    ///
    /// # Errors
    /// A point at which it is not a number, or not finite though near 0.
    pub fn of(tree: &Node) -> Result<Self, f64> {
        let grid = grid();
        let values: Vec<(f64, f64)> = grid.iter().map(|&x| dual(tree, x)).collect();
        for (&x, &(value, derivative)) in grid.iter().zip(&values) {
            let near = x.abs() <= NEAR;
            if value.is_nan() || derivative.is_nan() || (near && !value.is_finite()) {
                // A round number says it better, if it shows the same.
                let round = x.round();
                return Err(if dual(tree, round).0.is_finite() {
                    x
                } else {
                    round
                });
            }
        }
        let kinks = kinks(tree, &grid);
        Ok(Self {
            range: (
                -supremum(&grid, &values, |x| -dual(tree, x).0, |both| -both.0),
                supremum(&grid, &values, |x| dual(tree, x).0, |both| both.0),
            ),
            steepest: supremum(
                &grid,
                &values,
                |x| dual(tree, x).1.abs(),
                |both| both.1.abs(),
            ),
            flat_regions: flat_regions(tree, &kinks),
            underflows: grid.iter().zip(&values).any(|(&x, both)| {
                both.1.abs() < f64::MIN_POSITIVE && !tree.dual(Extended::from_f64(x)).1.is_zero()
            }),
            kinks,
        })
    }
}

fn kinks(tree: &Node, grid: &[f64]) -> Vec<f64> {
    let mut found: Vec<f64> = Vec::new();
    tree.switches(&mut |switch| {
        for pair in grid.windows(2) {
            let (from, to) = (pair[0], pair[1]);
            let Some(mut root) = brent(from, to, switch) else {
                continue;
            };
            // Most are round; the last bits of a root are not.
            let round = (root * 4096.0).round() / 4096.0;
            if (root - round).abs() < 1e-9 && switch(round) == 0.0 {
                root = round;
            }
            found.push(root);
        }
    });
    found.sort_by(f64::total_cmp);
    found.dedup_by(|a, b| (*a - *b).abs() <= 1e-12 * a.abs().max(1.0));
    // max(x, x) and |x|³ switch where nothing happens.
    found.retain(|&x| {
        let step = 1e-7 * x.abs().max(1.0);
        let (left, right) = (dual(tree, x - step), dual(tree, x + step));
        let scale = 1.0 + left.1.abs() + right.1.abs();
        (left.1 - right.1).abs() > 1e-5 * scale || (left.0 - right.0).abs() > 1e-5 * scale
    });
    found
}

/// The supremum over the line: the largest on the grid, sharpened between its neighbours; infinite
/// where it still grows at the end.
fn supremum(
    grid: &[f64],
    values: &[(f64, f64)],
    f: impl Fn(f64) -> f64,
    of: impl Fn(&(f64, f64)) -> f64,
) -> f64 {
    let best = values
        .iter()
        .enumerate()
        .max_by(|a, b| of(a.1).total_cmp(&of(b.1)));
    let Some((index, both)) = best else {
        return f64::NAN;
    };
    let largest = of(both);
    for end in [-FAR, FAR] {
        let (near, far) = (f(1e-2 * end), f(end));
        // Slower than the hundredth root of x is no growth that a signal would see.
        if far > 0.5 * largest && far > 0.0 && far > 1.04 * near.abs() {
            return f64::INFINITY;
        }
    }
    if index == 0 || index + 1 == grid.len() {
        return largest;
    }
    let at = minimum(grid[index - 1], grid[index + 1], |x| -f(x));
    largest.max(f(at))
}

fn flat_regions(tree: &Node, kinks: &[f64]) -> Vec<(f64, f64)> {
    let ends = std::iter::once(f64::NEG_INFINITY)
        .chain(kinks.iter().copied())
        .chain([f64::INFINITY]);
    let ends: Vec<f64> = ends.collect();
    let is_flat = |from: f64, to: f64| {
        let (from, to) = match (from.is_finite(), to.is_finite()) {
            (true, true) => (from, to),
            (true, false) => (from, from + 100.0),
            (false, true) => (to - 100.0, to),
            (false, false) => (-100.0, 100.0),
        };
        [0.003, 0.1, 0.31, 0.5, 0.77, 0.95, 0.998]
            .iter()
            .all(|share| {
                let x = from + share * (to - from);
                tree.dual(Extended::from_f64(x)).1.is_zero()
            })
    };
    let mut regions: Vec<(f64, f64)> = Vec::new();
    for pair in ends.windows(2) {
        if !is_flat(pair[0], pair[1]) {
            continue;
        }
        match regions.last_mut() {
            Some(last) if last.1 == pair[0] => last.1 = pair[1],
            _ => regions.push((pair[0], pair[1])),
        }
    }
    regions
}
