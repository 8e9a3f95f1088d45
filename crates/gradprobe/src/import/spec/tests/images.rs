//! Networks on images.

use super::*;

#[test]
fn convolutions_pools_and_flattening_fit_each_other() {
    let graph = graph(
        r#"
        input = [3, 16, 16]
        layers = [
            { conv = 8, kernel = 3, padding = "same", norm = "batch", activation = "relu" },
            { max-pool = 2 },
            { residual = [{ conv = 8, kernel = 3, padding = 1 }, "relu"] },
            "relu",
            { name = "down", residual = [{ name = "body", conv = 16, kernel = 1, stride = 2, bias = false }], shortcut = "projection" },
            "flatten",
            { name = "hidden", repeat = 2, linear = 32, activation = "tanh" },
            { linear = 10 },
            "layer-norm",
            "softmax",
        ]
        "#,
    );
    let expected = [
        ("conv1", "conv + batch-norm + relu"),
        ("pool1", "max-pool"),
        ("block1.conv1", "conv + relu"),
        ("block1", "residual + relu"),
        ("down.body", "conv"),
        ("down.shortcut", "conv"),
        ("down", "residual"),
        ("hidden1", "linear + tanh"),
        ("hidden2", "linear + tanh"),
        ("fc1", "linear + layer-norm + softmax"),
    ];
    let expected: Vec<_> = expected
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .into();
    assert_eq!(layers(&graph), expected);
    let expected: Vec<(&str, &[usize])> = vec![
        ("conv1.weight", &[8, 3, 3, 3]),
        ("conv1.bias", &[8]),
        ("conv1.norm.weight", &[8]),
        ("conv1.norm.bias", &[8]),
        ("conv1.norm.running_mean", &[8]),
        ("conv1.norm.running_var", &[8]),
        ("block1.conv1.weight", &[8, 8, 3, 3]),
        ("block1.conv1.bias", &[8]),
        ("down.body.weight", &[16, 8, 1, 1]),
        ("down.shortcut.weight", &[16, 8, 1, 1]),
        ("hidden1.weight", &[32, 256]),
        ("hidden1.bias", &[32]),
        ("hidden2.weight", &[32, 32]),
        ("hidden2.bias", &[32]),
        ("fc1.weight", &[10, 32]),
        ("fc1.bias", &[10]),
        ("fc1.norm.weight", &[10]),
        ("fc1.norm.bias", &[10]),
    ];
    let got = parameters(&graph);
    let got: Vec<(&str, &[usize])> = got
        .iter()
        .map(|(name, shape)| (name.as_str(), &shape[..]))
        .collect();
    assert_eq!(got, expected);
    let sums: Vec<_> = graph
        .nodes()
        .iter()
        .filter(|node| node.role == Role::Residual)
        .collect();
    assert_eq!(sums.len(), 2);
    assert_eq!(
        graph.objective(),
        &Objective::Output(graph.output(), CotangentKind::Random)
    );
    let trained = |name: &str| {
        let found = graph
            .parameters()
            .iter()
            .find(|parameter| parameter.name == name);
        found.is_some_and(|parameter| parameter.trainable)
    };
    assert!(trained("conv1.norm.weight") && !trained("conv1.norm.running_mean"));
}
