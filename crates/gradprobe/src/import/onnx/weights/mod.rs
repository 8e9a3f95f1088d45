//! What is a weight: which tensors of a file an optimiser changes.
//!
//! The evidence, in the order in which it counts: what the user says (`--train`, `--freeze`); what
//! the exporter notes ([`Notes`]); what nobody trains wherever it stands (running statistics,
//! exponents, limits, sizes, first states of zeros); the name, where it is the framework's own; the
//! role ([`Roles`]). What stays undecided is not judged: its numbers are used, nothing is said of
//! it. Whether all numbers of a tensor are equal says nothing: fresh biases are zeros.

mod folded;
mod left_out;
mod merged;
mod names;
mod roles;
mod said;

pub(super) use names::{is_buffer, is_made_up, is_parameter_word};
pub use said::{FileNumbers, TensorStatus, TensorVerdict};

use super::error::{OnnxError, quoted};
use super::exporter_notes::Notes;
use super::messages::Tensor;
use super::model::{Flat, Node};
use super::tensors::{self, is_float};
use roles::{Role, Roles};
use said::Reason;
use std::collections::HashMap;
use std::path::Path;

/// Puts the parameters of a model right that its exporter merged, left out or computed with, and
/// says so among the model's remarks. `folder` is where files of external data are.
pub(super) fn repair(model: &mut Flat, folder: &Path) {
    let split = merged::split_merged(model, folder);
    let left_out = left_out::restore_left_out(model);
    let folded = folded::restore_folded(model, folder);
    let mut remark = |names: Vec<String>, what: &str| {
        if !names.is_empty() {
            model.remarks.push(format!("{}: {what}", listed(&names)));
        }
    };
    remark(
        split.made,
        "merged by the exporter with others of the same numbers; each has its own gradient here",
    );
    remark(
        split.unclear,
        "read in several places, and nothing says whether it is one parameter or several with equal \
         numbers: it is taken as one (of a module of PyTorch, opset_version=18 or newer says it)",
    );
    remark(left_out, "zeros that the exporter left out, put back");
    remark(
        folded.computed,
        "computed by the exporter from parameters; the gradient is that of the result",
    );
    remark(
        folded.penalties,
        "a penalty on parameters, computed by the exporter in advance: no gradient has its part",
    );
}

/// The first few names.
pub(super) fn listed(names: &[String]) -> String {
    const MOST: usize = 3;
    let shown: Vec<String> = names.iter().take(MOST).map(|name| quoted(name)).collect();
    match names.len().saturating_sub(MOST) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What the user says of tensors, by patterns of their names.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said<'a> {
    pub train: &'a [glob::Pattern],
    pub freeze: &'a [glob::Pattern],
}

/// What was decided.
#[derive(Debug, Default)]
pub(super) struct Weights {
    decided: HashMap<String, (TensorStatus, Reason)>,
    /// Weights that have no name of the framework's, with the word for what they do.
    unnamed: HashMap<String, &'static str>,
}

impl Weights {
    /// Decides of every floating-point tensor of a model.
    ///
    /// # Errors
    /// If a pattern of the user's fits no tensor.
    pub fn decide(
        model: &Flat,
        live: &[bool],
        made_by: &HashMap<String, usize>,
        folder: &Path,
        said: Said<'_>,
    ) -> Result<Self, OnnxError> {
        let constants: Vec<Constant<'_>> = constants(model).collect();
        let extents = constants.iter();
        let extents: HashMap<&str, &[i64]> = extents
            .map(|constant| (constant.name, constant.dims))
            .collect();
        let whole = constants.iter().filter(|constant| constant.is_whole());
        let whole = whole.map(|constant| constant.name).collect();
        let roles = Roles::of(model, live, made_by, &extents, whole);
        let from_pytorch = model.producer.to_lowercase().contains("pytorch");
        let mut initialisers = model.graph.initializer.iter();
        let evidence = Evidence {
            notes: &model.notes,
            notes_are_complete: model.notes.says_what_is_folded()
                || model
                    .notes
                    .all_parameters_are_in(&extents.keys().copied().collect()),
            extents: &extents,
            roles: &roles,
            folder,
            said,
            from_pytorch,
            names_parameters: from_pytorch
                && initialisers.any(|tensor| !is_made_up(&tensor.name) && is_float(tensor)),
        };
        let mut weights = Self::default();
        for constant in constants.iter().filter(|constant| constant.is_float) {
            let (status, reason) = evidence.decide(constant);
            let name = constant.name.to_owned();
            if status == TensorStatus::Trained && is_made_up(constant.name) {
                let word = roles.role(&name).map_or("weight", Role::parameter);
                weights.unnamed.insert(name.clone(), word);
            }
            weights.decided.insert(name, (status, reason));
        }
        check_patterns(&constants, said)?;
        Ok(weights)
    }

    /// Is the tensor trained?
    pub fn is_trained(&self, name: &str) -> bool {
        let decided = self.decided.get(name);
        decided.is_some_and(|(status, _)| *status == TensorStatus::Trained)
    }

    /// The weights.
    pub fn trained(&self) -> impl Iterator<Item = &String> {
        let decided = self.decided.iter();
        decided.filter_map(|(name, (status, _))| (*status == TensorStatus::Trained).then_some(name))
    }

    /// What a weight is called in its layer that has no name of the framework's, only one that the
    /// exporter made up: `weight`, `bias`.
    pub fn unnamed(&self, name: &str) -> Option<&'static str> {
        self.unnamed.get(name).copied()
    }

    /// Nothing is trained.
    pub fn clear(&mut self) {
        self.decided.clear();
    }

    /// What became of each floating-point tensor of the file, in its order. `is_used` tells of
    /// those that are trained whether they became parameters of the network.
    pub fn verdicts(&self, model: &Flat, is_used: &dyn Fn(&str) -> bool) -> Vec<TensorVerdict> {
        let tensors = model.tensors.iter();
        let verdict = |tensor: &super::model::FileTensor| {
            let decided = tensor
                .became
                .as_ref()
                .map(|name| (name, self.decided.get(name)));
            let (status, reason) = match decided {
                None => (TensorStatus::NotJudged, Reason::InBody),
                Some((name, Some((TensorStatus::Trained, _)))) if !is_used(name) => {
                    (TensorStatus::NotJudged, Reason::NotReached)
                }
                Some((_, Some((status, reason)))) => (*status, reason.clone()),
                Some((_, None)) => (TensorStatus::Frozen, Reason::Number),
            };
            TensorVerdict {
                name: tensor.name.clone(),
                elements: tensor.elements,
                status,
                reason: reason.to_string(),
            }
        };
        tensors.map(verdict).collect()
    }
}

/// A constant of the main graph: an initialiser, or what a Constant node makes.
struct Constant<'m> {
    name: &'m str,
    dims: &'m [i64],
    is_float: bool,
    tensor: Option<&'m Tensor>,
    is_node: bool,
}

impl Constant<'_> {
    fn is_one_number(&self) -> bool {
        self.dims.iter().all(|&extent| extent == 1)
    }

    /// Several whole numbers?
    fn is_whole(&self) -> bool {
        let kind = self.tensor.map(|it| tensors::stored_kind(it.data_type));
        !self.is_one_number() && matches!(kind, Some(Ok(tensors::Kind::Int)))
    }
}

fn constants(model: &Flat) -> impl Iterator<Item = Constant<'_>> {
    let initialisers = model.graph.initializer.iter().map(|tensor| Constant {
        name: &tensor.name,
        dims: &tensor.dims,
        is_float: is_float(tensor),
        tensor: Some(tensor),
        is_node: false,
    });
    initialisers.chain(model.nodes.iter().filter_map(of_node))
}

/// What a Constant node holds, or a ConstantOfShape node, whose extents are not known yet.
fn of_node(node: &Node) -> Option<Constant<'_>> {
    const SEVERAL: &[i64] = &[-1];
    let name = node.message.output.first()?;
    let value = || node.attribute("value").and_then(|value| value.t.as_ref());
    let constant = |dims, is_float, tensor| Constant {
        name,
        dims,
        is_float,
        tensor,
        is_node: true,
    };
    match &node.message.op_type[..] {
        _ if !node.is_standard() => None,
        "Constant" => Some(match value() {
            Some(tensor) => constant(&tensor.dims, is_float(tensor), Some(tensor)),
            None if node.attribute("value_floats").is_some() => constant(SEVERAL, true, None),
            None => constant(&[], node.attribute("value_float").is_some(), None),
        }),
        "ConstantOfShape" => Some(constant(SEVERAL, value().is_none_or(is_float), None)),
        _ => None,
    }
}

/// Everything that is known when a tensor is decided of.
struct Evidence<'a> {
    notes: &'a Notes,
    /// Is a tensor of which nothing is noted no parameter? A file that says from what its tensors
    /// were computed says it of all.
    notes_are_complete: bool,
    /// Of the file's tensors.
    extents: &'a HashMap<&'a str, &'a [i64]>,
    roles: &'a Roles,
    folder: &'a Path,
    said: Said<'a>,
    from_pytorch: bool,
    /// Are the parameters of this file initialisers that carry the framework's names?
    names_parameters: bool,
}

impl Evidence<'_> {
    fn decide(&self, constant: &Constant<'_>) -> (TensorStatus, Reason) {
        use TensorStatus::{Frozen, NotJudged, Trained};
        let name = constant.name;
        let fits = |patterns: &[glob::Pattern]| patterns.iter().any(|it| it.matches(name));
        if fits(self.said.freeze) {
            return (Frozen, Reason::SaidByUser);
        }
        if fits(self.said.train) {
            return (Trained, Reason::SaidByUser);
        }
        if let Some(noted) = self.noted(constant) {
            return noted;
        }
        let role = self.roles.role(name);
        if let Some(role @ (Role::Setting | Role::Statistics | Role::Mask)) = role
            && (role != Role::Mask || self.is_mask(constant))
        {
            return (Frozen, Reason::Role(role));
        }
        if names::is_buffer(name) {
            return (Frozen, Reason::BufferName);
        }
        if role == Some(Role::InitialState) && self.is_zero(constant) {
            return (Frozen, Reason::Role(Role::InitialState));
        }
        if constant.is_node && self.names_parameters {
            // Of a file that names its parameters, what it writes into the graph is none.
            return (Frozen, Reason::Number);
        }
        let made_up = is_made_up(name) || self.notes.is_computed(name);
        let of_path = self.from_pytorch && !made_up && !constant.is_node;
        if !made_up
            && (of_path
                || names::is_variable(name)
                || names::is_parameter_word(name)
                || !(constant.is_one_number() || constant.is_node))
        {
            return (Trained, Reason::Name);
        }
        match role {
            // A bias of scores, computed from a table that is not in the file, or a soft mask.
            Some(Role::Mask) => (NotJudged, Reason::Undecided),
            Some(role) => (Trained, Reason::Role(role)),
            None if constant.is_one_number() => (Frozen, Reason::Number),
            None => (NotJudged, Reason::Undecided),
        }
    }

    /// What the exporter says of a tensor.
    fn noted(&self, constant: &Constant<'_>) -> Option<(TensorStatus, Reason)> {
        use TensorStatus::{Frozen, Trained};
        let notes = self.notes;
        match notes.is_parameter(constant.name) {
            Some(true) => return Some((Trained, Reason::Noted)),
            Some(false) => return Some((Frozen, Reason::NotedBuffer)),
            None => {}
        }
        let sources = notes.folded_from(constant.name);
        // Without the notes of which tensors are parameters, a name may be missed here.
        if let Some(sources) = sources.filter(|it| !(it.is_empty() && notes.are_lost())) {
            let dims_of = |name: &str| self.extents.get(name);
            return Some(if sources.is_empty() {
                (Frozen, Reason::Number)
            } else if folded::is_penalty(constant.dims, &sources, dims_of) {
                (Frozen, Reason::Penalty)
            } else {
                let sources = sources.into_iter().map(str::to_owned).collect();
                (Trained, Reason::FoldedFrom(sources))
            });
        }
        (self.notes_are_complete).then_some((Frozen, Reason::Number))
    }

    fn numbers(&self, constant: &Constant<'_>) -> Option<std::sync::Arc<crate::num::Tensor<f64>>> {
        let stored = tensors::read(constant.tensor?, self.folder).ok()?;
        Some(stored.wide())
    }

    fn is_zero(&self, constant: &Constant<'_>) -> bool {
        match constant.tensor {
            // What a ConstantOfShape node makes, mostly.
            None => true,
            Some(_) => self
                .numbers(constant)
                .is_some_and(|numbers| numbers.data().iter().all(|&x| x == 0.0)),
        }
    }

    /// Zeros, and numbers that a softmax makes zeros of.
    fn is_mask(&self, constant: &Constant<'_>) -> bool {
        /// e^−60 is less than the rounding of any sum beside it.
        const HIDDEN: f64 = -60.0;
        self.numbers(constant).is_some_and(|numbers| {
            let mut numbers = numbers.data().iter();
            numbers.all(|&x| x == 0.0 || x <= HIDDEN)
        })
    }
}

/// A pattern that fits nothing is a mistake in it.
fn check_patterns(constants: &[Constant<'_>], said: Said<'_>) -> Result<(), OnnxError> {
    for (option, patterns) in [("--train", said.train), ("--freeze", said.freeze)] {
        for pattern in patterns {
            let mut floats = constants.iter().filter(|constant| constant.is_float);
            if !floats.any(|constant| pattern.matches(constant.name)) {
                return Err(OnnxError::new(format!(
                    "{option} {}: no floating-point tensor of the file is called so",
                    quoted(pattern.as_str())
                ))
                .help("--verbose lists them"));
            }
        }
    }
    Ok(())
}
