//! tanh, its derivative sech², and x − tanh(x) in f64.
//!
//! All from one exponential, e^(−2|x|), and one division; the hot path of the engine and of the
//! batch of chains, so it carries along only the roundings that two units in the last place ask
//! for.

use super::coefficients::{INNER_TANH_DENOMINATOR, INNER_TANH_NUMERATOR, TANH_DEFICIT};
use super::exponential::{at_least, horner, power_of_two, reduced_plain, sigmoid_left};

const THIRD: f64 = 1.0 / 3.0;
const THIRD_LOW: f64 = 1.850_371_707_708_594_2e-17;
/// The exponent of e^(−2|x|) is offset by this until the end, where the result may become
/// subnormal.
const RAISE: f64 = 600.0;
const DOWN: f64 = 1.0 / f64::from_bits((1023 + RAISE as u64) << 52);

/// What tanh and sech² share.
struct Hyperbolic {
    /// e^(−2|x|) − 1, to relative precision, as a rounded number and what it lost.
    m: f64,
    m_lost: f64,
    /// e^(−2|x|) = (1 + p)·raised·[`DOWN`].
    p: f64,
    raised: f64,
    /// 1/(1 + e^(−2|x|)) as a rounded number and what it lost.
    inverse: f64,
    inverse_lost: f64,
}

/// p and the raised power of e^(−2|x|) = (1 + p)·raised·[`DOWN`].
#[inline(always)]
pub(super) fn begin(x: f64) -> (f64, f64) {
    let (p, k) = reduced_plain(at_least(-2.0 * x.abs(), -760.0));
    (p, power_of_two(k + RAISE))
}

#[inline(always)]
fn hyperbolic((p, raised): (f64, f64)) -> Hyperbolic {
    let power = raised * DOWN;
    let rest = power - 1.0;
    let m = power.mul_add(p, rest);
    let m_lost = power.mul_add(p, rest - m);
    let d = 2.0 + m;
    let d_lost = m - (d - 2.0) + m_lost;
    let inverse = 1.0 / d;
    let residual = (-d_lost).mul_add(inverse, (-d).mul_add(inverse, 1.0));
    Hyperbolic {
        m,
        m_lost,
        p,
        raised,
        inverse,
        inverse_lost: inverse * residual,
    }
}

impl Hyperbolic {
    /// tanh(x) = −m/(2 + m), with the sign of x.
    #[inline(always)]
    fn tanh(&self, x: f64) -> f64 {
        let quotient = self.m * self.inverse;
        let lost = self
            .m_lost
            .mul_add(self.inverse, self.m.mul_add(self.inverse, -quotient));
        (quotient + self.m.mul_add(self.inverse_lost, lost)).copysign(x)
    }

    /// 4e^(−2|x|)/(1 + e^(−2|x|))².
    #[inline(always)]
    fn sech_squared(&self) -> f64 {
        let square = self.inverse * self.inverse;
        let lost = self.inverse.mul_add(self.inverse, -square);
        let lost = (self.inverse + self.inverse).mul_add(self.inverse_lost, lost);
        let product = self.p.mul_add(square, square);
        (1.0 + self.p).mul_add(lost, product) * self.raised * (4.0 * DOWN)
    }
}

#[inline(always)]
pub(super) fn tanh(x: f64) -> f64 {
    hyperbolic(begin(x)).tanh(x)
}

#[inline(always)]
pub(super) fn sech_squared(x: f64) -> f64 {
    hyperbolic(begin(x)).sech_squared()
}

#[inline(always)]
pub(super) fn tanh_sech_squared(x: f64) -> (f64, f64) {
    end(x, begin(x))
}

/// tanh(x) and sech²(x).
#[inline(always)]
pub(super) fn end(x: f64, begun: (f64, f64)) -> (f64, f64) {
    let parts = hyperbolic(begun);
    (parts.tanh(x), parts.sech_squared())
}

/// tanh(x) and sech²(x) for |x| ≤ 1: within 0.9 and 1.7 ulp.
///
/// Written for a short chain of operations that wait for each other, which is what bounds the loop.
#[inline(always)]
pub(super) fn inner(x: f64) -> (f64, f64) {
    let z = x * x;
    let cube = x * z;
    let [d0, d1, d2, d3] = INNER_TANH_DENOMINATOR;
    let denominator = (z * z).mul_add(d3.mul_add(z, d2), d1.mul_add(z, d0));
    let ratio = horner(z, &INNER_TANH_NUMERATOR) / denominator;
    let factor = z.mul_add(ratio, -THIRD);
    let tanh = cube.mul_add(factor, x);
    // What tanh lost when it was rounded is taken off its square again.
    let lost = cube.mul_add(factor, x - tanh);
    let square = (-tanh).mul_add(tanh, 1.0);
    // The sum has lost the sign of a negative zero.
    (tanh.copysign(x), (-2.0 * tanh).mul_add(lost, square))
}

#[inline(always)]
pub(super) fn minus_tanh(x: f64) -> f64 {
    // x³·(⅓ + z·T(z)), the roundings of the cube and of the sum carried along.
    let z = x * x;
    let cube = x * z;
    let cube_lost = x.mul_add(z, -cube) + x * x.mul_add(x, -z);
    let rest = horner(z, &TANH_DEFICIT);
    let factor = z.mul_add(rest, THIRD);
    let factor_lost = z.mul_add(rest, THIRD - factor) + THIRD_LOW;
    let lost = cube.mul_add(factor_lost, cube_lost * factor);
    let small = cube.mul_add(factor, lost);
    // x − tanh(x) = x − 1 + 2σ(−2x); from x = 0.7 on it is at least a fifth of either part.
    let a = x.abs();
    let (quotient, quotient_lost, k) = sigmoid_left(2.0 * a);
    let power = 2.0 * power_of_two(at_least(k, -200.0));
    let large = power.mul_add(quotient, a - 1.0) + power * quotient_lost;
    (if z <= 0.5 { small } else { large }).copysign(x)
}
