//! What PyTorch's exporter notes about the tensors of a file: which are parameters, which buffers,
//! and from which others a tensor was computed.

use super::messages::{Entry, Graph, Node as Message};
use super::weights::{is_buffer, is_made_up, is_parameter_word};
use std::collections::{HashMap, HashSet};

/// Lists every parameter and buffer of the exported program, a line each.
const SIGNATURE: &str = "pkg.torch.export.ExportedProgram.graph_signature";
/// What a tensor is, noted beside the tensor itself.
const KIND: &str = "pkg.torch.export.graph_signature.InputSpec.kind";
/// The tensors that an optimiser computed a tensor from.
const FOLDED_FROM: &str = "pkg.onnxscript.optimizer.folded_from";
/// The operation that a node belongs to, with the parameters that it reads.
const OPERATION: &str = "pkg.torch.onnx.fx_node";

/// What the exporter says.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// By the name that the framework has for it: is it a parameter? Else it is a buffer or a
    /// constant. `None` where the note does not say: a program that reads no parameter of its own, as
    /// Keras makes them on PyTorch, has them as constants.
    kinds: HashMap<String, Option<bool>>,
    /// What a parameter or buffer is called within operations, and its name in the framework.
    placeholders: HashMap<String, String>,
    /// By tensor: what it was computed from.
    folded: HashMap<String, Vec<String>>,
    /// Is the file of PyTorch's newer exporter, but without what it notes of parameters? So it is
    /// where ONNX's own converter took it to an older opset, and where the program reads none.
    are_lost: bool,
}

impl Notes {
    /// Reads the notes of a file; empty for files of other exporters. `from_newer_exporter`: is it of
    /// the exporter of PyTorch that writes notes?
    pub fn of(graph: &Graph, from_newer_exporter: bool) -> Self {
        let mut notes = Self::default();
        let whole = graph.metadata_props.iter();
        for entry in whole.filter(|entry| entry.key == SIGNATURE) {
            notes.read_signature(&entry.value);
        }
        for value in &graph.value_info {
            for Entry { key, value: text } in &value.metadata_props {
                match &key[..] {
                    KIND => {
                        notes.kinds.insert(value.name.clone(), Self::kind(text));
                    }
                    FOLDED_FROM => {
                        notes.folded.insert(value.name.clone(), python_list(text));
                    }
                    _ => {}
                }
            }
        }
        let tensors = graph.initializer.iter().map(|tensor| &tensor.name);
        let present: HashSet<&String> = tensors.chain(notes.folded.values().flatten()).collect();
        let mut kinds = notes.kinds.iter();
        let has_parameters =
            kinds.any(|(name, kind)| *kind == Some(true) && present.contains(name));
        if has_parameters {
            let kinds = notes.kinds.values_mut();
            kinds.for_each(|kind| *kind = kind.or(Some(false)));
        }
        notes.are_lost = from_newer_exporter && !has_parameters;
        notes
    }

    fn kind(noted: &str) -> Option<bool> {
        match noted {
            "CONSTANT_TENSOR" => None,
            noted => Some(noted == "PARAMETER"),
        }
    }

    /// Were the notes lost?
    pub fn are_lost(&self) -> bool {
        self.are_lost
    }

    /// Lines such as `p_fc_weight: PARAMETER target='fc.weight'`.
    fn read_signature(&mut self, text: &str) {
        for line in text.lines() {
            let Some((placeholder, rest)) = line.split_once(": ") else {
                continue;
            };
            let mut words = rest.split_whitespace();
            let kind = words.next();
            let target = words.find_map(|word| word.strip_prefix("target="));
            if let (Some(kind), Some(target)) = (kind, target) {
                let target = target.trim_matches(['\'', '"']).to_owned();
                self.kinds.insert(target.clone(), Self::kind(kind));
                self.placeholders
                    .insert(placeholder.trim().to_owned(), target);
            }
        }
    }

    /// Does the file say of every tensor whether it is a parameter or computed from one?
    pub fn says_what_is_folded(&self) -> bool {
        !self.folded.is_empty() && !self.are_lost
    }

    /// Is the tensor computed? Its name is then that of an operation.
    pub fn is_computed(&self, tensor: &str) -> bool {
        self.folded.contains_key(tensor)
    }

    /// Does every parameter of the exported program stand among these tensors? Then no other
    /// tensor is one.
    pub fn all_parameters_are_in(&self, tensors: &HashSet<&str>) -> bool {
        let is_parameter = |name: &&String| self.is_parameter(name) == Some(true);
        let mut listed = self.placeholders.values().filter(is_parameter).peekable();
        listed.peek().is_some() && listed.all(|name| tensors.contains(&name[..]))
    }

    /// Is the tensor a parameter? `None` where nothing is noted of it.
    pub fn is_parameter(&self, name: &str) -> Option<bool> {
        self.kinds.get(name).copied().flatten()
    }

    /// Is it a tensor of the exported program?
    pub fn knows(&self, name: &str) -> bool {
        self.kinds.contains_key(name)
    }

    /// Notes of a tensor that was put in whether it is a parameter.
    pub fn add(&mut self, name: &str, is_parameter: Option<bool>) {
        self.kinds.insert(name.to_owned(), is_parameter);
    }

    /// The parameters that a tensor was computed from; `None` where it was not computed.
    pub fn folded_from(&self, tensor: &str) -> Option<Vec<&str>> {
        let sources = self.folded.get(tensor)?.iter().map(String::as_str);
        let is_parameter = |name: &str| match self.are_lost {
            true => is_named_as_parameter(name) || self.kinds.get(name) == Some(&None),
            false => self.is_parameter(name) == Some(true),
        };
        Some(sources.filter(|&source| is_parameter(source)).collect())
    }

    /// Takes over what is noted of a tensor for one that stands for it under a new name.
    pub fn rename(&mut self, old: &str, new: &str) {
        if let Some(sources) = self.folded.remove(old) {
            self.folded.insert(new.to_owned(), sources);
        }
        if let Some(kind) = self.kinds.get(old).copied() {
            self.kinds.insert(new.to_owned(), kind);
        }
    }

    /// The operation that a node is a part of, and the parameters and buffers that the operation
    /// reads, by their names in the framework and in its order; `None` where nothing says it.
    pub fn operation<'n>(&'n self, node: &'n Message) -> Option<(&'n str, Vec<&'n str>)> {
        if self.placeholders.is_empty() {
            return None;
        }
        let mut notes = node.metadata_props.iter();
        let text = &notes.find(|entry| entry.key == OPERATION)?.value;
        let (name, rest) = text.split_once(" : ")?;
        let mut seen = HashSet::new();
        let reads = rest
            .split('%')
            .skip(1)
            .filter_map(|word| {
                let end = word.find(|c: char| !c.is_alphanumeric() && c != '_');
                let word = &word[..end.unwrap_or(word.len())];
                self.placeholders.get(word).map(String::as_str)
            })
            .filter(|target| seen.insert(*target));
        Some((name, reads.collect()))
    }
}

/// Where nothing says which tensors are parameters, those are that are called by a path, or as
/// parameters of the whole are: the exporter calls all else by its operation, `expand_1`.
fn is_named_as_parameter(name: &str) -> bool {
    let is_operation = name.starts_with("embedding");
    let is_word = is_parameter_word(name) && !is_operation;
    (name.contains('.') || is_word) && !is_made_up(name) && !is_buffer(name)
}

/// The texts of a list as Python writes it: `['', 'encoder', 'linear']`.
pub(super) fn python_list(text: &str) -> Vec<String> {
    let inner = text.trim().trim_start_matches('[').trim_end_matches(']');
    let parts = inner.split(',').map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(|part| part.trim_matches(['\'', '"']).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Notes;
    use crate::import::onnx::messages::{Entry, Graph, Node as Message, Noted};

    fn entry(key: &str, value: &str) -> Entry {
        Entry {
            key: key.into(),
            value: value.into(),
        }
    }

    fn notes() -> Notes {
        let signature = "\n# inputs\np_a_weight: PARAMETER target='a.weight'\n\
                         b_pe: BUFFER target='pe' persistent=True\nx: USER_INPUT\n";
        let graph = Graph {
            value_info: vec![Noted {
                name: "val_0".into(),
                metadata_props: vec![entry(super::FOLDED_FROM, "['a.weight', 'val_3']")],
            }],
            metadata_props: vec![entry(super::SIGNATURE, signature)],
            ..Graph::default()
        };
        Notes::of(&graph, true)
    }

    #[test]
    fn the_signature_says_what_is_a_parameter() {
        let notes = notes();
        assert_eq!(notes.is_parameter("a.weight"), Some(true));
        assert_eq!(notes.is_parameter("pe"), Some(false));
        assert_eq!(notes.is_parameter("x"), None);
        assert_eq!(notes.folded_from("val_0"), Some(vec!["a.weight"]));
        assert_eq!(notes.folded_from("val_1"), None);
        assert!(!notes.are_lost());
    }

    #[test]
    fn a_program_that_reads_no_parameters_says_nothing_of_its_constants() {
        let signature = "p_fc_bias: PARAMETER target='fc.bias'\nc_lifted_tensor_0: CONSTANT_TENSOR target='lifted_tensor_0'\n";
        let graph = Graph {
            metadata_props: vec![entry(super::SIGNATURE, signature)],
            ..Graph::default()
        };
        let notes = Notes::of(&graph, true);
        assert_eq!(notes.is_parameter("lifted_tensor_0"), None);
        assert!(notes.knows("lifted_tensor_0"));
        assert!(!notes.all_parameters_are_in(&["lifted_tensor_0"].into()));
    }

    #[test]
    fn of_lost_notes_the_paths_say_what_was_computed_from_parameters() {
        let folded = "['a.weight', 'b.position_ids', 'cls_token', 'embedding_1', 'val_3', 'zeros']";
        let graph = Graph {
            value_info: vec![Noted {
                name: "val_0".into(),
                metadata_props: vec![entry(super::FOLDED_FROM, folded)],
            }],
            ..Graph::default()
        };
        let notes = Notes::of(&graph, true);
        assert!(notes.are_lost() && !notes.says_what_is_folded());
        assert_eq!(
            notes.folded_from("val_0"),
            Some(vec!["a.weight", "cls_token"])
        );
        assert!(!Notes::of(&graph, false).are_lost());
    }

    #[test]
    fn an_operation_says_which_parameters_it_reads() {
        let notes = notes();
        let text = "%linear : [num_users=1] = call_function[target=torch.ops.aten.linear.default]\
                    (args = (%x, %p_a_weight, %b_pe), kwargs = {})";
        let node = Message {
            metadata_props: vec![entry(super::OPERATION, text)],
            ..Message::default()
        };
        let (name, reads) = notes.operation(&node).expect("an operation");
        assert_eq!((name, reads), ("%linear", vec!["a.weight", "pe"]));
        assert!(notes.operation(&Message::default()).is_none());
    }
}
