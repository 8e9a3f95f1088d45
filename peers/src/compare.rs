//! gradprobe's gradients beside a framework's.

use crate::case::{Case, Model};
use crate::examine::{Examined, Gradient, examine};
use crate::safetensors::Array;
use std::collections::BTreeMap;

/// How near an element has to be, relative to the largest of its tensor.
pub const TOLERANCE: f64 = 1e-6;

/// Below this share of a model's largest gradient a gradient is zero but for rounding: that of a
/// key's bias in attention, which the softmax cancels.
const NOISE: f64 = 1e-12;

/// At most this many parameters are packed into one tensor: weights or biases, of input and of
/// state, in two directions.
const MOST_PACKED: usize = 4;

/// How an exporter laid out a parameter's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// In the order of the framework; axes of extent 1 do not count.
    Same,
    /// As the transposed matrix.
    Transposed,
    /// In another order, such as that of the gates of a recurrent layer.
    Reordered,
}

/// How far two arrays are apart in a layout, in words; `None` where they agree: as many infinities
/// and NaNs as there should be, all else to [`TOLERANCE`] of the largest plus `noise`.
pub fn difference(got: &Array, expected: &Array, layout: Layout, noise: f64) -> Option<String> {
    if got.data.len() != expected.data.len() {
        return Some(format!(
            "shape {:?}, expected {:?}",
            got.shape, expected.shape
        ));
    }
    let mut got = match layout {
        Layout::Transposed => transposed(got),
        _ => got.data.clone(),
    };
    let mut expected = expected.data.clone();
    if layout == Layout::Reordered {
        got.sort_by(f64::total_cmp);
        expected.sort_by(f64::total_cmp);
    }
    let non_finite = |data: &[f64]| data.iter().filter(|x| !x.is_finite()).count();
    let (mine, theirs) = (non_finite(&got), non_finite(&expected));
    if mine != theirs {
        return Some(format!(
            "{mine} numbers that are not finite, expected {theirs}"
        ));
    }
    let finite = expected.iter().filter(|x| x.is_finite());
    let largest = finite.fold(0.0f64, |largest, x| largest.max(x.abs()));
    let far = got.iter().zip(&expected).position(|(got, expected)| {
        let both_finite = got.is_finite() && expected.is_finite();
        both_finite && (got - expected).abs() > TOLERANCE * largest + noise
    })?;
    let (got, expected) = (got[far], expected[far]);
    Some(format!(
        "{got:e} at {far}, expected {expected:e} (largest {largest:e})"
    ))
}

/// The numbers of a matrix, column by column; of anything else as they are.
fn transposed(array: &Array) -> Vec<f64> {
    let extents: Vec<usize> = array.shape.iter().copied().filter(|&n| n != 1).collect();
    let [rows, columns] = extents[..] else {
        return array.data.clone();
    };
    let at = |column: usize, row: usize| array.data[row * columns + column];
    (0..columns)
        .flat_map(|column| (0..rows).map(move |row| at(column, row)))
        .collect()
}

const LAYOUTS: [Layout; 3] = [Layout::Same, Layout::Transposed, Layout::Reordered];

fn agrees(got: &Array, expected: &Array, noise: f64) -> bool {
    let differs = |layout| difference(got, expected, layout, noise).is_some();
    !LAYOUTS.into_iter().all(differs)
}

impl Case {
    /// What is wrong with a file of this case: trained parameters that were not found, others that
    /// were, gradients and names that are not the framework's. Empty where nothing is.
    pub fn differences(&self, model: &Model) -> Vec<String> {
        match examine(&self.path(model), &self.options()) {
            Ok(examined) => self.differences_of(&examined),
            Err(message) => vec![format!("refused: {message}")],
        }
    }

    /// The same for what was examined already.
    pub fn differences_of(&self, examined: &Examined) -> Vec<String> {
        let mut wrong = Vec::new();
        if let (Some(got), Some(expected)) = (examined.loss, self.value) {
            // Of losses that are not finite it is enough that neither is.
            let near = (got - expected).abs() <= TOLERANCE * expected.abs();
            if !near && (got.is_finite() || expected.is_finite()) {
                wrong.push(format!("loss {got:e}, expected {expected:e}"));
            }
        }
        let mut gradients = examined.gradients.clone();
        for gradient in &mut gradients {
            if let Some(name) = self.aliases.get(&gradient.name) {
                gradient.name.clone_from(name);
            }
        }
        let (left, expected, folded) =
            without_folded(gradients, self.truth("gradient"), self.truth("folded"));
        let said = |name: &String| examined.notes.iter().any(|note| note.contains(name));
        let unsaid = folded.iter().filter(|name| !said(name));
        wrong.extend(unsaid.map(|name| format!("no note says that {name} was folded")));
        wrong.extend(compare(&left, expected, self.has_names));
        wrong
    }
}

/// Leaves out what an exporter computed in advance from parameters that the file has no longer:
/// where none of them was found, the gradient of the result stands for theirs. Also says what such
/// results are called.
fn without_folded(
    mut left: Vec<Gradient>,
    mut expected: BTreeMap<String, Array>,
    folded: BTreeMap<String, Array>,
) -> (Vec<Gradient>, BTreeMap<String, Array>, Vec<String>) {
    let mut names = Vec::new();
    for (parameters, array) in folded {
        let is_there = |name: &str| left.iter().any(|one| one.name == name);
        if parameters.split('+').any(is_there) {
            continue;
        }
        let stands =
            |one: &Gradient| one.name.contains(&parameters) && agrees(&one.array, &array, 0.0);
        if let Some(at) = left.iter().position(stands) {
            names.push(left.remove(at).name);
            parameters.split('+').for_each(|name| {
                expected.remove(name);
            });
        }
    }
    (left, expected, names)
}

fn compare(
    gradients: &[Gradient],
    mut expected: BTreeMap<String, Array>,
    has_names: bool,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let all = expected.values().flat_map(|array| &array.data);
    let finite = all.filter(|x| x.is_finite());
    let noise = NOISE * finite.fold(0.0f64, |largest, x| largest.max(x.abs()));
    let mut left: Vec<&Gradient> = Vec::new();
    for gradient in gradients {
        let Some(array) = expected.get(&gradient.name) else {
            left.push(gradient);
            continue;
        };
        // Half of a packed tensor may carry the name of the whole.
        if array.data.len() != gradient.array.data.len() {
            left.push(gradient);
            continue;
        }
        if !agrees(&gradient.array, array, noise) {
            let how = difference(&gradient.array, array, Layout::Same, noise);
            let how = how.unwrap_or_default();
            wrong.push(format!("gradient of {}: {how}", gradient.name));
        }
        expected.remove(&gradient.name);
    }
    left.retain(|gradient| {
        let Some(names) = packed(&gradient.array, &expected, noise) else {
            return true;
        };
        if has_names && !is_named_after(&gradient.name, &names) {
            wrong.push(format!(
                "name: {} is called {}",
                names.join(" + "),
                gradient.name
            ));
        }
        names.iter().for_each(|name| {
            expected.remove(name);
        });
        false
    });
    let shape = |array: &Array| format!("{:?}", array.shape);
    let missing = expected.iter();
    wrong.extend(missing.map(|(name, array)| format!("missing {name} {}", shape(array))));
    let extra = left.iter();
    wrong.extend(extra.map(|one| format!("extra {} {}", one.name, shape(&one.array))));
    wrong
}

/// Is a tensor called by all the parameters that are packed into it, or by their module?
fn is_named_after(name: &str, parameters: &[String]) -> bool {
    let mut parts = name.split('+');
    let by_all = parameters
        .iter()
        .all(|one| name.split('+').any(|part| part == one));
    by_all || parts.all(|part| module_of(part) == module_of(&parameters[0]))
}

/// `encoder.0` of `encoder.0.weight`; nothing of a parameter of the whole.
fn module_of(parameter: &str) -> &str {
    parameter.rsplit_once('.').map_or("", |(module, _)| module)
}

/// The parameters of one module that together have the numbers of an array.
fn packed(got: &Array, expected: &BTreeMap<String, Array>, noise: f64) -> Option<Vec<String>> {
    let mut modules: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
    for name in expected.keys() {
        modules.entry(module_of(name)).or_default().push(name);
    }
    let single = expected
        .iter()
        .find(|(_, array)| agrees(got, array, noise))
        .map(|(name, _)| vec![name.clone()]);
    single.or_else(|| {
        let mut groups = modules.values();
        groups.find_map(|names| packed_among(names, got, expected, noise))
    })
}

fn packed_among(
    names: &[&String],
    got: &Array,
    expected: &BTreeMap<String, Array>,
    noise: f64,
) -> Option<Vec<String>> {
    // More than these are no recurrent layer.
    let names = &names[..names.len().min(16)];
    (1u32..1 << names.len()).find_map(|chosen| {
        if chosen.count_ones() as usize > MOST_PACKED {
            return None;
        }
        let of = names.iter().enumerate();
        let of = of.filter(|(index, _)| chosen >> index & 1 == 1);
        let group: Vec<String> = of.map(|(_, name)| (*name).clone()).collect();
        let size: usize = group.iter().map(|name| expected[name].data.len()).sum();
        if size != got.data.len() {
            return None;
        }
        let numbers = group.iter().flat_map(|name| &expected[name].data);
        let whole = Array {
            shape: vec![size],
            data: numbers.copied().collect(),
        };
        let same = difference(got, &whole, Layout::Reordered, noise).is_none();
        same.then_some(group)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: &[usize], data: &[f64]) -> Array {
        Array {
            shape: shape.to_vec(),
            data: data.to_vec(),
        }
    }

    fn gradient(name: &str, shape: &[usize], data: &[f64]) -> Gradient {
        Gradient {
            name: name.into(),
            array: array(shape, data),
        }
    }

    fn truth() -> BTreeMap<String, Array> {
        let arrays = [
            ("a.weight", array(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])),
            ("a.bias", array(&[2], &[7.0, 8.0])),
            ("b.bias", array(&[2], &[9.0, f64::NAN])),
        ];
        arrays.map(|(name, array)| (name.to_owned(), array)).into()
    }

    #[test]
    fn what_agrees_in_any_layout_is_right() {
        let got = [
            gradient("a.weight", &[3, 2], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]),
            gradient("a.bias", &[1, 2], &[7.0, 8.0]),
            gradient("b.bias", &[2], &[f64::NAN, 9.0]),
        ];
        assert_eq!(compare(&got, truth(), true), [""; 0]);
    }

    #[test]
    fn every_kind_of_mistake_is_told() {
        let got = [
            gradient("a.weight", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.1]),
            gradient("val_3", &[2], &[7.0, 8.0]),
            gradient("const", &[1], &[1.0]),
            gradient("b.bias", &[2], &[9.0, 9.0]),
        ];
        assert_eq!(
            compare(&got, truth(), true),
            [
                "gradient of a.weight: 6.1e0 at 5, expected 6e0 (largest 6e0)",
                "gradient of b.bias: 0 numbers that are not finite, expected 1",
                "name: a.bias is called val_3",
                "extra const [1]",
            ]
        );
        assert_eq!(compare(&[], truth(), true).len(), 3);
    }

    #[test]
    fn a_packed_tensor_is_that_of_its_parts() {
        let mut parts = truth();
        parts.remove("b.bias");
        let got = [gradient(
            "a.W",
            &[8],
            &[8.0, 7.0, 1.0, 2.0, 3.0, 6.0, 5.0, 4.0],
        )];
        assert_eq!(compare(&got, parts, true), [""; 0]);
    }
}
