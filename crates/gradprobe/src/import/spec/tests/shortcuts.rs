//! The shortcuts of residual blocks, and groups of layers.

use super::*;

fn expect(text: &str, expected: &[(&str, &str)]) -> Graph {
    let graph = graph(text);
    let got = layers(&graph);
    let got: Vec<(&str, &str)> = got
        .iter()
        .map(|(name, kind)| (name.as_str(), kind.as_str()))
        .collect();
    assert_eq!(got, expected);
    graph
}

#[test]
fn a_shortcut_may_be_layers_of_its_own() {
    let graph = expect(
        r#"
        input = [4, 8, 8]
        layers = [
            { residual = [{ conv = 8, kernel = 3, padding = 1, stride = 2 }],
              shortcut = [{ conv = 8, kernel = 1, stride = 2, bias = false, norm = "batch" }] },
            "relu",
            { residual = [{ conv = 16, kernel = 2, stride = 2 }],
              shortcut = [{ average-pool = 2 }, { conv = 16, kernel = 1 }] },
            { residual = [{ conv = 16, kernel = 1 }], shortcut = ["relu"] },
        ]
        "#,
        &[
            ("block1.conv1", "conv"),
            ("block1.shortcut", "conv + batch-norm"),
            ("block1", "residual + relu"),
            ("block2.conv1", "conv"),
            ("block2.shortcut.pool1", "average-pool"),
            ("block2.shortcut.conv1", "conv"),
            ("block2", "residual"),
            ("block3.conv1", "conv"),
            ("block3.shortcut", "relu"),
            ("block3", "residual"),
        ],
    );
    let weights = parameters(&graph);
    assert!(weights.contains(&("block1.shortcut.norm.weight".into(), vec![8])));
    assert!(
        !weights
            .iter()
            .any(|(name, _)| name == "block1.shortcut.bias")
    );
}

#[test]
fn a_padded_shortcut_takes_every_second_pixel_and_adds_channels_of_zeros() {
    let text = r#"
        input = [2, 4, 4]
        layers = [
            { residual = [{ conv = 3, kernel = 1, stride = 2, init = "zeros", bias = false }],
              shortcut = "pad" },
        ]
        "#;
    let graph = expect(
        text,
        &[
            ("block1.conv1", "conv"),
            ("block1.shortcut", "pad"),
            ("block1", "residual"),
        ],
    );
    assert_eq!(parameters(&graph).len(), 1);
    let ops: Vec<&str> = graph
        .nodes()
        .iter()
        .map(|node| node.name.as_str())
        .collect();
    let expected = [
        "block1.conv1.conv",
        "block1.shortcut.slice",
        "block1.shortcut.pad",
        "block1.add",
    ];
    assert_eq!(ops, expected);
    assert_eq!(graph.value(graph.output()).shape[1..], [3, 2, 2]);
}

#[test]
fn shortcuts_that_do_not_fit_are_refused() {
    let (message, _) = blamed(
        "input = [2, 4, 4]\nlayers = [{ residual = [{ conv = 1, kernel = 1 }], shortcut = \"pad\" }]",
    );
    assert!(
        message.contains("begins with rows of shape [2, 4, 4], its branch ends with [1, 4, 4]"),
        "{message}"
    );
    assert!(message.contains("have no fewer channels"), "{message}");
    let (message, _) = blamed(
        "input = [4]\nlayers = [{ residual = [{ linear = 2 }], shortcut = [{ linear = 3 }] }]",
    );
    assert!(
        message.contains("its shortcut ends with rows of shape [3], its branch with [2]"),
        "{message}"
    );
    let (message, piece) =
        blamed("input = [4]\nlayers = [{ residual = [{ linear = 4 }], shortcut = 3 }]");
    assert!(message.contains("or a list of layers"), "{message}");
    assert_eq!(piece, "3");
    let (message, _) =
        blamed("input = [4]\nlayers = [{ residual = [{ linear = 4 }], shortcut = \"pads\" }]");
    assert!(message.contains("did you mean `pad`"), "{message}");
    let (message, _) = blamed(
        "input = [4]\nlayers = [{ residual = [{ linear = 4 }], shortcut = [{ block = \"x\" }] }]",
    );
    assert!(message.contains("there is no block `x`"), "{message}");
}

#[test]
fn a_group_is_its_layers_under_its_name() {
    expect(
        r#"
        input = [4]
        layers = [
            { name = "stem", layers = [{ linear = 8 }, "tanh"] },
            { layers = [{ linear = 8 }] },
            { name = "stage1", repeat = 2, layers = [{ linear = 8 }] },
            { name = "fc2", repeat = 2, linear = 8 },
        ]
        "#,
        &[
            ("stem.fc1", "linear + tanh"),
            ("fc1", "linear"),
            ("stage1.1.fc1", "linear"),
            ("stage1.2.fc1", "linear"),
            ("fc2.1", "linear"),
            ("fc2.2", "linear"),
        ],
    );
    let (message, _) = blamed(
        "input = [4]\nlayers = [{ name = \"a\", layers = [\"tanh\"] }, { name = \"a\", layers = [\"tanh\"] }]",
    );
    assert!(message.contains("the name `a` is used twice"), "{message}");
}

#[test]
fn the_projection_after_attention_may_be_drawn_otherwise() {
    let text = "input = { shape = [3], values = \"ids\" }\nlayers = [{ embedding = 4, vocabulary = 5 }, { attention = 2, init = \"ones\", output-init = { name = \"constant\", value = 3 } }]";
    let graph = graph(text);
    assert_eq!(numbers(&graph, "attn1.v.weight"), [1.0; 16]);
    assert_eq!(numbers(&graph, "attn1.o.weight"), [3.0; 16]);
}
