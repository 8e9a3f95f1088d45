//! Initialisers that an exporter merged because their numbers are equal: fresh biases of zeros, unit
//! scales of norms, the weights of layers that were copied. Each parameter gets its own again, so
//! that each gets its own gradient. What two layers truly share stays shared.
//!
//! PyTorch notes at every node which parameters its operation reads: where that is not the
//! initialiser that the node reads, it is another one with equal numbers. Where nothing is noted,
//! only initialisers whose numbers are all the same are taken apart, and only between modules in
//! which they do the same: two layers that share a matrix share it on purpose. Where the notes were
//! lost and the modules with them, what stays together is said.

use super::names::is_made_up;
use super::roles::{Role, by_operator, moves};
use crate::import::onnx::exporter_notes::Notes;
use crate::import::onnx::messages::{Node as Message, Tensor};
use crate::import::onnx::model::Flat;
use crate::import::onnx::tensors;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

/// Where a node reads a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Place {
    node: usize,
    input: usize,
}

/// What was found of merged parameters.
#[derive(Debug, Default)]
pub(in crate::import::onnx) struct Split {
    /// The names of those that were put in.
    pub made: Vec<String>,
    /// Of a file whose notes were lost: what may be several parameters with equal numbers.
    pub unclear: Vec<String>,
}

/// Gives every parameter its own initialiser.
pub(in crate::import::onnx) fn split_merged(model: &mut Flat, folder: &Path) -> Split {
    let mut new_names = by_notes(model);
    let noted: HashSet<Place> = new_names.keys().copied().collect();
    let (by_modules, unclear) = by_modules(model, folder);
    for (place, name) in by_modules {
        if !noted.contains(&place) {
            new_names.insert(place, name);
        }
    }
    let mut made: Vec<String> = Vec::new();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    for (index, tensor) in model.graph.initializer.iter().enumerate() {
        numbers.insert(tensor.name.clone(), index);
    }
    for (place, New { name, is_parameter }) in new_names {
        let input = &model.nodes[place.node].message.input[place.input];
        let Some(&original) = numbers.get(input) else {
            continue;
        };
        if !numbers.contains_key(&name) {
            let copy = Tensor {
                name: name.clone(),
                ..model.graph.initializer[original].clone()
            };
            numbers.insert(name.clone(), model.graph.initializer.len());
            model.graph.initializer.push(copy);
            model.notes.add(&name, is_parameter);
            if is_parameter != Some(false) {
                made.push(name.clone());
            }
        }
        model.nodes[place.node].message.input[place.input] = name;
    }
    Split { made, unclear }
}

/// The tensor that a place reads in truth.
#[derive(Clone, Debug)]
struct New {
    name: String,
    /// `None` where nothing says it.
    is_parameter: Option<bool>,
}

/// Where operations read a parameter other than the one that they say.
fn by_notes(model: &Flat) -> BTreeMap<Place, New> {
    let notes = &model.notes;
    let floats = float_initialisers(model);
    let mut operations: BTreeMap<&str, (Vec<&str>, Vec<Place>)> = BTreeMap::new();
    for (node, entry) in model.nodes.iter().enumerate() {
        let Some((operation, reads)) = notes.operation(&entry.message) else {
            continue;
        };
        let (_, places) = operations
            .entry(operation)
            .or_insert_with(|| (reads, Vec::new()));
        let inputs = entry.message.input.iter().enumerate();
        let of_floats = inputs.filter(|(_, name)| floats.contains(&name[..]));
        places.extend(of_floats.map(|(input, _)| Place { node, input }));
    }
    let name_at = |place: Place| &model.nodes[place.node].message.input[place.input][..];
    // Only where some operation reads the tensor as what it is called, is another one's a copy.
    let mut kept: HashSet<&str> = HashSet::new();
    for (reads, places) in operations.values() {
        let own = places.iter().map(|&place| name_at(place));
        kept.extend(own.filter(|name| is_read_as(notes, name, reads)));
    }
    let mut found = BTreeMap::new();
    for (reads, places) in operations.values() {
        let foreign = |place: &Place| {
            let name = name_at(*place);
            kept.contains(name) && !is_read_as(notes, name, reads)
        };
        let foreign: Vec<Place> = places.iter().copied().filter(foreign).collect();
        let told: HashSet<&str> = places
            .iter()
            .flat_map(|&place| names_of(notes, name_at(place)))
            .collect();
        let mut left: Vec<&str> = reads.to_vec();
        left.retain(|target| !told.contains(target));
        let mut names: HashMap<&str, String> = HashMap::new();
        for place in foreign {
            let name = name_at(place);
            if let Some(given) = names.get(name) {
                let is_parameter = notes.is_parameter(given);
                found.insert(
                    place,
                    New {
                        name: given.clone(),
                        is_parameter,
                    },
                );
                continue;
            }
            let ending = names_of(notes, name).first().map(|own| last_part(own));
            let same_ending = left
                .iter()
                .position(|target| ending == Some(last_part(target)));
            let target = match (same_ending, left.is_empty()) {
                (_, true) => None,
                (Some(at), _) => Some(left.remove(at)),
                (None, _) => Some(left.remove(0)),
            };
            let new = match target {
                Some(target) => New {
                    name: target.to_owned(),
                    is_parameter: notes.is_parameter(target),
                },
                // The operation reads no further parameter: the numbers are a constant of its own.
                None => New {
                    name: format!(
                        "{name} (a constant of {})",
                        last_part(&module(model, place))
                    ),
                    is_parameter: Some(false),
                },
            };
            names.insert(name, new.name.clone());
            found.insert(place, new);
        }
    }
    found
}

/// The parameters that a tensor holds: itself, or those that it was computed from.
fn names_of<'a>(notes: &'a Notes, name: &'a str) -> Vec<&'a str> {
    match notes.folded_from(name) {
        Some(sources) => sources,
        None if notes.knows(name) => vec![name],
        None => Vec::new(),
    }
}

/// Does an operation that reads these read the tensor as what it is called?
fn is_read_as(notes: &Notes, name: &str, reads: &[&str]) -> bool {
    let names = names_of(notes, name);
    // Of a constant the operations say nothing.
    names.is_empty() || names.iter().any(|own| reads.contains(own))
}

/// Where different modules read one initialiser whose numbers are all the same, in the same role;
/// and of lost notes the initialisers of which nothing says it.
fn by_modules(model: &Flat, folder: &Path) -> (Vec<(Place, New)>, Vec<String>) {
    let from_pytorch = model.producer.to_lowercase().contains("pytorch");
    let floats = float_initialisers(model);
    let mut places: BTreeMap<&str, Vec<Place>> = BTreeMap::new();
    for (node, entry) in model.nodes.iter().enumerate() {
        for (input, name) in entry.message.input.iter().enumerate() {
            if floats.contains(&name[..]) && is_untold(model, &entry.message) {
                places.entry(name).or_default().push(Place { node, input });
            }
        }
    }
    let tensors = model.graph.initializer.iter();
    let tensors: HashMap<&str, &Tensor> = tensors.map(|it| (it.name.as_str(), it)).collect();
    let mut found = Vec::new();
    let mut unclear = Vec::new();
    places.retain(|name, places| {
        let tensor = tensors.get(name);
        places.len() > 1 && tensor.is_some_and(|tensor| is_uniform(tensor, folder))
    });
    // What is merged itself tells no layers apart.
    let merged: HashSet<&str> = places.keys().copied().collect();
    let own: HashSet<&str> = floats.difference(&merged).copied().collect();
    for (name, places) in places {
        let is_one_number = tensors[name].dims.iter().all(|&extent| extent == 1);
        let mut layers: Vec<Layer> = Vec::new();
        for place in places {
            // An Identity carries the parameter's own name.
            if let Some(name) = renamed_by(&model.nodes[place.node].message, from_pytorch) {
                let name = name.to_owned();
                // Without a name of the framework's it may be a constant too: the role says it.
                let parameter = (!is_made_up(&name)).then_some(true);
                found.push((
                    place,
                    New {
                        name,
                        is_parameter: parameter,
                    },
                ));
                continue;
            }
            if is_one_number {
                continue;
            }
            // What PyTorch's older exporter shares without one is one module, called twice.
            if from_pytorch && !model.notes.are_lost() {
                continue;
            }
            let layer = Layer::at(model, place, &own);
            if let Some(known) = layers.iter().find(|known| known.is(&layer)) {
                found.extend(known.name.clone().map(|new| (place, new)));
                continue;
            }
            let is_another = layers.first().is_some_and(|first| first.does_as(&layer));
            let new = is_another.then(|| New {
                name: layer.own_name(name, model, &floats),
                is_parameter: Some(true),
            });
            found.extend(new.clone().map(|new| (place, new)));
            layers.push(Layer { name: new, ..layer });
        }
        let is_told = |layer: &Layer| !layer.partners.is_empty() || !layer.module.is_empty();
        let is_unclear = match is_one_number {
            true => name.contains('.'),
            false => !layers.iter().all(is_told),
        };
        if model.notes.are_lost() && is_unclear {
            unclear.push(name.to_owned());
        }
    }
    (found, unclear)
}

/// Is nothing noted of the parameters that a node reads?
fn is_untold(model: &Flat, message: &Message) -> bool {
    let operation = model.notes.operation(message);
    operation.is_none_or(|(_, reads)| model.notes.are_lost() && reads.is_empty())
}

/// A layer that reads an initialiser.
struct Layer {
    operator: String,
    input: usize,
    module: String,
    /// The tensors of its own that it reads, where it reads the initialiser and just before.
    partners: HashSet<String>,
    /// The tensor of its own that it gets.
    name: Option<New>,
}

impl Layer {
    /// `own`: the initialisers that may tell layers apart.
    fn at(model: &Flat, place: Place, own: &HashSet<&str>) -> Self {
        let message = &model.nodes[place.node].message;
        let before = &model.nodes[..place.node];
        // A move in between does not change where a value is from.
        let origin = |name: &String| -> (String, Option<&Message>) {
            let mut name = name.clone();
            let mut before = before;
            loop {
                let mut makers = before.iter().enumerate().rev().take(NEAR);
                let maker = makers.find(|(_, node)| node.message.output.contains(&name));
                match maker {
                    Some((at, node)) if moves(&node.message.op_type) => {
                        let Some(moved) = node.message.input.first() else {
                            return (name, None);
                        };
                        name.clone_from(moved);
                        before = &before[..at];
                    }
                    maker => return (name, maker.map(|(_, node)| &node.message)),
                }
            }
        };
        let mut partners = HashSet::new();
        for input in &message.input {
            let (name, maker) = origin(input);
            partners.insert(name);
            let of_maker = maker.into_iter().flat_map(|maker| &maker.input);
            partners.extend(of_maker.map(|name| origin(name).0));
        }
        partners.retain(|name| own.contains(&name[..]));
        Self {
            operator: message.op_type.clone(),
            input: place.input,
            module: module(model, place),
            partners,
            name: None,
        }
    }

    /// The same layer, called again?
    fn is(&self, other: &Self) -> bool {
        let numbered = |name: &str| {
            let bare = name.trim_end_matches(|c: char| c.is_ascii_digit());
            bare.trim_end_matches('_').to_owned()
        };
        if self.partners.is_empty() || other.partners.is_empty() {
            return self.module.is_empty() || numbered(&self.module) == numbered(&other.module);
        }
        !self.partners.is_disjoint(&other.partners)
    }

    /// Is the initialiser a parameter in both, where it is one in either?
    fn does_as(&self, other: &Self) -> bool {
        let same = self.operator == other.operator && self.input == other.input;
        same || (self.reads_parameter() && other.reads_parameter())
    }

    /// Is what stands here a parameter? A constant of a computation stands in no such place.
    fn reads_parameter(&self) -> bool {
        let role = by_operator(&self.operator, self.input);
        let is_bias = self.operator == "Add" && !self.partners.is_empty();
        is_bias || matches!(role, Some(Role::Bias | Role::NormScale | Role::NormShift))
    }

    /// What the layer's own tensor is called.
    fn own_name(&self, tensor: &str, model: &Flat, floats: &HashSet<&str>) -> String {
        let partner = self.partners.iter().min();
        // Beside the layer's weight, where that is called by its path.
        let beside = partner
            .filter(|_| model.notes.are_lost())
            .and_then(|partner| {
                let of = names_of(&model.notes, partner).first().copied();
                let (path, _) = of.unwrap_or(partner).rsplit_once('.')?;
                let name = format!("{path}.{}", last_part(tensor));
                let is_free =
                    !floats.contains(&name[..]) && !is_made_up(tensor) && !is_made_up(path);
                is_free.then_some(name)
            });
        match partner {
            _ if !self.module.is_empty() => {
                let separator = if self.module.contains('/') { '/' } else { '.' };
                format!("{}{separator}{}", self.module, last_part(tensor))
            }
            Some(partner) => beside.unwrap_or_else(|| format!("{tensor} (beside {partner})")),
            None => tensor.to_owned(),
        }
    }
}

/// How many nodes back the one is looked for that made a value.
const NEAR: usize = 16;

/// The parameter's name that an Identity gives to an initialiser: PyTorch's older exporter merges
/// equal initialisers so. What it computed of a parameter has no name of the framework's: such a node
/// is known by its own, which is that of no module.
fn renamed_by(message: &Message, from_pytorch: bool) -> Option<&str> {
    let output = message.output.first()?;
    let is_path = output.contains('.') && !is_made_up(output);
    let is_of_exporter = from_pytorch && message.name.starts_with("Identity_");
    (message.op_type == "Identity" && (is_path || is_of_exporter)).then_some(&output[..])
}

fn float_initialisers(model: &Flat) -> HashSet<&str> {
    let tensors = model.graph.initializer.iter();
    let several = tensors.filter(|tensor| tensors::is_float(tensor));
    several.map(|tensor| tensor.name.as_str()).collect()
}

/// The module of the node at a place, or the path of its name.
fn module(model: &Flat, place: Place) -> String {
    let message = &model.nodes[place.node].message;
    crate::import::onnx::modules::module_of(message).unwrap_or_else(|| {
        let path = message.name.rsplit_once('/').map(|(path, _)| path);
        path.unwrap_or_default().to_owned()
    })
}

/// `weight` of `layers.0.fc.weight`.
pub(super) fn last_part(name: &str) -> &str {
    name.rsplit(['.', '/']).next().unwrap_or(name)
}

/// Are all its elements the same?
fn is_uniform(tensor: &Tensor, folder: &Path) -> bool {
    let Ok(stored) = tensors::read(tensor, folder) else {
        return false;
    };
    let numbers = stored.wide();
    let data = numbers.data();
    !data.is_empty() && data.iter().all(|x| x.to_bits() == data[0].to_bits())
}
