//! What rules ask of an activation. Each is found from the function's own values, so that a function
//! is judged alike however it is spelled: `relu6` and `clip(x,0,6)`.

use super::{Activation, registry};
use crate::num::Bounds;
use std::sync::Arc;

/// Share of a bounded activation's range next to a bound that counts as saturated: 1.5 %, so that
/// a tanh saturates at |t| > 0.97, as in Karpathy's makemore, part 3.
const SATURATION_MARGIN: f64 = 0.015;
/// Where the value of a function that settles has settled: within a hundred-thousandth of its range
/// of the bound (arctan is 10^−6 away, the slowest there is).
const FAR: [f64; 3] = [1.0e6, 2.7e6, 9.1e6];
const SETTLED: f64 = 1e-5;
/// Points that no two activations of the table agree on unless they are the same function.
const POINTS: [f64; 12] = [
    -31.7, -7.3, -3.4, -2.2, -1.1, -0.4, 0.3, 0.9, 1.9, 3.3, 6.8, 23.9,
];
/// What rounding may make of one function spelled two ways.
const SAME: f64 = 1e-12;

/// The activation of the table, with its default parameter, that gives what `values_at` gives (but
/// for the rounding of constants to single precision), unless that is a straight line.
pub fn recognised(
    values_at: impl FnOnce(&[f64]) -> Option<Vec<f64>>,
) -> Option<Arc<dyn Activation>> {
    const SINGLE: f64 = 1e-6;
    let values = values_at(&POINTS)?;
    let close = |activation: &dyn Activation| {
        let mut pairs = POINTS.into_iter().zip(&values);
        pairs.all(|(x, value)| (activation.value(x) - value).abs() <= SINGLE * value.abs().max(1.0))
    };
    let all = registry().iter().filter_map(|entry| entry.make(None).ok());
    let mut all = all.filter(|activation| !activation.is_linear());
    all.find(|activation| close(&**activation))
}

impl dyn Activation + '_ {
    /// The bounds beyond which an output is saturated: next to a bound that the function settles at
    /// for large inputs. `None` for a function that is not bounded on both sides, or settles at
    /// neither bound (a sine turns back). A bound that it has at 0 as well is its off side (that of
    /// ReLU6 at 0), and has no saturated outputs.
    pub fn saturation_bounds(&self) -> Option<Bounds> {
        let (low, high) = self.range();
        if !(low.is_finite() && high.is_finite() && low < high) {
            return None;
        }
        let size = high - low;
        let settles = |bound: f64| {
            let at = |end: f64| {
                let near = |far: f64| (self.value(end * far) - bound).abs() <= SETTLED * size;
                FAR.into_iter().all(near)
            };
            at(1.0) || at(-1.0)
        };
        let is_off = |bound: f64| {
            let mut flat = self.flat_regions().into_iter();
            let at_zero = flat.any(|(from, to)| from <= 0.0 && 0.0 <= to);
            at_zero && (self.value(0.0) - bound).abs() <= SETTLED * size
        };
        let saturates = |bound: f64| settles(bound) && !is_off(bound);
        let margin = SATURATION_MARGIN * size;
        match (saturates(low), saturates(high)) {
            (false, false) => None,
            (at_low, at_high) => Some(Bounds {
                low: if at_low {
                    low + margin
                } else {
                    f64::NEG_INFINITY
                },
                high: if at_high {
                    high - margin
                } else {
                    f64::INFINITY
                },
            }),
        }
    }

    /// Is its derivative 0 wherever it has one: the sign, rounding, a constant?
    pub fn is_step(&self) -> bool {
        let mut regions = self.flat_regions();
        regions.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut end = f64::NEG_INFINITY;
        for (from, to) in regions {
            if from <= end {
                end = end.max(to);
            }
        }
        end == f64::INFINITY
    }

    /// Is it a linear function of its input, or a constant added to one?
    pub fn is_linear(&self) -> bool {
        let (at_zero, slope) = (self.value(0.0), self.derivative(POINTS[0]));
        POINTS.into_iter().all(|x| {
            let line = at_zero + slope * x;
            (self.value(x) - line).abs() <= SAME * line.abs().max(1.0)
        })
    }

    /// Is it 0, and flat, for inputs below 0, and rises from there: ReLU, ReLU6 and their kin?
    pub fn is_rectifier(&self) -> bool {
        let flat = self.flat_regions().into_iter().next();
        flat == Some((f64::NEG_INFINITY, 0.0))
            && self.value(-1.0) == 0.0
            && self.derivative(1e-6) > 0.0
    }

    /// Does it give a probability: settles it at 0 on one side and at 1 on the other?
    pub fn is_probability(&self) -> bool {
        let saturation = self.saturation_bounds();
        let both = saturation.is_some_and(|at| at.low.is_finite() && at.high.is_finite());
        let (low, high) = self.range();
        both && low.abs() <= SETTLED && (high - 1.0).abs() <= SETTLED
    }

    /// Is it the same function as another one, but for rounding?
    pub fn is_same_function(&self, other: &dyn Activation) -> bool {
        let same = |a: f64, b: f64| a == b || (a - b).abs() <= SAME * a.abs().max(b.abs()).max(1.0);
        self.label() == other.label()
            || POINTS.into_iter().all(|x| {
                same(self.value(x), other.value(x)) && same(self.derivative(x), other.derivative(x))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Activation, parse, registry};
    use std::sync::Arc;

    /// Every activation of the table, and the same function written out.
    fn spellings() -> impl Iterator<Item = (&'static str, &'static str)> {
        let lines = include_str!("testdata/spellings.csv").lines().skip(1);
        lines.map(|line| line.split_once(';').expect("two spellings"))
    }

    fn activation(text: &str) -> Arc<dyn Activation> {
        parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn kinds_of(text: &str) -> [bool; 4] {
        let activation = activation(text);
        let saturation = activation.saturation_bounds();
        [
            saturation.is_some_and(|at| at.low.is_finite()),
            saturation.is_some_and(|at| at.high.is_finite()),
            activation.is_rectifier(),
            activation.is_linear(),
        ]
    }

    #[test]
    fn functions_saturate_at_the_bounds_that_they_settle_at() {
        for text in [
            "tanh",
            "sigmoid",
            "softsign",
            "erf",
            "arctan",
            "hard-tanh",
            "hard-sigmoid",
        ] {
            assert_eq!(kinds_of(text), [true, true, false, false], "{text}");
        }
        // Off at 0, a turning point, a bound on one side alone.
        assert_eq!(kinds_of("relu6"), [false, true, true, false]);
        assert_eq!(kinds_of("sin"), [false, false, false, false]);
        assert_eq!(kinds_of("gaussian"), [true, false, false, false]);
        assert_eq!(kinds_of("relu"), [false, false, true, false]);
        for text in ["gelu", "elu", "softplus", "leaky-relu", "hard-swish"] {
            assert_eq!(kinds_of(text), [false, false, false, false], "{text}");
        }
        for text in ["identity", "leaky-relu=1", "2*x+1"] {
            assert_eq!(kinds_of(text), [false, false, false, true], "{text}");
        }
        let probabilities = registry().iter().filter(|entry| {
            let made = entry.make(None);
            made.is_ok_and(|activation| activation.is_probability())
        });
        let names: Vec<&str> = probabilities.map(|entry| entry.about.name).collect();
        assert_eq!(names, ["sigmoid", "hard-sigmoid"]);
    }

    #[test]
    fn an_activation_written_as_an_expression_has_the_facts_of_the_named_one() {
        for (named, written) in spellings() {
            let (one, other) = (activation(named), activation(written));
            assert!(one.is_same_function(&*other), "{named}, {written}");
            assert_eq!(kinds_of(named), kinds_of(written), "{named}, {written}");
            assert_eq!(one.is_probability(), other.is_probability(), "{named}");
            let regions = [&one, &other].map(|activation| activation.flat_regions());
            assert_eq!(regions[0].len(), regions[1].len(), "{named}: {regions:?}");
            for (a, b) in regions[0].iter().zip(&regions[1]) {
                let near = |a: f64, b: f64| a == b || (a - b).abs() < 1e-9;
                assert!(near(a.0, b.0) && near(a.1, b.1), "{named}: {regions:?}");
            }
            let ranges = [&one, &other].map(|activation| activation.range());
            let near = |a: f64, b: f64| a == b || (a - b).abs() < 1e-5;
            assert!(
                near(ranges[0].0, ranges[1].0) && near(ranges[0].1, ranges[1].1),
                "{named}: {ranges:?}"
            );
            let [a, b] = [&one, &other].map(|activation| activation.steepest());
            assert!(a == b || (a - b).abs() < 1e-6, "{named}: steepest {a}, {b}");
        }
        let spelled: Vec<&str> = spellings().map(|(named, _)| named).collect();
        for entry in registry() {
            let name = entry.about.name;
            assert!(spelled.contains(&name), "{name} is spelled one way only");
        }
        let all: Vec<Arc<dyn Activation>> = registry()
            .iter()
            .filter_map(|entry| entry.make(None).ok())
            .collect();
        for (index, one) in all.iter().enumerate() {
            for other in &all[..index] {
                let same = one.is_same_function(&**other);
                // One function at their default of 1.
                let twins = ["elu", "celu"];
                let may = twins.contains(&one.name()) && twins.contains(&other.name());
                assert!(!same || may, "{} and {}", one.label(), other.label());
            }
        }
    }
}
