//! Blocks used by name, and the layers of generators and transformers.

use super::*;

fn expect(graph: &Graph, expected: &[(&str, &str)]) {
    let expected: Vec<(String, String)> = expected
        .iter()
        .map(|&(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect();
    assert_eq!(layers(graph), expected);
}

#[test]
fn a_block_is_its_layers_each_time_with_weights_of_their_own() {
    let graph = graph(
        r#"
        input = [4]
        layers = [
            { repeat = 2, block = "basic" },
            { name = "head", block = "mlp" },
            { linear = 2 },
        ]
        [blocks]
        mlp = [{ linear = 4, activation = "relu" }]
        [blocks.basic]
        layers = [{ residual = [{ block = "mlp" }, { linear = 4 }] }, "rms-norm"]
        "#,
    );
    expect(
        &graph,
        &[
            ("basic1.block1.mlp1.fc1", "linear + relu"),
            ("basic1.block1.fc1", "linear"),
            ("basic1.block1", "residual + rms-norm"),
            ("basic2.block1.mlp1.fc1", "linear + relu"),
            ("basic2.block1.fc1", "linear"),
            ("basic2.block1", "residual + rms-norm"),
            ("head.fc1", "linear + relu"),
            ("fc1", "linear"),
        ],
    );
    let weights = parameters(&graph);
    assert!(weights.contains(&("basic2.block1.norm.weight".into(), vec![4])));
    assert!(!weights.iter().any(|(name, _)| name.ends_with("norm.bias")));
    let one = numbers(&graph, "basic1.block1.fc1.weight");
    assert_ne!(one, numbers(&graph, "basic2.block1.fc1.weight"));
}

#[test]
fn a_block_that_cannot_be_written_out_is_refused() {
    let (message, piece) =
        blamed("input = [4]\nlayers = [{ block = \"basik\" }]\nblocks.basic = [\"tanh\"]");
    assert!(message.contains("there is no block `basik`"), "{message}");
    assert_eq!(piece, "{ block = \"basik\" }");
    let (message, piece) = blamed(
        "input = [4]\nlayers = [{ block = \"a\" }]\n[blocks]\na = [{ block = \"b\" }]\nb = [{ residual = [{ block = \"a\" }] }]",
    );
    assert!(
        message.contains("block `a` is used within itself"),
        "{message}"
    );
    assert_eq!(piece, "{ block = \"a\" }");
    let (message, _) = blamed("input = [4]\nlayers = [\"tanh\"]\nblocks = 3");
    assert!(message.contains("a table of blocks"), "{message}");
    let (message, _) = blamed("input = [4]\nlayers = [\"tanh\"]\n[blocks.a]\nlayer = [\"tanh\"]");
    assert!(
        message.contains("did you mean `layers`") || message.contains("unknown key"),
        "{message}"
    );
}

#[test]
fn blocks_that_multiply_are_too_many_layers_and_not_too_much_work() {
    let mut text = "input = [4]\nlayers = [{ block = \"b0\" }]\n[blocks]\n".to_owned();
    for depth in 0..15 {
        let used = vec![format!("{{ block = \"b{}\" }}", depth + 1); 100];
        text += &format!("b{depth} = [{}]\n", used.join(", "));
    }
    text += "b15 = [\"tanh\"]\n";
    let (message, _) = blamed(&text);
    assert!(
        message.contains("more than the limit of 200000"),
        "{message}"
    );
    let chain: String = (0..40)
        .map(|depth| format!("c{depth} = [{{ block = \"c{}\" }}]\n", depth + 1))
        .collect();
    let (message, _) = blamed(&format!(
        "input = [4]\nlayers = [\"tanh\"]\n[blocks]\n{chain}c40 = [\"tanh\"]"
    ));
    assert!(message.contains("more than 16 deep"), "{message}");
}

#[test]
fn images_grow_and_are_normalised() {
    let graph = graph(
        r#"
        input = [4, 5, 5]
        layers = [
            { conv-transpose = 8, kernel = 3, stride = 2, padding = 1, output-padding = 1, groups = 2, norm = { name = "group", groups = 4 }, activation = "relu" },
            { lrn = 5, k = 2 },
            { upsample = [1, 2], mode = "bilinear" },
            { group-norm = 2, affine = false },
            { adaptive-average-pool = [3, 2] },
            { conv = 4, kernel = 1, norm = "instance" },
            { conv = 4, kernel = 3, padding = 2, dilation = 2, groups = 4, norm = "rms" },
            { upsample = 2 },
            "flatten",
            { linear = 2 },
        ]
        "#,
    );
    expect(
        &graph,
        &[
            ("deconv1", "conv-transpose + group-norm + relu + lrn"),
            ("up1", "upsample + group-norm"),
            ("pool1", "adaptive-average-pool"),
            ("conv1", "conv + instance-norm"),
            ("conv2", "conv + rms-norm"),
            ("up2", "upsample"),
            ("fc1", "linear"),
        ],
    );
    let weights = parameters(&graph);
    for (name, shape) in [
        ("deconv1.weight", vec![4, 4, 3, 3]),
        ("deconv1.bias", vec![8]),
        ("deconv1.norm.weight", vec![8]),
        ("conv2.norm.weight", vec![4, 3, 2]),
        ("fc1.weight", vec![2, 96]),
    ] {
        assert!(
            weights.contains(&(name.to_owned(), shape)),
            "{name} of {weights:?}"
        );
    }
    let trained = |name: &str| {
        let mut all = graph.parameters().iter();
        all.any(|parameter| parameter.name == name && parameter.trainable)
    };
    assert!(trained("deconv1.norm.bias"));
    assert!(!trained("up1.norm.weight") && !trained("conv1.norm.weight"));
}

#[test]
fn mistakes_in_these_layers_are_named() {
    let (message, _) = blamed("input = [6, 8, 8]\nlayers = [{ group-norm = 4 }]");
    assert!(
        message.contains("num_groups is 4, expected a divisor of the 6 channels"),
        "{message}"
    );
    let (message, _) =
        blamed("input = [6, 8, 8]\nlayers = [{ conv-transpose = 4, kernel = 3, groups = 4 }]");
    assert!(
        message.contains(
            "conv-transpose layer `deconv1`: groups = 4 does not divide 6 input and 4 output"
        ),
        "{message}"
    );
    let (message, _) = blamed("input = [6]\nlayers = [{ upsample = 2 }]");
    assert!(
        message.contains("expected rows of shape [channels, height, width]"),
        "{message}"
    );
    let (message, _) = blamed("input = [6]\nlayers = [{ linear = 4, norm = \"group\" }]");
    assert!(
        message.contains("a group norm with its groups"),
        "{message}"
    );
    let (message, _) = blamed("input = [6, 8, 8]\nlayers = [{ upsample = 2, mode = \"cubic\" }]");
    assert!(
        message.contains("`nearest`, `bilinear` or `bicubic`"),
        "{message}"
    );
}

#[test]
fn a_projection_may_be_normalised() {
    let graph = graph(
        "input = [3, 8, 8]\nlayers = [{ residual = [{ conv = 4, kernel = 3, stride = 2, \
         padding = 1 }], shortcut = \"projection\", norm = \"batch\" }]",
    );
    let weights = parameters(&graph);
    assert!(weights.contains(&("block1.shortcut.norm.weight".into(), vec![4])));
}
