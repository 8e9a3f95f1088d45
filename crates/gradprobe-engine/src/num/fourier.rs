//! The discrete Fourier transform of a line of any length.
//!
//! A power of two is taken by halves (Cooley and Tukey 1965), a short line by its definition, and
//! any other as a convolution with a chirp, of which a longer power of two is made (Bluestein
//! 1970): e^(−2πi·jk/n) = c_j·c_k·c̄_(k−j) with c_j = e^(−πi·j²/n).

use std::f64::consts::PI;
use std::ops::{Add, Mul, Sub};

/// A complex number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Complex {
    /// Its real part.
    pub re: f64,
    /// Its imaginary part.
    pub im: f64,
}

impl Complex {
    /// The conjugate.
    pub fn conj(self) -> Self {
        Self {
            re: self.re,
            im: -self.im,
        }
    }

    /// The number times a real one.
    pub fn scale(self, factor: f64) -> Self {
        Self {
            re: self.re * factor,
            im: self.im * factor,
        }
    }

    /// The number times a root of unity. A quarter of a turn is not multiplied by: what is
    /// infinite in one part then stays there.
    #[inline(always)]
    fn turned_by(self, root: Self) -> Self {
        if root.im == 0.0 {
            self.scale(root.re)
        } else if root.re == 0.0 {
            Self {
                re: -self.im * root.im,
                im: self.re * root.im,
            }
        } else {
            self * root
        }
    }

    /// e^(−2πi·turn/of). The angle is brought into an eighth of a turn, where sine and cosine are
    /// right to the last digit, and whole quarters are exact.
    fn turned_back(turn: usize, of: usize) -> Self {
        let eighths = 8 * (turn % of) as u128;
        let (eighth, rest) = (eighths / of as u128, eighths % of as u128);
        let part = PI / 4.0 / of as f64;
        // In odd eighths the angle is counted from the other end, and the axes change places.
        let (sin, cos) = match eighth % 2 {
            0 => libm::sincos(rest as f64 * part),
            _ => {
                let (sin, cos) = libm::sincos((of as u128 - rest) as f64 * part);
                (cos, sin)
            }
        };
        let (re, im) = match eighth / 2 {
            0 => (cos, -sin),
            1 => (-sin, -cos),
            2 => (-cos, sin),
            _ => (sin, cos),
        };
        Self { re, im }
    }
}

impl Add for Complex {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            re: self.re + other.re,
            im: self.im + other.im,
        }
    }
}

impl Sub for Complex {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            re: self.re - other.re,
            im: self.im - other.im,
        }
    }
}

impl Mul for Complex {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self {
            re: self.re * other.re - self.im * other.im,
            im: self.re * other.im + self.im * other.re,
        }
    }
}

/// Up to here the n² products of the definition cost no more than a chirp.
const SHORT: usize = 32;

/// What a transform of one length needs.
#[derive(Clone, Debug)]
pub struct Fourier {
    n: usize,
    /// e^(−2πi·k/n) for k below n; for powers of two below n/2.
    roots: Vec<Complex>,
    chirp: Option<Box<Chirp>>,
}

#[derive(Clone, Debug)]
struct Chirp {
    /// c_j.
    numbers: Vec<Complex>,
    /// The transform of c̄, wrapped round, over its length.
    filter: Vec<Complex>,
    longer: Fourier,
}

impl Fourier {
    /// Of lines of `n` numbers. It holds up to 12 n complex numbers, and uses up to 4 n more.
    pub fn new(n: usize) -> Self {
        let roots = |count: usize| (0..count).map(|k| Complex::turned_back(k, n)).collect();
        if n.is_power_of_two() {
            return Self {
                n,
                roots: roots(n / 2),
                chirp: None,
            };
        }
        if n <= SHORT {
            return Self {
                n,
                roots: roots(n),
                chirp: None,
            };
        }
        Self {
            n,
            roots: Vec::new(),
            chirp: Some(Box::new(Chirp::new(n))),
        }
    }

    /// Replaces xⱼ by Σ_k x_k e^(−2πi·jk/n).
    pub fn forward(&self, line: &mut [Complex]) {
        match &self.chirp {
            Some(chirp) => chirp.transform(line),
            None if self.n.is_power_of_two() => self.by_halves(line),
            None => self.by_definition(line),
        }
    }

    /// Replaces xⱼ by Σ_k x_k e^(2πi·jk/n): n times the inverse.
    pub fn backward(&self, line: &mut [Complex]) {
        line.iter_mut().for_each(|number| *number = number.conj());
        self.forward(line);
        line.iter_mut().for_each(|number| *number = number.conj());
    }

    fn by_definition(&self, line: &mut [Complex]) {
        let given = line.to_vec();
        for (j, sum) in line.iter_mut().enumerate() {
            let terms = given.iter().enumerate();
            *sum = terms.fold(Complex::default(), |sum, (k, &number)| {
                sum + number.turned_by(self.roots[j * k % self.n])
            });
        }
    }

    fn by_halves(&self, line: &mut [Complex]) {
        let n = self.n;
        if n == 1 {
            return;
        }
        let unused = usize::BITS - n.trailing_zeros();
        for at in 0..n {
            let reversed = at.reverse_bits() >> unused;
            if at < reversed {
                line.swap(at, reversed);
            }
        }
        let mut half = 1;
        while half < n {
            let step = n / (2 * half);
            for block in line.chunks_exact_mut(2 * half) {
                let (even, odd) = block.split_at_mut(half);
                let roots = self.roots.iter().step_by(step);
                for ((even, odd), &root) in even.iter_mut().zip(odd).zip(roots) {
                    let turned = odd.turned_by(root);
                    (*even, *odd) = (*even + turned, *even - turned);
                }
            }
            half *= 2;
        }
    }
}

impl Chirp {
    fn new(n: usize) -> Self {
        // j² modulo 2n, so that the angle keeps its digits.
        let square = |j: usize| ((j as u128 * j as u128) % (2 * n as u128)) as usize;
        let numbers: Vec<Complex> = (0..n)
            .map(|j| Complex::turned_back(square(j), 2 * n))
            .collect();
        let longer = Fourier::new((2 * n - 1).next_power_of_two());
        let mut filter = vec![Complex::default(); longer.n];
        for (j, number) in numbers.iter().enumerate() {
            filter[j] = number.conj();
            filter[(longer.n - j) % longer.n] = number.conj();
        }
        longer.forward(&mut filter);
        let share = 1.0 / longer.n as f64;
        filter.iter_mut().for_each(|x| *x = x.scale(share));
        Self {
            numbers,
            filter,
            longer,
        }
    }

    fn transform(&self, line: &mut [Complex]) {
        let mut work = vec![Complex::default(); self.longer.n];
        for ((work, &number), &chirp) in work.iter_mut().zip(&*line).zip(&self.numbers) {
            *work = number * chirp;
        }
        self.longer.forward(&mut work);
        for (work, &filter) in work.iter_mut().zip(&self.filter) {
            *work = *work * filter;
        }
        self.longer.backward(&mut work);
        for ((number, &work), &chirp) in line.iter_mut().zip(&work).zip(&self.numbers) {
            *number = work * chirp;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_agrees_with_the_definition() {
        for n in [1usize, 2, 3, 8, 31, 32, 33, 64, 97, 100, 127, 128, 200] {
            let given: Vec<Complex> = (0..n)
                .map(|j| Complex {
                    re: ((j * j) as f64).sin(),
                    im: ((3 * j) as f64).cos(),
                })
                .collect();
            let mut line = given.clone();
            let fourier = Fourier::new(n);
            fourier.forward(&mut line);
            for (j, got) in line.iter().enumerate() {
                let terms = given.iter().enumerate();
                let exact = terms.fold(Complex::default(), |sum, (k, &number)| {
                    sum + number * Complex::turned_back(j * k, n)
                });
                let error = (*got - exact).re.hypot((*got - exact).im);
                assert!(error < 4e-15 * n as f64, "{n}: {got:?}, expected {exact:?}");
            }
            fourier.backward(&mut line);
            for (got, expected) in line.iter().zip(&given) {
                let error = (got.scale(1.0 / n as f64) - *expected).re.abs();
                assert!(error < 1e-14, "{n}: {got:?}, expected {expected:?}");
            }
        }
    }

    #[test]
    fn quarters_of_a_turn_are_exact() {
        let parts = |turn| {
            let number = Complex::turned_back(turn, 8);
            (number.re, number.im)
        };
        let half = std::f64::consts::FRAC_1_SQRT_2;
        assert_eq!(parts(0), (1.0, -0.0));
        assert_eq!(parts(2), (0.0, -1.0));
        assert_eq!(parts(4), (-1.0, 0.0));
        assert_eq!(parts(6), (-0.0, 1.0));
        for turn in [1, 3, 5, 7] {
            let (re, im) = parts(turn);
            assert!((re.abs() - half).abs() < 2e-16 && (im.abs() - half).abs() < 2e-16);
        }
        assert!(parts(1).0 > 0.0 && parts(1).1 < 0.0);
        assert!(parts(3).0 < 0.0 && parts(3).1 < 0.0);
        assert!(parts(5).0 < 0.0 && parts(5).1 > 0.0);
        assert!(parts(7).0 > 0.0 && parts(7).1 > 0.0);
    }
}
