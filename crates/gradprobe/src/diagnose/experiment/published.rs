//! Experiments from papers, as settings of [`compare`](super::compare) with the figure to meet.

use super::{Comparison, Experiment, ExperimentError, Normalisation, compare};
use crate::diagnose::Law;
use crate::ops::activation::parse;
use crate::theory::isometry::WeightEnsemble;
use crate::theory::mean_field::{BiasVariance, WeightVariance};
use serde::Serialize;

/// An experiment by name.
#[derive(Clone, Copy, Debug)]
pub struct PublishedExperiment {
    /// The name a user types.
    pub name: &'static str,
    /// Where it is from.
    pub source: &'static str,
    cases: &'static [Case],
}

/// A figure.
#[derive(Clone, Copy, Debug)]
enum Quantity {
    /// ln of the factor of the squared gradient a layer; ± absolute.
    Rate(f64, f64),
    /// The factor itself; ± a share.
    Factor(f64, f64),
    /// The factor is below this.
    FactorBelow(f64),
    /// E ln‖Ju‖²; ± absolute.
    LogMean(f64, f64),
    /// Var ln‖Ju‖²; ± a share.
    LogVariance(f64, f64),
    /// q of the last layer; ± a share.
    LastLength(f64, f64),
    /// The largest singular value of the Jacobian; ± a share.
    LargestSingularValue(f64, f64),
    /// Every singular value is 1: the one furthest off; ± absolute.
    AllSingularValuesOne(f64),
    /// The gradient follows a power law: the exponent is of order 1.
    PowerLaw,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    activation: &'static str,
    sigma_w_squared: f64,
    sigma_b_squared: f64,
    ensemble: WeightEnsemble,
    normalisation: Normalisation,
    depth: usize,
    width: usize,
    batch: usize,
    networks: u64,
    quantities: &'static [Quantity],
}

const DENSE: Case = Case {
    activation: "tanh",
    sigma_w_squared: 1.0,
    sigma_b_squared: 0.0,
    ensemble: WeightEnsemble::Gaussian,
    normalisation: Normalisation::None,
    depth: 40,
    width: 500,
    batch: 8,
    networks: 8,
    quantities: &[],
};

const fn schoenholz(sigma_w_squared: f64, quantities: &'static [Quantity]) -> Case {
    Case {
        sigma_w_squared,
        sigma_b_squared: 0.05,
        quantities,
        ..DENSE
    }
}

const fn pennington(
    activation: &'static str,
    sigma_w_squared: f64,
    ensemble: WeightEnsemble,
    quantities: &'static [Quantity],
) -> Case {
    Case {
        activation,
        sigma_w_squared,
        ensemble,
        depth: 4,
        width: 400,
        batch: 1,
        networks: 16,
        quantities,
        ..DENSE
    }
}

const fn batch_norm(batch: usize, networks: u64, quantities: &'static [Quantity]) -> Case {
    Case {
        activation: "relu",
        sigma_w_squared: 2.0,
        normalisation: Normalisation::Batch,
        depth: 24,
        batch,
        networks,
        quantities,
        ..DENSE
    }
}

/// Every one there is.
pub fn published() -> &'static [PublishedExperiment] {
    use Quantity::{
        AllSingularValuesOne, Factor, FactorBelow, LargestSingularValue, LastLength, LogMean,
        LogVariance, PowerLaw, Rate,
    };
    use WeightEnsemble::{Gaussian, Orthogonal};
    const EXPERIMENTS: &[PublishedExperiment] = &[
        PublishedExperiment {
            name: "schoenholz",
            source: "gradients of tanh networks, Schoenholz et al. 2017",
            cases: &[
                schoenholz(1.3, &[Rate(-0.12765, 0.015)]),
                schoenholz(1.760_954_639_607, &[Rate(0.0, 0.015)]),
                schoenholz(2.5, &[Rate(0.12532, 0.015)]),
            ],
        },
        PublishedExperiment {
            name: "calculate-gain",
            source: "PyTorch's calculate_gain(\"tanh\") explodes, He's gain before GELU vanishes",
            cases: &[
                Case {
                    sigma_w_squared: 25.0 / 9.0,
                    width: 600,
                    quantities: &[Factor(1.2098, 0.02)],
                    ..DENSE
                },
                Case {
                    activation: "gelu",
                    sigma_w_squared: 2.0,
                    width: 600,
                    networks: 4,
                    quantities: &[FactorBelow(0.75)],
                    ..DENSE
                },
            ],
        },
        PublishedExperiment {
            name: "hanin-nica",
            source: "the Jacobian of ReLU networks is log-normal, Hanin and Nica 2020",
            cases: &[Case {
                activation: "relu",
                sigma_w_squared: 2.0,
                depth: 20,
                width: 50,
                batch: 1,
                networks: 4000,
                quantities: &[LogMean(-1.0348, 0.07), LogVariance(2.163, 0.08)],
                ..DENSE
            }],
        },
        PublishedExperiment {
            name: "pennington",
            source: "singular values of deep Jacobians, Pennington et al. 2017",
            cases: &[
                pennington(
                    "identity",
                    1.0,
                    Gaussian,
                    &[LargestSingularValue(3.494, 0.05)],
                ),
                pennington("relu", 2.0, Gaussian, &[LargestSingularValue(4.675, 0.05)]),
                pennington("identity", 1.0, Orthogonal, &[AllSingularValuesOne(1e-4)]),
            ],
        },
        PublishedExperiment {
            name: "yang",
            source: "batch normalisation makes gradients explode, Yang et al. 2019",
            cases: &[
                batch_norm(8, 16, &[Factor(1.788_189_976_7, 0.015)]),
                batch_norm(32, 8, &[Factor(1.521_952_830_6, 0.015)]),
                batch_norm(256, 4, &[Factor(1.473_234_263_1, 0.015)]),
            ],
        },
        PublishedExperiment {
            name: "power-law",
            source: "critical tanh networks decay as a power of the depth, q_100 from q_0 = 1",
            cases: &[Case {
                depth: 101,
                width: 1000,
                batch: 16,
                networks: 4,
                quantities: &[LastLength(0.005_069_019_2, 0.10), PowerLaw],
                ..DENSE
            }],
        },
    ];
    EXPERIMENTS
}

/// A published figure beside the measured one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CaseResult {
    /// The experiment's name.
    pub experiment: &'static str,
    /// Where it is from.
    pub source: &'static str,
    /// The network in words.
    pub setting: String,
    /// What was measured, in words.
    pub quantity: &'static str,
    /// The figure.
    pub expected: f64,
    /// How near it must be met.
    pub tolerance_in_words: String,
    /// What was measured.
    pub measured: f64,
    /// Is it met?
    pub inside: bool,
}

impl PublishedExperiment {
    /// Networks that it draws.
    pub fn networks(&self) -> usize {
        self.cases.iter().map(|case| case.networks as usize).sum()
    }

    /// Runs it. `progress` is told how many networks are done.
    ///
    /// # Errors
    /// See [`compare`].
    pub fn run(
        &self,
        threads: usize,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<CaseResult>, ExperimentError> {
        let mut results = Vec::new();
        let mut before = 0;
        for case in self.cases {
            let Ok(activation) = parse(case.activation) else {
                continue;
            };
            let experiment = Experiment {
                name: self.name.to_owned(),
                activation,
                weights: WeightVariance::from_sigma_w_squared(case.sigma_w_squared),
                biases: BiasVariance::from_sigma_b_squared(case.sigma_b_squared),
                ensemble: case.ensemble,
                normalisation: case.normalisation,
                depth: case.depth,
                width: case.width,
                batch: case.batch,
                networks: case.networks,
                singular_values: case.quantities.iter().any(|quantity| {
                    use Quantity::{AllSingularValuesOne, LargestSingularValue};
                    matches!(quantity, LargestSingularValue(..) | AllSingularValuesOne(_))
                }),
            };
            let found = compare(&experiment, threads, &|done| progress(before + done))?;
            before += case.networks as usize;
            let results_of = case
                .quantities
                .iter()
                .map(|quantity| self.result(case, *quantity, &found));
            results.extend(results_of);
        }
        Ok(results)
    }

    fn result(&self, case: &Case, quantity: Quantity, found: &Comparison) -> CaseResult {
        let factor = found.measured_rate.exp();
        let absolute = |tolerance: f64| format!("± {tolerance}");
        let share = |tolerance: f64| format!("± {} %", 100.0 * tolerance);
        let near = |got: f64, expected: f64, tolerance: f64| (got - expected).abs() <= tolerance;
        let (what, expected, tolerance, measured, inside) = match quantity {
            Quantity::Rate(expected, t) => {
                let got = found.measured_rate;
                let what = "ln of the squared gradient a layer";
                (what, expected, absolute(t), got, near(got, expected, t))
            }
            Quantity::Factor(expected, t) => {
                let inside = near(factor, expected, t * expected);
                (
                    "squared gradient a layer",
                    expected,
                    share(t),
                    factor,
                    inside,
                )
            }
            Quantity::FactorBelow(limit) => (
                "squared gradient a layer at most",
                limit,
                String::new(),
                factor,
                factor < limit,
            ),
            Quantity::LogMean(expected, t) => {
                let got = found.measured_log_normal.mean;
                (
                    "E ln‖Ju‖²",
                    expected,
                    absolute(t),
                    got,
                    near(got, expected, t),
                )
            }
            Quantity::LogVariance(expected, t) => {
                let got = found.measured_log_normal.variance;
                let inside = near(got, expected, t * expected);
                ("Var ln‖Ju‖²", expected, share(t), got, inside)
            }
            Quantity::LastLength(expected, t) => {
                let got = found.measured_last_length;
                let inside = near(got, expected, t * expected);
                ("q of the last layer", expected, share(t), got, inside)
            }
            Quantity::LargestSingularValue(expected, t) => {
                let got = found.measured_largest.unwrap_or(f64::NAN);
                let inside = near(got, expected, t * expected);
                ("largest singular value", expected, share(t), got, inside)
            }
            Quantity::AllSingularValuesOne(t) => {
                let ends = [found.measured_largest, found.measured_smallest];
                let ends = ends.map(|end| end.unwrap_or(f64::NAN));
                let off = |value: f64| (value - 1.0).abs();
                let furthest = if off(ends[0]) > off(ends[1]) {
                    ends[0]
                } else {
                    ends[1]
                };
                let inside = ends.iter().all(|&end| near(end, 1.0, t));
                ("all singular values", 1.0, absolute(t), furthest, inside)
            }
            Quantity::PowerLaw => {
                let exponent = match found.law {
                    Some(Law::PowerLaw { exponent, .. }) => exponent,
                    _ => f64::NAN,
                };
                // The squared gradient of critical tanh falls as 1/l, its norm as l^(−½).
                let inside = near(exponent, 0.5, 0.25) || near(exponent, -0.5, 0.25);
                let what = "exponent of the gradient norm's power law";
                (what, 0.5, absolute(0.25), exponent, inside)
            }
        };
        CaseResult {
            experiment: self.name,
            source: self.source,
            setting: format!(
                "{}, σ_w² = {}, σ_b² = {}, {} × {}",
                case.activation,
                case.sigma_w_squared,
                case.sigma_b_squared,
                found.networks,
                found.setting
            ),
            quantity: what,
            expected,
            tolerance_in_words: tolerance,
            measured,
            inside,
        }
    }
}
