//! Roots of a function of one variable.

/// A root of `f` between `from` and `to`, where its signs differ, by Brent's method (Brent 1973,
/// chapter 4): as sure as bisection, and as fast as inverse quadratic interpolation where the
/// function is smooth. `None` where the signs do not differ or a value is NaN.
///
/// The root is exact to a few units in the last place.
pub fn brent(from: f64, to: f64, mut f: impl FnMut(f64) -> f64) -> Option<f64> {
    const MOST_STEPS: usize = 200;
    let (mut a, mut b) = (from, to);
    let (mut fa, mut fb) = (f(a), f(b));
    if fa == 0.0 {
        return Some(a);
    }
    if fb == 0.0 {
        return Some(b);
    }
    if fa.is_nan() || fb.is_nan() || (fa > 0.0) == (fb > 0.0) {
        return None;
    }
    let (mut c, mut fc) = (a, fa);
    let mut step = b - a;
    let mut step_before = step;
    for _ in 0..MOST_STEPS {
        if (fb > 0.0) == (fc > 0.0) {
            (c, fc) = (a, fa);
            step = b - a;
            step_before = step;
        }
        if fc.abs() < fb.abs() {
            (a, b, c) = (b, c, b);
            (fa, fb, fc) = (fb, fc, fb);
        }
        let tolerance = 2.0 * f64::EPSILON * b.abs() + f64::MIN_POSITIVE;
        let half = 0.5 * (c - b);
        if half.abs() <= tolerance || fb == 0.0 {
            return Some(b);
        }
        if step_before.abs() >= tolerance && fa.abs() > fb.abs() {
            let s = fb / fa;
            let (mut p, mut q) = if a == c {
                (2.0 * half * s, 1.0 - s)
            } else {
                let (q, r) = (fa / fc, fb / fc);
                (
                    s * (2.0 * half * q * (q - r) - (b - a) * (r - 1.0)),
                    (q - 1.0) * (r - 1.0) * (s - 1.0),
                )
            };
            if p > 0.0 {
                q = -q;
            } else {
                p = -p;
            }
            if 2.0 * p < (3.0 * half * q - (tolerance * q).abs()).min((step_before * q).abs()) {
                step_before = step;
                step = p / q;
            } else {
                step = half;
                step_before = half;
            }
        } else {
            step = half;
            step_before = half;
        }
        (a, fa) = (b, fb);
        b += if step.abs() > tolerance {
            step
        } else {
            tolerance.copysign(half)
        };
        fb = f(b);
        if fb.is_nan() {
            return None;
        }
    }
    Some(b)
}

/// The roots of `f` that lie between neighbouring points of an ascending grid, where its sign
/// changes; values within `noise` of zero have no sign.
pub fn roots_on(
    grid: impl IntoIterator<Item = f64>,
    noise: f64,
    mut f: impl FnMut(f64) -> f64,
) -> Vec<f64> {
    let mut roots = Vec::new();
    let mut before: Option<(f64, f64)> = None;
    for x in grid {
        let value = f(x);
        if value.is_nan() || value.abs() <= noise {
            continue;
        }
        if let Some((from, sign)) = before
            && sign != value.signum()
        {
            roots.extend(brent(from, x, &mut f));
        }
        before = Some((x, value.signum()));
    }
    roots
}

/// Where `f`, which has one minimum between `from` and `to`, is least, by golden sections. The
/// place is exact to about 1e-8 of its size, the value there to rounding.
pub fn minimum(from: f64, to: f64, mut f: impl FnMut(f64) -> f64) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let (mut a, mut b) = (from, to);
    let (mut left, mut right) = (b - GOLDEN * (b - a), a + GOLDEN * (b - a));
    let (mut at_left, mut at_right) = (f(left), f(right));
    while (b - a).abs() > 1e-10 * (a.abs() + b.abs()).max(f64::MIN_POSITIVE) {
        // A NaN is taken for more than anything.
        if at_left < at_right || at_right.is_nan() {
            b = right;
            (right, at_right) = (left, at_left);
            left = b - GOLDEN * (b - a);
            at_left = f(left);
        } else {
            a = left;
            (left, at_left) = (right, at_right);
            right = a + GOLDEN * (b - a);
            at_right = f(right);
        }
    }
    0.5 * (a + b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_found_to_the_last_places() {
        let root = brent(1.0, 2.0, |x| x * x - 2.0).expect("a root");
        assert!((root - std::f64::consts::SQRT_2).abs() < 1e-15);
        let flat = brent(-1.0, 4.0, |x: f64| (x - 0.5).powi(9)).expect("a root");
        assert!((flat - 0.5).abs() < 1e-3, "{flat}");
        let cosine = brent(0.0, 3.0, f64::cos).expect("a root");
        assert!((cosine - std::f64::consts::FRAC_PI_2).abs() < 1e-15);
        assert_eq!(brent(1.0, 2.0, |x| x), None);
        assert_eq!(brent(1.0, 2.0, |_| f64::NAN), None);
    }

    #[test]
    fn every_change_of_sign_on_a_grid_is_found() {
        let grid = (0..40).map(|k| 0.25 * f64::from(k));
        let roots = roots_on(grid, 1e-12, f64::sin);
        assert_eq!(roots.len(), 3);
        assert!((roots[2] - 3.0 * std::f64::consts::PI).abs() < 1e-14);
    }

    #[test]
    fn a_minimum_is_found() {
        let at = minimum(0.0, 10.0, |x| (x - 3.0).powi(2) + 1.0);
        assert!((at - 3.0).abs() < 1e-6, "{at}");
    }
}
