//! Initialisers: how the weights of a layer are drawn, by their usual names.
//!
//! Fans are PyTorch's: of a weight of shape `[out, in / groups, kernel…]`, `fan_in` is the product
//! of all extents but the first, and `fan_out` the first times the kernel's size, whatever the
//! number of groups.

mod gain;
mod names;
mod orthogonal;

pub use gain::{NONLINEARITIES, calculate_gain};
pub use names::{InitialiserEntry, initialisers};
pub use orthogonal::orthogonal;

use crate::num::{Element, Stream};
use serde::{Deserialize, Serialize};

/// How many inputs a unit sums and how many units an input feeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fans {
    /// Inputs summed by a unit.
    pub fan_in: usize,
    /// Units that read an input (PyTorch's count, which does not divide by the groups).
    pub fan_out: usize,
}

impl Fans {
    /// The fans of a weight of shape `[out, in / groups, kernel…]`. A vector counts as one column.
    /// Saturates, so that a hostile shape has large fans rather than small ones.
    pub fn of(shape: &[usize]) -> Self {
        let product =
            |extents: &[usize]| extents.iter().fold(1, |a: usize, &b| a.saturating_mul(b));
        let (out, rest) = shape
            .split_first()
            .map_or((1, &[][..]), |(&out, rest)| (out, rest));
        let (_, kernel) = rest
            .split_first()
            .map_or((1, &[][..]), |(&n, rest)| (n, rest));
        Self {
            fan_in: product(rest),
            fan_out: out.saturating_mul(product(kernel)),
        }
    }
}

/// Which fan a He initialiser divides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FanMode {
    /// Keeps the forward signal's variance.
    #[default]
    FanIn,
    /// Keeps the backward signal's variance.
    FanOut,
}

/// How a parameter is drawn. A `gain` multiplies the standard deviation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Initialiser {
    /// What PyTorch's `Linear` and `Conv` do by default, to weight and bias alike: uniform on
    /// ±1/√fan_in (`kaiming_uniform_` with a = √5; variance 1/(3 fan_in)).
    Pytorch {
        /// 1 for PyTorch's own.
        gain: f64,
    },
    /// Uniform of variance gain² · 2/(fan_in + fan_out) (Glorot & Bengio 2010, eq. 16).
    XavierUniform {
        /// See [`calculate_gain`].
        gain: f64,
    },
    /// Normal of variance gain² · 2/(fan_in + fan_out) (Glorot & Bengio 2010, eq. 12).
    XavierNormal {
        /// See [`calculate_gain`].
        gain: f64,
    },
    /// Uniform of variance gain²/fan (He et al. 2015, eq. 10 with gain √2).
    HeUniform {
        /// √2 for ReLU; see [`calculate_gain`].
        gain: f64,
        /// Which fan.
        mode: FanMode,
    },
    /// Normal of variance gain²/fan (He et al. 2015, eq. 10 and 14 with gain √2).
    HeNormal {
        /// √2 for ReLU; see [`calculate_gain`].
        gain: f64,
        /// Which fan.
        mode: FanMode,
    },
    /// Uniform of variance gain²/fan_in (LeCun et al. 1998, "Efficient BackProp", eq. 16).
    LecunUniform {
        /// Multiplies the standard deviation.
        gain: f64,
    },
    /// Normal of variance gain²/fan_in (LeCun et al. 1998). With gain σ_w it is mean-field
    /// theory's W ~ N(0, σ_w²/fan_in) (Poole et al. 2016, eq. 1).
    LecunNormal {
        /// Multiplies the standard deviation.
        gain: f64,
    },
    /// gain times a random matrix with orthonormal rows or columns, whichever are fewer, of the
    /// weight flattened to `[out, rest]` (Saxe et al. 2013).
    Orthogonal {
        /// Every singular value.
        gain: f64,
    },
    /// A convolution whose kernel is zero but for its centre, which holds an orthogonal matrix
    /// (Xiao et al. 2018, algorithm 2): norm-preserving with circular padding.
    DeltaOrthogonal {
        /// Every singular value of the centre.
        gain: f64,
    },
    /// One value everywhere.
    Constant {
        /// The value.
        value: f64,
    },
    /// Uniform on [low, high).
    Uniform {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
    /// Normal, whatever the fans.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        std: f64,
    },
    /// Normal, restricted to an interval; `std` is that before the restriction (PyTorch's
    /// `trunc_normal_`).
    TruncatedNormal {
        /// The mean before the restriction.
        mean: f64,
        /// The standard deviation before the restriction.
        std: f64,
        /// The least value.
        low: f64,
        /// The greatest value.
        high: f64,
    },
}

/// Why an initialiser does not fit a parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// An initialiser that needs a matrix, for a vector.
    #[error("{name} needs a weight with at least two axes, got shape {shape:?}")]
    NotAMatrix {
        /// The initialiser.
        name: &'static str,
        /// What it was to fill.
        shape: Vec<usize>,
    },
    /// A delta-orthogonal initialiser for a kernel without a centre.
    #[error(
        "delta-orthogonal needs a kernel with an odd number of places along each axis, got {kernel:?}"
    )]
    EvenKernel {
        /// The kernel's extents.
        kernel: Vec<usize>,
    },
    /// A delta-orthogonal initialiser where fewer channels come out than go in.
    #[error(
        "delta-orthogonal needs at least as many output channels as input channels, got {out} from {into}"
    )]
    Narrowing {
        /// Output channels (of one group).
        out: usize,
        /// Input channels (of one group).
        into: usize,
    },
}

/// What is to be drawn: a parameter, with the fans of the weight of its layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The shape of the parameter.
    pub shape: Vec<usize>,
    /// The fans of the layer's weight (for a bias too).
    pub fans: Fans,
    /// The groups of a convolution; 1 otherwise.
    pub groups: usize,
}

impl Target {
    /// A weight of the given shape.
    pub fn weight(shape: &[usize], groups: usize) -> Self {
        Self {
            shape: shape.to_vec(),
            fans: Fans::of(shape),
            groups,
        }
    }
}

impl Initialiser {
    /// PyTorch's default.
    pub const PYTORCH: Self = Self::Pytorch { gain: 1.0 };
    /// Zeros.
    pub const ZEROS: Self = Self::Constant { value: 0.0 };
    /// Ones.
    pub const ONES: Self = Self::Constant { value: 1.0 };

    /// Its name as a user types it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pytorch { .. } => "pytorch",
            Self::XavierUniform { .. } => "xavier-uniform",
            Self::XavierNormal { .. } => "xavier-normal",
            Self::HeUniform { .. } => "he-uniform",
            Self::HeNormal { .. } => "he-normal",
            Self::LecunUniform { .. } => "lecun-uniform",
            Self::LecunNormal { .. } => "lecun-normal",
            Self::Orthogonal { .. } => "orthogonal",
            Self::DeltaOrthogonal { .. } => "delta-orthogonal",
            Self::Constant { .. } => "constant",
            Self::Uniform { .. } => "uniform",
            Self::Normal { .. } => "normal",
            Self::TruncatedNormal { .. } => "truncated-normal",
        }
    }

    /// Can it fill the target?
    pub fn check(&self, target: &Target) -> Result<(), InitError> {
        let shape = &target.shape;
        let needs_matrix = matches!(self, Self::Orthogonal { .. } | Self::DeltaOrthogonal { .. });
        if needs_matrix && shape.len() < 2 {
            return Err(InitError::NotAMatrix {
                name: self.name(),
                shape: shape.clone(),
            });
        }
        if let Self::DeltaOrthogonal { .. } = self {
            let kernel = &shape[2..];
            if kernel.iter().any(|extent| extent % 2 == 0) {
                return Err(InitError::EvenKernel {
                    kernel: kernel.to_vec(),
                });
            }
            let (out, into) = (shape[0] / target.groups.max(1), shape[1]);
            if out < into {
                return Err(InitError::Narrowing { out, into });
            }
        }
        Ok(())
    }

    /// Fills `out`, the elements of the target in row-major order, from the stream. The numbers
    /// are drawn in f64 and rounded, so an f32 parameter holds the f64 one's numbers rounded.
    ///
    /// # Panics
    /// If the target does not pass [`check`](Self::check), or `out` has another length than it.
    pub fn fill<T: Element>(&self, target: &Target, stream: &mut Stream, out: &mut [T]) {
        assert_eq!(
            target.shape.iter().product::<usize>(),
            out.len(),
            "the slice does not hold the target"
        );
        match self.variance(target.fans) {
            Some((Spread::Normal, variance)) => stream.fill_normal(0.0, variance.sqrt(), out),
            Some((Spread::Uniform, variance)) => {
                let bound = (3.0 * variance).sqrt();
                stream.fill_uniform(-bound, bound, out);
            }
            None => self.fill_without_fans(target, stream, out),
        }
    }

    /// Fills by the initialisers that do not look at the fans.
    fn fill_without_fans<T: Element>(&self, target: &Target, stream: &mut Stream, out: &mut [T]) {
        match *self {
            Self::Orthogonal { gain } => {
                let rows = target.shape[0];
                let columns = out.len() / rows.max(1);
                for (out, value) in out.iter_mut().zip(orthogonal(rows, columns, stream)) {
                    *out = T::from_f64(gain * value);
                }
            }
            Self::DeltaOrthogonal { gain } => fill_delta_orthogonal(gain, target, stream, out),
            Self::Constant { value } => out.fill(T::from_f64(value)),
            Self::Uniform { low, high } => stream.fill_uniform(low, high, out),
            Self::Normal { mean, std } => stream.fill_normal(mean, std, out),
            Self::TruncatedNormal {
                mean,
                std,
                low,
                high,
            } => stream.fill_truncated_normal(mean, std, low, high, out),
            // Those that do were filled by their variance.
            _ => {}
        }
    }

    /// For an initialiser scaled by the fans: its kind of distribution and its variance.
    fn variance(&self, fans: Fans) -> Option<(Spread, f64)> {
        let (fan_in, fan_out) = (fans.fan_in as f64, fans.fan_out as f64);
        let fan = |mode| match mode {
            FanMode::FanIn => fan_in,
            FanMode::FanOut => fan_out,
        };
        Some(match *self {
            Self::Pytorch { gain } => (Spread::Uniform, gain * gain / (3.0 * fan_in)),
            Self::XavierUniform { gain } => {
                (Spread::Uniform, gain * gain * 2.0 / (fan_in + fan_out))
            }
            Self::XavierNormal { gain } => (Spread::Normal, gain * gain * 2.0 / (fan_in + fan_out)),
            Self::HeUniform { gain, mode } => (Spread::Uniform, gain * gain / fan(mode)),
            Self::HeNormal { gain, mode } => (Spread::Normal, gain * gain / fan(mode)),
            Self::LecunUniform { gain } => (Spread::Uniform, gain * gain / fan_in),
            Self::LecunNormal { gain } => (Spread::Normal, gain * gain / fan_in),
            _ => return None,
        })
    }
}

/// How numbers of a given variance are distributed.
#[derive(Clone, Copy)]
enum Spread {
    Normal,
    Uniform,
}

/// The centre of each group's kernel is an orthogonal matrix of its own; the rest is zero.
fn fill_delta_orthogonal<T: Element>(
    gain: f64,
    target: &Target,
    stream: &mut Stream,
    out: &mut [T],
) {
    out.fill(T::from_f64(0.0));
    let groups = target.groups.max(1);
    let (rows, columns) = (target.shape[0] / groups, target.shape[1]);
    let kernel: usize = target.shape[2..].iter().product();
    // The middle of a row-major array with odd extents.
    let centre = kernel / 2;
    for group in 0..groups {
        let matrix = orthogonal(rows, columns, stream);
        let weights = out[group * rows * columns * kernel..].chunks_mut(kernel);
        for (weights, value) in weights.zip(matrix) {
            weights[centre] = T::from_f64(gain * value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(initialiser: Initialiser, shape: &[usize], groups: usize) -> Vec<f64> {
        let target = Target::weight(shape, groups);
        initialiser.check(&target).expect("fits");
        let mut out = vec![f64::NAN; shape.iter().product()];
        initialiser.fill(&target, &mut Stream::new(5, initialiser.name()), &mut out);
        out
    }

    fn moments(out: &[f64]) -> (f64, f64, f64) {
        let n = out.len() as f64;
        let mean = out.iter().sum::<f64>() / n;
        let central = |power| out.iter().map(|x| (x - mean).powi(power)).sum::<f64>() / n;
        (mean, central(2), central(4) / central(2).powi(2))
    }

    #[test]
    fn fans_are_those_of_pytorch() {
        // torch.nn.init._calculate_fan_in_and_fan_out of the weights of Linear(20, 30),
        // Conv2d(8, 12, (3, 5)) and the same with groups=4.
        let fans = |shape: &[usize]| (Fans::of(shape).fan_in, Fans::of(shape).fan_out);
        assert_eq!(fans(&[30, 20]), (20, 30));
        assert_eq!(fans(&[12, 8, 3, 5]), (120, 180));
        assert_eq!(fans(&[12, 2, 3, 5]), (30, 180));
    }

    #[test]
    fn variances_are_those_of_the_papers() {
        let shape = [300, 400];
        let tanh = 5.0 / 3.0;
        let he = std::f64::consts::SQRT_2;
        let mode = FanMode::FanOut;
        // Kurtosis: normal 3, uniform 9/5.
        let cases = [
            (Initialiser::PYTORCH, 1.0 / 1200.0, 1.8),
            (
                Initialiser::XavierUniform { gain: tanh },
                50.0 / 9.0 / 700.0,
                1.8,
            ),
            (Initialiser::XavierNormal { gain: 1.0 }, 2.0 / 700.0, 3.0),
            (Initialiser::HeUniform { gain: he, mode }, 2.0 / 300.0, 1.8),
            (
                Initialiser::HeNormal {
                    gain: he,
                    mode: FanMode::FanIn,
                },
                2.0 / 400.0,
                3.0,
            ),
            (Initialiser::LecunUniform { gain: 2.0 }, 4.0 / 400.0, 1.8),
            (Initialiser::LecunNormal { gain: 0.1 }, 0.01 / 400.0, 3.0),
            (
                Initialiser::Normal {
                    mean: 0.0,
                    std: 0.3,
                },
                0.09,
                3.0,
            ),
        ];
        for (initialiser, variance, kurtosis) in cases {
            let (mean, got, shape) = moments(&draw(initialiser, &shape, 1));
            // 120,000 numbers: the relative standard error of a variance is at most √(2/n) = 0.4 %.
            assert!(
                (got / variance - 1.0).abs() < 0.02,
                "{initialiser:?}: {got}"
            );
            assert!(
                mean.abs() < 5.0 * (variance / 120_000.0).sqrt(),
                "{initialiser:?}"
            );
            assert!((shape - kurtosis).abs() < 0.08, "{initialiser:?}: {shape}");
        }
    }

    #[test]
    fn a_convolution_is_scaled_by_the_fan_of_its_group() {
        let (_, variance, _) = moments(&draw(
            Initialiser::HeNormal {
                gain: 1.0,
                mode: FanMode::FanIn,
            },
            &[256, 16, 3, 3],
            4,
        ));
        assert!((variance * 144.0 - 1.0).abs() < 0.03);
    }

    #[test]
    fn f32_weights_are_the_f64_weights_rounded() {
        let target = Target::weight(&[64, 64], 1);
        let (mut single, mut double) = (vec![0f32; 4096], vec![0f64; 4096]);
        Initialiser::PYTORCH.fill(&target, &mut Stream::new(1, "w"), &mut single);
        Initialiser::PYTORCH.fill(&target, &mut Stream::new(1, "w"), &mut double);
        assert!(single.iter().zip(&double).all(|(&s, &d)| s == d as f32));
    }

    #[test]
    fn delta_orthogonal_puts_one_orthogonal_matrix_a_group_at_the_centre() {
        let weight = draw(
            Initialiser::DeltaOrthogonal { gain: 2.0 },
            &[12, 3, 3, 3],
            2,
        );
        for (index, &value) in weight.iter().enumerate() {
            assert_eq!(value == 0.0, index % 9 != 4, "{index}: {value}");
        }
        let centre: Vec<f64> = weight.iter().skip(4).step_by(9).copied().collect();
        for group in 0..2 {
            let matrix = &centre[group * 18..][..18];
            for (a, b) in [(0, 0), (0, 1), (1, 2), (2, 2)] {
                let product: f64 = (0..6)
                    .map(|row| matrix[3 * row + a] * matrix[3 * row + b])
                    .sum();
                let expected = if a == b { 4.0 } else { 0.0 };
                assert!((product - expected).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn an_initialiser_that_does_not_fit_says_why() {
        let message = |initialiser: Initialiser, shape: &[usize], groups| {
            let error = initialiser.check(&Target::weight(shape, groups));
            error.expect_err("does not fit").to_string()
        };
        let delta = Initialiser::DeltaOrthogonal { gain: 1.0 };
        assert_eq!(
            message(delta, &[8, 4, 2, 3], 1),
            "delta-orthogonal needs a kernel with an odd number of places along each axis, got [2, 3]"
        );
        assert_eq!(
            message(delta, &[8, 6, 3, 3], 2),
            "delta-orthogonal needs at least as many output channels as input channels, got 4 from 6"
        );
        assert_eq!(
            message(Initialiser::Orthogonal { gain: 1.0 }, &[8], 1),
            "orthogonal needs a weight with at least two axes, got shape [8]"
        );
    }
}
