//! What a layer is called: the path of its weight as the user's program has it, without what the
//! exporter and the framework put round it.

/// How the name of a weight ends after the path of its layer.
const ENDS: [&str; 26] = [
    "_weight_ih_l0",
    ".weight_ih_l0",
    "_weight",
    "_bias",
    "_kernel",
    "_weights",
    "_biases",
    "_W",
    "_B",
    "_w_0",
    "_b_0",
    "_w",
    "_b",
    "_offset",
    "_scale",
    "/kernel",
    "/bias",
    "/weight",
    "/w",
    "/b",
    "/gamma",
    "/beta",
    "_bn_scale_0",
    "_bn_bias_0",
    "/bn_scale_0",
    "/bn_bias_0",
];

/// What TensorFlow calls the operation that reads a variable of a layer: `fc1/MatMul`.
const READERS: [&str; 16] = [
    "MatMul",
    "BiasAdd",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "Tensordot",
    "depthwise",
    "separable_conv2d",
    "convolution",
    "conv2d_transpose",
    "embedding_lookup",
    "Cast",
    "Add",
    "add",
    "mul",
    "Reshape",
];

/// The path of a weight without its last part: `layers.0.c1` of `layers.0.c1.weight`.
pub(super) fn layer_of_weight(name: &str) -> String {
    // What was computed from several is called after the first: `exp(scale)`, `r.w_ih+r.w_hh`.
    let inner = name.split_once('(').map_or(name, |(_, inner)| inner);
    let inner = inner.trim_end_matches(')');
    let first = inner.split('+').next().unwrap_or(inner);
    let first = first.split(" (").next().unwrap_or(first);
    let bare = first.split(":0").next().unwrap_or(first);
    if let Some(path) = of_variable(bare) {
        return path;
    }
    // PyTorch's parametrisations: `fc.parametrizations.weight.original0`.
    if let Some((path, _)) = bare.split_once(".parametrizations.")
        && !path.is_empty()
    {
        return path.to_owned();
    }
    // A point within a part of a path is none between parts: `mobilenetv2_1.00_224/Conv1/kernel`.
    if !bare.contains('/')
        && let Some((path, last)) = bare.rsplit_once('.')
        && !path.is_empty()
    {
        let numbered = last.chars().all(|c| c.is_ascii_digit());
        let joined = last.find("proj_").map(|at| &last[..at + 4]);
        return match joined {
            Some(part) => format!("{path}.{part}"),
            None if numbered => bare.to_owned(),
            None => path.to_owned(),
        };
    }
    let stripped = ENDS.iter().find_map(|end| bare.strip_suffix(end));
    let stripped = stripped.or_else(|| after_slash(bare));
    stripped
        .filter(|path| !path.is_empty())
        .unwrap_or(bare)
        .to_owned()
}

/// `a/fc` of `a/fc.weight`, as some exporters mix both.
fn after_slash(name: &str) -> Option<&str> {
    let start = name.rfind('/')? + 1;
    let dot = name[start..].rfind('.')?;
    let last = &name[start + dot + 1..];
    let is_word = !last.is_empty() && last.chars().all(|c| c.is_alphabetic() || c == '_');
    is_word.then(|| &name[..start + dot])
}

/// The layer of a variable that TensorFlow reads: `model/fc1` of `model/fc1/MatMul/ReadVariableOp`.
fn of_variable(name: &str) -> Option<String> {
    let at = name.find("/ReadVariableOp")?;
    let path = &name[..at];
    Some(of_reader(path).unwrap_or_else(|| path.to_owned()))
}

/// The layer that TensorFlow's name of an operation is in: `model/fc1` of `model/fc1/MatMul_1`.
pub(super) fn of_reader(operation: &str) -> Option<String> {
    let (layer, reader) = operation.rsplit_once('/')?;
    // What tf2onnx adds, and the number of the second of its kind: `Conv2D__23`, `Cast_1`.
    let reader = reader.split("__").next().unwrap_or(reader);
    let reader = reader.trim_end_matches(|c: char| c.is_ascii_digit());
    let reader = reader.trim_end_matches('_');
    let is_known = READERS.contains(&reader) && !layer.is_empty() && !layer.starts_with('/');
    is_known.then(|| layer.to_owned())
}

/// What all layers' paths have in common and no user wrote: the model's own name in front, where
/// there are several layers, and the number that TensorFlow gives to every part of them when a
/// model is traced again (`sequential_1/fc1_1`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wrapping {
    model: String,
    suffix: String,
}

impl Wrapping {
    /// Looks at the names of all weights of a file.
    pub fn of<'a>(weights: impl Iterator<Item = &'a str>) -> Self {
        let paths = weights.filter_map(|name| of_variable(name.split(":0").next().unwrap_or(name)));
        let paths: Vec<String> = paths.collect();
        let parts = |path: &String| path.split('/').map(str::to_owned).collect::<Vec<_>>();
        let Some(first) = paths.first().map(parts) else {
            return Self::default();
        };
        let is_model = first.len() > 1
            && paths.iter().any(|path| parts(path) != first)
            && paths
                .iter()
                .map(parts)
                .all(|path| path.len() > 1 && path[0] == first[0]);
        let suffix = first[0].rfind('_').map(|at| first[0][at..].to_owned());
        let suffix = suffix
            .filter(|suffix| suffix.len() > 1 && suffix[1..].chars().all(|c| c.is_ascii_digit()));
        let is_everywhere = |suffix: &String| {
            let layers = paths
                .iter()
                .map(|path| parts(path).pop().unwrap_or_default());
            layers
                .into_iter()
                .all(|layer| layer.ends_with(suffix.as_str()))
        };
        Self {
            model: if is_model {
                first[0].clone()
            } else {
                String::new()
            },
            // A model named `net_1` of layers `fc_1`, `fc_2` is not traced again.
            suffix: suffix.filter(is_everywhere).unwrap_or_default(),
        }
    }

    /// A layer's path without it.
    pub fn strip(&self, path: String) -> String {
        let bare = match path.split_once('/') {
            Some((model, rest)) if model == self.model => rest.to_owned(),
            _ => path,
        };
        if self.suffix.is_empty() {
            return bare;
        }
        let parts = bare.split('/');
        let parts = parts.map(|part| part.strip_suffix(&self.suffix).unwrap_or(part));
        parts.collect::<Vec<_>>().join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::{Wrapping, layer_of_weight};

    #[test]
    fn a_layer_is_called_by_the_path_of_its_weight() {
        let cases = [
            ("layers.0.c1.weight", "layers.0.c1"),
            ("0.bias", "0"),
            ("w.0", "w.0"),
            ("p", "p"),
            ("r.weight_ih_l0", "r"),
            (
                "blocks.0.self_attn.in_proj_weight",
                "blocks.0.self_attn.in_proj",
            ),
            ("gpu_0/conv1_w_0", "gpu_0/conv1"),
            ("dense/kernel:0", "dense"),
            ("Parameter87", "Parameter87"),
            ("exp(clip.logit_scale)", "clip"),
            ("r.weight_ih_l0+r.weight_ih_l0_reverse", "r"),
            ("fc.parametrizations.weight.original1", "fc"),
            (
                "mobilenetv2_1.00_64_1/Conv1_1/kernel:0",
                "mobilenetv2_1.00_64_1/Conv1_1",
            ),
            ("enc/fc.weight", "enc/fc"),
            ("m/d0/MatMul/ReadVariableOp:0", "m/d0"),
            (
                "sequential_3_1/fc1_1/Cast/ReadVariableOp:0",
                "sequential_3_1/fc1_1",
            ),
            ("m/bn/batchnorm/ReadVariableOp_2:0", "m/bn/batchnorm"),
        ];
        for (weight, layer) in cases {
            assert_eq!(layer_of_weight(weight), layer, "{weight}");
        }
    }

    #[test]
    fn the_model_and_the_number_of_the_trace_are_left_out() {
        let name = |layer: &str| format!("seq_3_1/{layer}_1/MatMul/ReadVariableOp:0");
        let names = [name("fc1"), name("fc2")];
        let wrapping = Wrapping::of(names.iter().map(String::as_str));
        assert_eq!(wrapping.strip(layer_of_weight(&names[0])), "fc1");
        assert_eq!(wrapping.strip("other.layer".into()), "other.layer");
        // The user's own numbers stay.
        let own = [
            "net_1/fc_1/MatMul/ReadVariableOp:0",
            "net_1/fc_2/MatMul/ReadVariableOp:0",
        ];
        let wrapping = Wrapping::of(own.into_iter());
        assert_eq!(wrapping.strip("net_1/fc_1".into()), "fc_1");
    }
}
