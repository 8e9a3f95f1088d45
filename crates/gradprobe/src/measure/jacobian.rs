//! The Jacobians of a network and of each layer on its chain, by their singular values.

use super::jacobian_theory::{SpectrumTheory, spectrum_theory};
use super::spectrum::Spectrum;
use super::spine::Chains;
use crate::graph::{Graph, ValueId, ValueKind};
use crate::num::lanczos::{LinearMap, Search, largest_singular_values};
use crate::num::linalg::{Matrix, SpectralElement};
use crate::num::{Element, Scaled, Stream, scaled};
use crate::ops::Mode;
use crate::run::{Linearisation, RunElement, RunError, Stretch};
use serde::{Deserialize, Serialize};

/// All singular values are computed up to so many of them: the time grows with the third power.
const MOST_VALUES: usize = 1536;
/// A larger Jacobian is not written down.
const MOST_ELEMENTS: usize = 1 << 25;
/// More vectors than this are not pulled back one by one.
const MOST_ROWS: usize = 4096;
/// What the residual of a largest singular value may be, relative to the largest of all.
const TOLERANCE: f64 = 5e-3;
/// How often a search for the largest ones is continued.
const MOST_STEPS: usize = 40;

/// Which Jacobians are measured.
#[derive(Clone, Copy, Debug)]
pub struct JacobianOptions {
    /// How many singular values are computed where all would be too many.
    pub largest: usize,
    /// Measure each layer as well as the whole?
    pub layers: bool,
    /// Which sample of the batch; without meaning where samples mix.
    pub sample: usize,
    /// Seed of the search for largest singular values.
    pub seed: u64,
    /// Put theory beside them? It is about weights that are freshly drawn.
    pub theory: bool,
}

/// The Jacobian of a layer's output with respect to that of the layer before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerJacobian {
    /// The layer's name.
    pub name: String,
    /// What it is.
    pub kind: String,
    /// Its singular values.
    pub spectrum: Spectrum,
    /// What theory says of them, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theory: Option<SpectrumTheory>,
}

/// The Jacobians of one run at one sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JacobianRun {
    /// The seed that drew the weights, and the batch.
    pub seed: u64,
    /// The sample of the batch; `None` where samples mix and the Jacobian is the batch's.
    pub sample: Option<usize>,
    /// Where the whole begins: the input's name, or the first layer's where the input is not
    /// differentiable (token ids).
    pub from: String,
    /// The network's output with respect to where it begins.
    pub end_to_end: Spectrum,
    /// What theory says of it, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theory: Option<SpectrumTheory>,
    /// Why there is none, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theory_silent: Option<String>,
    /// The layers of the chain, first to last.
    pub layers: Vec<LayerJacobian>,
}

/// The Jacobians of a network over seeds and samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Jacobians {
    /// The network's name, for titles.
    pub network: String,
    /// The element type it was run in.
    pub dtype: String,
    /// Training or inference.
    pub mode: Mode,
    /// Samples in the batch.
    pub batch: usize,
    /// What was chosen for the user and may be chosen otherwise, in sentences.
    pub notes: Vec<String>,
    /// One for each seed and sample.
    pub runs: Vec<JacobianRun>,
}

/// Why there is no Jacobian to measure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JacobianError {
    /// An op could not compute.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The output does not depend on any input or layer in a differentiable way.
    #[error("the output does not depend on the input in a differentiable way")]
    NoPath,
    /// A derivative that is infinite or NaN.
    #[error(
        "the Jacobian of {what} has infinite or NaN entries; `gradprobe check` finds where they begin"
    )]
    NonFinite {
        /// Of what.
        what: String,
    },
}

/// Measures the Jacobians at the signals of a forward run.
///
/// # Errors
/// If nothing differentiable lies between input and output, if an op cannot compute, or if a
/// derivative is not finite.
pub fn jacobian<T: RunElement + SpectralElement>(
    graph: &Graph,
    at: &Linearisation<'_, T>,
    options: &JacobianOptions,
) -> Result<JacobianRun, JacobianError> {
    let points = points(graph);
    let end = graph.output();
    let whole = points.iter().find_map(|point| {
        let stretch = at.stretch(point.value, end)?;
        Some((point, stretch))
    });
    let (first, whole) = whole.ok_or(JacobianError::NoPath)?;
    let named = |what: &str| {
        let what = what.to_owned();
        move || JacobianError::NonFinite { what }
    };
    let end_to_end = spectrum(at, &whole, options)?.ok_or_else(named("the network"))?;
    let beside = |stretch: &Stretch| {
        let wanted = options.theory;
        wanted.then(|| spectrum_theory(graph, at, stretch, options.sample))
    };
    let (theory, theory_silent) = match beside(&whole) {
        None => (None, None),
        Some(Ok(theory)) => (Some(theory), None),
        Some(Err(why)) => (None, Some(why)),
    };
    let mut layers = Vec::new();
    if options.layers {
        for pair in points.windows(2) {
            let (before, point) = (&pair[0], &pair[1]);
            let Some(stretch) = at.stretch(before.value, point.value) else {
                continue;
            };
            let spectrum = spectrum(at, &stretch, options)?
                .ok_or_else(named(&format!("layer `{}`", point.name)))?;
            layers.push(LayerJacobian {
                name: point.name.clone(),
                kind: point.kind.clone(),
                spectrum,
                theory: beside(&stretch).and_then(Result::ok),
            });
        }
    }
    Ok(JacobianRun {
        seed: options.seed,
        sample: whole.by_sample().then_some(options.sample),
        from: first.name.clone(),
        end_to_end,
        theory,
        theory_silent,
        layers,
    })
}

/// A value that the chain passes: the input, or a layer's output.
struct Point {
    value: ValueId,
    name: String,
    kind: String,
}

/// The chain's values where a layer ends, and the input it begins at, first to last.
fn points(graph: &Graph) -> Vec<Point> {
    let chains = Chains::new(graph);
    let mut points: Vec<Point> = Vec::new();
    let mut value = graph.output();
    let mut before = None;
    for step in chains.from(graph.output()) {
        let layer = graph.node(step.node).layer;
        if layer != before
            && let Some(layer) = layer
        {
            let layer = graph.layer(layer);
            points.push(Point {
                value,
                name: layer.name.clone(),
                kind: layer.kind.clone(),
            });
        }
        before = layer;
        value = step.to;
    }
    if matches!(graph.value(value).kind, ValueKind::Input(_)) {
        points.push(Point {
            value,
            name: graph.value(value).name.clone(),
            kind: "input".into(),
        });
    }
    points.reverse();
    points
}

/// All singular values where they are few enough, else the largest; `None` where the Jacobian is
/// not finite.
fn spectrum<T: RunElement + SpectralElement>(
    at: &Linearisation<'_, T>,
    stretch: &Stretch,
    options: &JacobianOptions,
) -> Result<Option<Spectrum>, RunError> {
    let (rows, columns) = at.extents(stretch);
    let fits = rows.min(columns) <= MOST_VALUES
        && rows <= MOST_ROWS
        && rows.saturating_mul(columns) <= MOST_ELEMENTS;
    if !fits {
        return largest(at, stretch, options);
    }
    let mut identity = vec![T::zero(); rows * rows];
    for i in 0..rows {
        identity[i * rows + i] = T::one();
    }
    let jacobian = at.pull_back(stretch, options.sample, &identity)?;
    let values = T::singular_values(Matrix::new(jacobian.tensor.data(), rows, columns));
    let epsilon = libm::ldexp(1.0, 1 - T::SIGNIFICAND_BITS);
    Ok(values.map(|values| Spectrum::of_all((rows, columns), &values, jacobian.exponent, epsilon)))
}

fn largest<T: RunElement>(
    at: &Linearisation<'_, T>,
    stretch: &Stretch,
    options: &JacobianOptions,
) -> Result<Option<Spectrum>, RunError> {
    let (rows, columns) = at.extents(stretch);
    let mut map = Map {
        at,
        stretch,
        sample: options.sample,
        exponent: None,
    };
    let mut stream = Stream::new(options.seed, "jacobian");
    let search = Search {
        count: options.largest,
        tolerance: TOLERANCE,
        most_steps: MOST_STEPS,
        parallel: at.threads().count() > 1,
    };
    let found = at
        .threads()
        .install(|| largest_singular_values(&mut map, &search, &mut stream))?;
    Ok(found.map(|found| {
        Spectrum::of_largest(
            (rows, columns),
            &found.values,
            &found.residuals,
            map.exponent.unwrap_or_default(),
            Some(found.sum_of_squares / rows.min(columns) as f64),
        )
    }))
}

/// A stretch as a map of f64 vectors, in units of 2^exponent.
struct Map<'a, 'e, T> {
    at: &'a Linearisation<'e, T>,
    stretch: &'a Stretch,
    sample: usize,
    /// That of the first products that are not zero.
    exponent: Option<i64>,
}

impl<T: RunElement> Map<'_, '_, T> {
    fn vectors(&mut self, sent: &Scaled<T>) -> Vec<f64> {
        let mut data: Vec<f64> = sent.tensor.data().iter().map(|x| x.to_f64()).collect();
        if scaled::max_abs(&data) != 0.0 {
            let unit = *self.exponent.get_or_insert(sent.exponent);
            scaled::scale(&mut data, sent.exponent.saturating_sub(unit));
        }
        data
    }
}

fn elements<T: Element>(vectors: &[f64]) -> Vec<T> {
    vectors.iter().map(|&x| T::from_f64(x)).collect()
}

impl<T: RunElement> LinearMap for Map<'_, '_, T> {
    type Error = RunError;

    fn rows(&self) -> usize {
        self.at.extents(self.stretch).0
    }

    fn columns(&self) -> usize {
        self.at.extents(self.stretch).1
    }

    fn apply(&mut self, vectors: &[f64]) -> Result<Vec<f64>, RunError> {
        let at = self.at;
        let sent = at.push_forward(self.stretch, self.sample, &elements::<T>(vectors))?;
        Ok(self.vectors(&sent))
    }

    fn apply_transpose(&mut self, vectors: &[f64]) -> Result<Vec<f64>, RunError> {
        let at = self.at;
        let sent = at.pull_back(self.stretch, self.sample, &elements::<T>(vectors))?;
        Ok(self.vectors(&sent))
    }
}
