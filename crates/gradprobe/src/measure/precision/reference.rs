//! The true gradient, and the sizes of everything on the way to it.

use super::RunSettings;
use crate::graph::{Graph, ParameterId, ValueId};
use crate::num::{Dtype, Tensor};
use crate::run::RunError;
use crate::run::emulated::{Derivatives, EmulatedOptions, Emulator, Exponents, Precision, Watch};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// How many elements of a signal have which size: by exponent e, those with 2^e ≤ |x| < 2^(e+1).
#[derive(Clone, Debug, Default)]
pub(super) struct Sizes {
    counts: BTreeMap<i64, u64>,
    /// The largest |x| as (mantissa in [1, 2), exponent).
    pub largest: Option<(f64, i64)>,
}

impl Sizes {
    fn of(data: &[f64], exponent: i64, parallel: bool) -> Self {
        let together = |(mut mine, largest): (Vec<u64>, f64), (theirs, other): (Vec<u64>, f64)| {
            mine.iter_mut()
                .zip(theirs)
                .for_each(|(mine, theirs)| *mine += theirs);
            (mine, largest.max(other))
        };
        let none = || (vec![0; EXPONENTS], 0.0);
        let (raw, largest) = match parallel {
            true => data.par_chunks(PIECE).map(counted).reduce(none, together),
            false => counted(data),
        };
        let mut sizes = Self::default();
        for (biased, &count) in raw.iter().enumerate().take(EXPONENTS - 1) {
            if count > 0 {
                sizes.counts.insert(biased as i64 - 1023 + exponent, count);
            }
        }
        if largest > 0.0 {
            let (mantissa, shift) = libm::frexp(largest);
            sizes.largest = Some((2.0 * mantissa, i64::from(shift) - 1 + exponent));
        }
        sizes
    }

    /// Elements that are not zero.
    pub fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The share of them below 2^`exponent`.
    pub fn share_below(&self, exponent: i64) -> f64 {
        let below: u64 = self.counts.range(..exponent).map(|(_, count)| count).sum();
        below as f64 / self.count().max(1) as f64
    }

    /// The largest exponent that less than `share` of them are below; `None` if there are none.
    pub fn exponent_at(&self, share: f64) -> Option<i64> {
        let bound = share * self.count() as f64;
        let mut below = 0;
        for (&exponent, &count) in &self.counts {
            below += count;
            if below as f64 >= bound {
                return Some(exponent);
            }
        }
        None
    }
}

/// Exponents of f64, biased.
const EXPONENTS: usize = 1 << 11;
/// Elements that one thread counts at a time.
const PIECE: usize = 1 << 15;

/// How many elements have which biased exponent (0 for subnormals, zeros are not counted), and the
/// largest finite magnitude.
fn counted(data: &[f64]) -> (Vec<u64>, f64) {
    let mut raw = vec![0u64; EXPONENTS];
    let (mut largest, mut subnormals) = (0.0f64, 0);
    for &x in data {
        // f64's own subnormals come in at their smallest exponent: they are 1e308 below the
        // largest of their tensor.
        let biased = (x.to_bits() >> 52) as usize & (EXPONENTS - 1);
        raw[biased] += 1;
        subnormals += u64::from(biased == 0 && x != 0.0);
        let size = x.abs();
        if size > largest && size.is_finite() {
            largest = size;
        }
    }
    raw[0] = subnormals;
    (raw, largest)
}

/// The true gradient of a parameter: elements × 2^exponent.
#[derive(Debug, Default)]
pub(super) struct TrueGradient {
    pub data: Vec<f64>,
    pub exponent: i64,
    pub sizes: Sizes,
}

/// The true gradients by parameter (empty where no path leads to it), and the sizes of the true
/// cotangents by value.
#[derive(Debug)]
pub(super) struct Reference {
    pub gradients: Vec<TrueGradient>,
    pub cotangents: Vec<Sizes>,
    /// Is work shared among threads?
    parallel: bool,
}

impl Watch<f64> for Reference {
    fn cotangent(&mut self, value: ValueId, data: &[f64], exponent: i64) {
        self.cotangents[value.index()] = Sizes::of(data, exponent, self.parallel);
    }

    fn gradient(&mut self, parameter: ParameterId, data: &[f64], exponent: i64) {
        self.gradients[parameter.index()] = TrueGradient {
            data: data.to_vec(),
            exponent,
            sizes: Sizes::of(data, exponent, self.parallel),
        };
    }
}

impl Reference {
    pub fn new(
        graph: &Graph,
        batch: &[Tensor<f64>],
        settings: &RunSettings,
    ) -> Result<Self, RunError> {
        let options = EmulatedOptions {
            precision: Precision::Uniform(Dtype::F64),
            derivatives: Derivatives::Stable,
            exponents: Exponents::Unbounded,
            loss_scale: 1.0,
            mode: settings.mode,
            threads: settings.threads,
            seed: settings.seed,
        };
        let gradients = graph.parameters().iter().map(|_| TrueGradient::default());
        let mut reference = Self {
            gradients: gradients.collect(),
            cotangents: vec![Sizes::default(); graph.values().len()],
            parallel: settings.threads != 1,
        };
        Emulator::<f64>::new(graph, options)?.run(batch, &mut reference)?;
        Ok(reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_counted_by_exponent_whatever_they_are() {
        let sizes = Sizes::of(&[0.0, 1.0, -1.5, 4.0, 0.25], -5000, true);
        assert_eq!(sizes.count(), 4);
        assert_eq!(sizes.largest, Some((1.0, -4998)));
        assert_eq!(sizes.share_below(-5000), 0.25);
        assert_eq!(sizes.share_below(-4999), 0.75);
        assert_eq!(sizes.exponent_at(0.01), Some(-5002));
        assert_eq!(sizes.exponent_at(0.26), Some(-5000));
        assert_eq!(Sizes::of(&[0.0; 3], 0, false).exponent_at(0.01), None);
    }
}
