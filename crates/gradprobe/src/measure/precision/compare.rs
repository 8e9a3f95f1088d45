//! Gradients entry by entry beside the true ones.

use super::super::optimiser::Optimiser;
use super::RunSettings;
use super::reference::{Reference, TrueGradient};
use crate::graph::{Graph, ParameterData, ParameterId};
use crate::num::simd::vectorised;
use crate::num::{Dtype, Element, Rounding};
use crate::run::emulated::{Held, Precision, Watch};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Entries that one thread compares at a time.
const PIECE: usize = 1 << 15;

/// How many entries of a gradient came to what.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub entries: u64,
    pub true_zero: u64,
    pub cancelled: u64,
    pub underflowed: u64,
    pub rounded: u64,
    pub overflowed: u64,
    /// Of a known optimiser.
    pub lost_update: Option<u64>,
    /// Σ (g − true g)² and Σ (true g)² in units of 4^exponent.
    squared_error: f64,
    squared: f64,
    exponent: i64,
    /// Entries that are 0, for what cause is not known yet.
    open: Vec<u32>,
}

impl Counts {
    /// Takes the entries of another parameter as seen.
    pub fn merge(&mut self, other: &Self) {
        self.entries += other.entries;
        self.true_zero += other.true_zero;
        self.cancelled += other.cancelled;
        self.underflowed += other.underflowed;
        self.rounded += other.rounded;
        self.overflowed += other.overflowed;
        self.lost_update = match (self.lost_update, other.lost_update) {
            (Some(mine), Some(theirs)) => Some(mine + theirs),
            (mine, theirs) => mine.or(theirs),
        };
        let is_empty = |of: &Self| of.squared == 0.0 && of.squared_error == 0.0;
        if is_empty(self) {
            (self.squared, self.squared_error) = (other.squared, other.squared_error);
            self.exponent = other.exponent;
        } else if !is_empty(other) {
            let common = self.exponent.max(other.exponent);
            let factor = |own: i64| f64::exp2i((2 * (own - common)).max(-3000) as i32);
            let (mine, theirs) = (factor(self.exponent), factor(other.exponent));
            self.squared_error = self.squared_error * mine + other.squared_error * theirs;
            self.squared = self.squared * mine + other.squared * theirs;
            self.exponent = common;
        }
    }

    /// ‖g − true g‖ / ‖true g‖.
    pub fn relative_error(&self) -> Option<f64> {
        let ratio = (self.squared_error / self.squared).sqrt();
        ratio.is_finite().then_some(ratio)
    }
}

/// Compares the gradients of one setting with the true ones as they come.
pub(super) struct Comparison<'a> {
    reference: &'a Reference,
    graph: &'a Graph,
    /// By parameter: the narrowest type that its gradient passes.
    dtypes: &'a [Option<Dtype>],
    master: Dtype,
    loss_scale: f64,
    optimiser: Option<Optimiser>,
    /// Is work shared among threads?
    parallel: bool,
    /// By parameter.
    pub counts: Vec<Counts>,
}

impl<'a> Comparison<'a> {
    pub fn new(
        reference: &'a Reference,
        graph: &'a Graph,
        dtypes: &'a [Option<Dtype>],
        precision: Precision,
        loss_scale: f64,
        settings: &RunSettings,
    ) -> Self {
        let unreached = |parameter: &crate::graph::Parameter| {
            let entries = match &parameter.data {
                _ if !parameter.trainable => 0,
                ParameterData::F32(tensor) => tensor.data().len() as u64,
                ParameterData::F64(tensor) => tensor.data().len() as u64,
            };
            // What no path leads to is a zero in truth.
            Counts {
                entries,
                true_zero: entries,
                lost_update: settings.optimiser.map(|_| 0),
                ..Counts::default()
            }
        };
        Self {
            reference,
            graph,
            dtypes,
            master: precision.master(),
            loss_scale,
            optimiser: settings.optimiser,
            parallel: settings.threads != 1,
            counts: graph.parameters().iter().map(unreached).collect(),
        }
    }

    /// Are there zeros without a cause?
    pub fn is_open(&self) -> bool {
        self.counts.iter().any(|counts| !counts.open.is_empty())
    }

    /// Watches another run of the network: what is not 0 there is due to what was changed.
    pub fn resolve(&mut self, change: Change) -> Resolution<'_> {
        Resolution {
            counts: &mut self.counts,
            change,
        }
    }

    /// Counts the zeros that are left as rounded.
    pub fn close(&mut self) {
        for counts in &mut self.counts {
            counts.rounded += std::mem::take(&mut counts.open).len() as u64;
        }
    }

    /// ‖g − true g‖ / ‖true g‖ over all parameters.
    pub fn relative_error(&self) -> Option<f64> {
        let mut total = Counts::default();
        self.counts.iter().for_each(|counts| total.merge(counts));
        total.relative_error()
    }

    /// Is every gradient finite?
    pub fn is_finite(&self) -> bool {
        self.counts.iter().all(|counts| counts.overflowed == 0)
    }

    fn compare<T: Held>(&self, parameter: usize, data: &[T]) -> Counts {
        let truth = &self.reference.gradients[parameter];
        let entry = Entry {
            truth,
            floor: floor(self.dtypes[parameter], truth.exponent, self.loss_scale),
            unscale: 1.0 / self.loss_scale,
            to_units: f64::exp2i((-truth.exponent).clamp(-1074, 1023) as i32),
            optimiser: self.optimiser,
            master: self.master,
            rounding: Rounding::to(self.master),
        };
        let weights = &self.graph.parameters()[parameter].data;
        let piece = |(index, data): (usize, &[T])| match weights {
            ParameterData::F32(tensor) => entry.piece(index * PIECE, data, tensor.data()),
            ParameterData::F64(tensor) => entry.piece(index * PIECE, data, tensor.data()),
        };
        let pieces: Vec<Counts> = match self.parallel {
            true => data.par_chunks(PIECE).enumerate().map(piece).collect(),
            false => data.chunks(PIECE).enumerate().map(piece).collect(),
        };
        let mut total = Counts {
            lost_update: self.optimiser.map(|_| 0),
            exponent: truth.exponent,
            ..Counts::default()
        };
        for mut piece in pieces {
            total.merge(&piece);
            total.open.append(&mut piece.open);
        }
        total
    }
}

impl<T: Held> Watch<T> for Comparison<'_> {
    fn gradient(&mut self, parameter: ParameterId, data: &[T], _exponent: i64) {
        self.counts[parameter.index()] = self.compare(parameter.index(), data);
    }
}

/// The size, in units of the true gradient's exponent, up to which an entry rounds to 0 once it is
/// multiplied by the loss scale.
fn floor(dtype: Option<Dtype>, exponent: i64, loss_scale: f64) -> f64 {
    let Some(dtype) = dtype else { return 0.0 };
    match dtype.smallest_exponent() - 1 - exponent {
        shift if shift > 1023 => f64::INFINITY,
        shift => f64::exp2i(shift.max(-1100) as i32) / loss_scale,
    }
}

/// What each entry of a parameter's gradient is compared by.
struct Entry<'a> {
    truth: &'a TrueGradient,
    floor: f64,
    unscale: f64,
    to_units: f64,
    optimiser: Option<Optimiser>,
    master: Dtype,
    rounding: Option<Rounding>,
}

impl Entry<'_> {
    fn piece<T: Held, W: Element>(&self, start: usize, data: &[T], weights: &[W]) -> Counts {
        let truth = &self.truth.data[start..][..data.len()];
        let sums = vectorised(Sums {
            data,
            truth,
            factor: self.unscale,
            to_units: self.to_units,
        });
        let mut counts = Counts {
            entries: data.len() as u64,
            overflowed: sums.not_finite.iter().sum(),
            squared_error: sums.squared_error.iter().sum(),
            squared: sums.squared.iter().sum(),
            exponent: self.truth.exponent,
            ..Counts::default()
        };
        if sums.zeros.iter().any(|&zeros| zeros > 0) {
            for (index, (&got, &truth)) in data.iter().zip(truth).enumerate() {
                if got != T::zero() {
                    continue;
                }
                if truth == 0.0 {
                    counts.true_zero += 1;
                } else if truth.abs() <= self.floor {
                    counts.underflowed += 1;
                } else {
                    counts.open.push((start + index) as u32);
                }
            }
        }
        if let Some(optimiser) = self.optimiser {
            let loses = |(&got, &weight): (&T, &W)| {
                let got = got.to_f64() * self.unscale;
                got.is_finite() && got != 0.0 && self.loses_update(optimiser, weight.to_f64(), got)
            };
            let entries = data.iter().zip(&weights[start..]);
            counts.lost_update = Some(entries.filter(|&entry| loses(entry)).count() as u64);
        }
        counts
    }

    /// Does w − step round back to w, in the type that weights are kept in?
    fn loses_update(&self, optimiser: Optimiser, weight: f64, gradient: f64) -> bool {
        let step = match optimiser {
            Optimiser::Sgd { learning_rate } => learning_rate * gradient,
            Optimiser::Adam {
                learning_rate,
                epsilon,
                ..
            } => learning_rate * gradient / (gradient.abs() + epsilon),
        };
        if self.master == Dtype::F64 {
            return weight - step == weight;
        }
        let kept = |weight: f32| match self.rounding {
            Some(rounding) => rounding.round(weight),
            None => weight,
        };
        let weight = kept(weight as f32);
        kept(weight - step as f32) == weight
    }
}

/// Sums over the entries of a piece. A struct and not a function, so that its loop is compiled for
/// each instruction set.
struct Sums<'a, T> {
    data: &'a [T],
    truth: &'a [f64],
    factor: f64,
    to_units: f64,
}

/// Entries that are summed side by side: the order of a sum does not depend on the machine.
const LANES: usize = 8;

/// What the entries at every [`LANES`]th place come to.
#[derive(Default)]
struct Summed {
    squared: [f64; LANES],
    /// Of finite entries.
    squared_error: [f64; LANES],
    not_finite: [u64; LANES],
    zeros: [u64; LANES],
}

impl<T: Held> WithSimd for Sums<'_, T> {
    type Output = Summed;
    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Summed {
        let mut sums = Summed::default();
        let mut take = |lane: usize, got: T, truth: f64| {
            let got = got.to_f64() * self.factor;
            let error = got * self.to_units - truth;
            let is_finite = got.is_finite();
            sums.squared[lane] += truth * truth;
            sums.squared_error[lane] += if is_finite { error * error } else { 0.0 };
            sums.not_finite[lane] += u64::from(!is_finite);
            sums.zeros[lane] += u64::from(got == 0.0);
        };
        let (data, data_rest) = self.data.as_chunks::<LANES>();
        let (truth, truth_rest) = self.truth.as_chunks::<LANES>();
        for (data, truth) in data.iter().zip(truth) {
            for lane in 0..LANES {
                take(lane, data[lane], truth[lane]);
            }
        }
        for (lane, (&got, &truth)) in data_rest.iter().zip(truth_rest).enumerate() {
            take(lane, got, truth);
        }
        sums
    }
}

/// What was changed in a repeated run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// Derivatives are the stable ones.
    Derivatives,
    /// And exponents have no bounds.
    Exponents,
}

/// Gives the open zeros that a changed run does not have their cause.
pub(super) struct Resolution<'a> {
    counts: &'a mut [Counts],
    change: Change,
}

impl<T: Held> Watch<T> for Resolution<'_> {
    fn wants(&self, parameter: ParameterId) -> bool {
        !self.counts[parameter.index()].open.is_empty()
    }

    fn gradient(&mut self, parameter: ParameterId, data: &[T], _exponent: i64) {
        let counts = &mut self.counts[parameter.index()];
        let before = counts.open.len();
        counts
            .open
            .retain(|&entry| data[entry as usize] == T::zero());
        let resolved = (before - counts.open.len()) as u64;
        match self.change {
            Change::Derivatives => counts.cancelled += resolved,
            Change::Exponents => counts.underflowed += resolved,
        }
    }
}
