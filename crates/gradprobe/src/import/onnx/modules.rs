//! The modules of the network that was exported, where the exporter says them.

use super::exporter_notes::python_list;
use super::layer_names::of_reader;
use super::messages::Node;

/// Under which PyTorch's exporter notes the modules that a node is in, outermost first, and then
/// the operation's own name.
const SCOPES: &str = "pkg.torch.onnx.name_scopes";

/// The path of the module that a node is in, `encoder.layer.0.dense`, as the framework calls it;
/// `None` where nothing says it, or the node is in none.
pub(super) fn module_of(node: &Node) -> Option<String> {
    let mut notes = node.metadata_props.iter();
    let noted = notes.find(|entry| entry.key == SCOPES);
    match noted {
        Some(entry) => {
            let scopes = python_list(&entry.value);
            let module = scopes.len().checked_sub(2).map(|at| &scopes[at]);
            module.filter(|path| !path.is_empty()).cloned()
        }
        None => of_slashes(&node.name).or_else(|| of_reader(&node.name)),
    }
}

/// How onnxruntime names kernels and biases that it computed of others.
pub(super) const FUSED_STEMS: [&str; 3] = ["ConvBnFusion_", "ConvMulFusion_", "ConvAddFusion_"];

/// Did the exporter or an optimiser take a batch normalisation into this convolution? Then its
/// kernel and its bias have new names, or its notes say what it stands for.
pub(super) fn holds_batch_norm(node: &Node) -> bool {
    const NORM: &str = "batch_norm";
    let kernel = node.input.get(1);
    if kernel.is_some_and(|name| name.starts_with(FUSED_STEMS[0])) {
        return true;
    }
    let renamed = |place: usize| {
        let name = node.input.get(place).map(String::as_str);
        name.is_some_and(|name| name.starts_with("onnx::"))
    };
    let mut notes = node.metadata_props.iter();
    let noted = notes.find(|entry| entry.key == SCOPES);
    let last = noted.and_then(|entry| python_list(&entry.value).pop());
    last.is_some_and(|operation| operation.contains(NORM)) || (renamed(1) && renamed(2))
}

/// `/features/features.0/features.0.1/Conv` is in `features.0.1`: what is in a container repeats
/// the container's name.
fn of_slashes(name: &str) -> Option<String> {
    let (scopes, _) = name.strip_prefix('/')?.rsplit_once('/')?;
    let mut path: Vec<&str> = Vec::new();
    for scope in scopes.split('/').filter(|scope| !scope.is_empty()) {
        let repeats = |outer: &&&str| {
            let rest = scope.strip_prefix(**outer);
            rest.is_some_and(|rest| rest.starts_with('.'))
        };
        if path.last().filter(repeats).is_some() {
            path.pop();
        }
        path.push(scope);
    }
    (!path.is_empty()).then(|| path.join("."))
}

#[cfg(test)]
mod tests {
    use super::{holds_batch_norm, module_of};
    use crate::import::onnx::messages::{Entry, Node};

    #[test]
    fn the_module_is_found_in_notes_and_in_names() {
        let named = |name: &str| Node {
            name: name.into(),
            ..Node::default()
        };
        let cases = [
            (
                "/encoder/layer.0/dense/MatMul",
                Some("encoder.layer.0.dense"),
            ),
            (
                "/features/features.0/features.0.1/Conv",
                Some("features.0.1"),
            ),
            ("/layers/layers/layers.10/Add", Some("layers.layers.10")),
            ("/Add", None),
            ("MatMul_3", None),
        ];
        for (name, module) in cases {
            assert_eq!(module_of(&named(name)).as_deref(), module, "{name}");
        }
        let noted = |value: &str| Node {
            metadata_props: vec![Entry {
                key: super::SCOPES.into(),
                value: value.into(),
            }],
            ..named("/x/Conv")
        };
        let inside = noted("['', 'rnn', 'rnn.0', 'gru']");
        assert_eq!(module_of(&inside).as_deref(), Some("rnn.0"));
        assert_eq!(module_of(&noted("['', 'add']")), None);
        assert_eq!(module_of(&noted("[]")), None);
    }

    #[test]
    fn a_convolution_that_holds_a_batch_norm_is_known() {
        let reads = |names: [&str; 3]| Node {
            input: names.map(str::to_owned).to_vec(),
            ..Node::default()
        };
        assert!(holds_batch_norm(&reads([
            "x",
            "onnx::Conv_7",
            "onnx::Conv_8"
        ])));
        assert!(!holds_batch_norm(&reads(["x", "onnx::Conv_7", "c.bias"])));
        assert!(holds_batch_norm(&reads([
            "x",
            "ConvBnFusion_W_c.weight",
            "b"
        ])));
        assert!(!holds_batch_norm(&reads([
            "x",
            "ConvAddFusion_W_c.weight",
            "b"
        ])));
        let mut noted = reads(["x", "c.weight", "c.weight_bias"]);
        noted.metadata_props = vec![Entry {
            key: super::SCOPES.into(),
            value: "['', 'bn', '_native_batch_norm_legit_no_training']".into(),
        }];
        assert!(holds_batch_norm(&noted));
    }
}
