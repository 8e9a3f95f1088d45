//! What the name of a tensor says: did an exporter make it up, is it what frameworks call a buffer,
//! does it end as the parameters of layers do?

/// What frameworks call statistics, tables and masks that no optimiser changes.
const BUFFERS: [&str; 22] = [
    "running_mean",
    "running_var",
    "moving_mean",
    "moving_var",
    "moving_average",
    "moving_variance",
    "num_batches",
    "inv_freq",
    "cos_cached",
    "sin_cached",
    "freqs_cis",
    "coords_table",
    "relative_position_index",
    "position_ids",
    "token_type_ids",
    "alphas_cumprod",
    "attn_mask",
    "attention_mask",
    "causal_mask",
    "mel_filters",
    "mel_basis",
    "hann_window",
];

/// How the last part of a parameter's name ends or begins in the usual frameworks.
const PARAMETERS: [&str; 34] = [
    "weight",
    "weights",
    "kernel",
    "bias",
    "biases",
    "w",
    "b",
    "gamma",
    "beta",
    "scale",
    "offset",
    "alpha",
    "slope",
    "embedding",
    "embeddings",
    "embed",
    "table",
    "token",
    "coefficient",
    "coefficients",
    "intercept",
    "intercepts",
    "parameter",
    "logit_scale",
    "temperature",
    "mult",
    "w_0",
    "b_0",
    "recurrent_kernel",
    "depthwise_kernel",
    "pointwise_kernel",
    "g",
    "v",
    "u",
];

/// How names begin that exporters make up.
const MADE_UP_STEMS: [&str; 8] = [
    "onnx::",
    "/",
    "_inlfunc",
    "ortshared",
    "scalar_tensor",
    "ConvBnFusion_",
    "ConvMulFusion_",
    "ConvAddFusion_",
];
/// What exporters number.
const NUMBERED: [&str; 8] = [
    "const", "scalar", "reshape", "identity", "unity", "tensor", "val", "_val",
];

/// Is it what frameworks call a buffer?
pub(in crate::import::onnx) fn is_buffer(name: &str) -> bool {
    let lower = name.to_lowercase();
    let last = lower.rsplit(['/', '.']).next().unwrap_or(&lower);
    BUFFERS.iter().any(|buffer| lower.contains(buffer))
        || last.ends_with("buf")
        || last.ends_with("buffer")
}

/// Is it a variable that TensorFlow reads: `dense/MatMul/ReadVariableOp:0`?
pub(super) fn is_variable(name: &str) -> bool {
    name.contains("ReadVariableOp") || name.contains("/Read/")
}

/// Is it a name that an exporter made up?
pub(in crate::import::onnx) fn is_made_up(name: &str) -> bool {
    if is_variable(name) {
        return false;
    }
    let lower = name.to_lowercase();
    let last = lower.rsplit(['/', '.']).next().unwrap_or(&lower);
    let last = last.split(':').next().unwrap_or(last);
    name.chars().all(|c| c.is_ascii_digit())
        || MADE_UP_STEMS.iter().any(|stem| name.starts_with(stem))
        || NUMBERED.iter().any(|stem| is_numbered(last, stem))
        // tf2onnx: `const_fold_opt__664`, `const_zero__4`.
        || (lower.starts_with("const_") && !name.contains('.'))
        || lower.contains("constant")
        // What a graph of TensorFlow calls the operands of arithmetic: `batchnorm/mul/y:0`.
        || (name.contains('/') && ["x", "y"].contains(&last))
        || name.contains("::")
}

/// Is it the stem, perhaps with numbers: `const_12`, `Const__7`, `constant3_1`?
fn is_numbered(name: &str, stem: &str) -> bool {
    name.strip_prefix(stem)
        .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '_'))
}

/// Does it end as the parameters of layers do: `fc.weight`, `dense/kernel:0`, `W1`, `conv1_w_0`?
pub(in crate::import::onnx) fn is_parameter_word(name: &str) -> bool {
    let lower = name.to_lowercase();
    let bare = lower.split(':').next().unwrap_or(&lower);
    let bare = bare.trim_end_matches(|c: char| c.is_ascii_digit());
    let parts = |separators: &[char]| {
        let part = bare.rsplit(separators).find(|part| !part.is_empty());
        part.unwrap_or(bare).to_owned()
    };
    let is_word = |part: &str| PARAMETERS.contains(&part);
    is_word(&parts(&['/', '.'])) || is_word(&parts(&['/', '.', '_']))
}

#[cfg(test)]
mod tests {
    use super::{is_buffer, is_made_up, is_parameter_word};

    #[test]
    fn names_that_exporters_make_up_are_known() {
        for name in [
            "onnx::MatMul_12",
            "val_3",
            "/layers.0/Constant_output_0",
            "172",
            "const_fold_opt__664",
            "Const:0",
            "const_axes__12",
            "model/batchnorm/mul/y:0",
            "Reshape_3",
            "scalar_tensor_default_2",
        ] {
            assert!(is_made_up(name), "{name}");
        }
        for name in [
            "fc.weight",
            "dense/MatMul/ReadVariableOp:0",
            "Parameter87",
            "conv1_w_0",
            "cls_token",
            "W0",
            "w",
            "model.0.reshape.weight",
            "val_head.weight",
            "node_embedding.weight",
        ] {
            assert!(!is_made_up(name), "{name}");
        }
    }

    #[test]
    fn words_of_parameters_and_buffers_are_known() {
        for name in [
            "fc.weight",
            "W1",
            "dense/kernel:0",
            "a.alpha",
            "logit_scale",
        ] {
            assert!(is_parameter_word(name), "{name}");
        }
        for name in ["threshold", "z1", "two", "eps", "scales"] {
            assert!(!is_parameter_word(name), "{name}");
        }
        assert!(is_buffer("bn.running_mean"));
        assert!(is_buffer("net.window_buffer"));
        assert!(!is_buffer("bn.weight"));
        assert!(!is_buffer("buffered.weight"));
    }
}
