//! Layers of sequence models.

use super::*;

const IDS: &str = "[input]\nshape = [6]\nvalues = \"ids\"";

fn with_layers(layers: &str) -> String {
    format!("batch = 3\nlayers = [{layers}]\n{IDS}")
}

#[test]
fn recurrent_layers_have_the_shapes_of_onnx_and_names_of_pytorch() {
    let text = "{ embedding = 4, vocabulary = 9 }, { lstm = 5, layers = 2, bidirectional = true }, \
                { gru = 2, bias = false }, { rnn = 3, activation = \"relu\", name = \"last\" }";
    let graph = graph(&with_layers(text));
    let expected = [
        ("emb1.weight", vec![9, 4]),
        ("lstm1.weight_ih", vec![2, 20, 4]),
        ("lstm1.weight_hh", vec![2, 20, 5]),
        ("lstm1.bias", vec![2, 40]),
        ("lstm2.weight_ih", vec![2, 20, 10]),
        ("lstm2.weight_hh", vec![2, 20, 5]),
        ("lstm2.bias", vec![2, 40]),
        ("gru1.weight_ih", vec![1, 6, 10]),
        ("gru1.weight_hh", vec![1, 6, 2]),
        ("last.weight_ih", vec![1, 3, 2]),
        ("last.weight_hh", vec![1, 3, 3]),
        ("last.bias", vec![1, 6]),
    ];
    let expected = expected.map(|(name, shape)| (name.to_owned(), shape));
    assert_eq!(parameters(&graph), expected);
    assert_eq!(graph.value(graph.output()).shape[..], [3, 6, 3]);
    assert_eq!(layers(&graph)[1].1, "lstm + bidirectional");
    // PyTorch's default: 1/√hidden for every parameter.
    for name in ["weight_ih", "weight_hh", "bias"] {
        let numbers = numbers(&graph, &format!("lstm1.{name}"));
        let largest = numbers.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        let bound = 1.0 / 5f64.sqrt();
        assert!(
            largest < bound && largest > 0.8 * bound,
            "{name}: {largest}"
        );
    }
}

#[test]
fn the_forget_gates_bias_is_what_was_asked_for_and_each_gate_is_orthogonal_by_itself() {
    let text = "{ embedding = 4, vocabulary = 9 }, \
                { lstm = 3, forget-bias = 2, recurrent-init = \"orthogonal\" }";
    let graph = graph(&with_layers(text));
    let bias = numbers(&graph, "lstm1.bias");
    assert_eq!(bias[6..9], [2.0; 3]);
    assert_eq!(bias[18..21], [0.0; 3]);
    assert!(
        bias[0..6]
            .iter()
            .all(|&bias| bias != 0.0 && bias.abs() < 1.0)
    );
    let weight = numbers(&graph, "lstm1.weight_hh");
    for gate in weight.chunks_exact(9) {
        for row in gate.chunks_exact(3) {
            assert!((row.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-6);
        }
    }
}

#[test]
fn every_token_has_a_class_and_softmax_is_over_the_classes() {
    let text = "{ embedding = 4, vocabulary = 9 }, { linear = 7 }, \"log-softmax\"";
    let network = network(&format!(
        "{}\n[loss]\nname = \"cross-entropy\"",
        with_layers(text)
    ));
    let graph = network.build(0).expect("builds");
    let batch = network.batch(0).expect("drawn");
    assert_eq!(batch[0].shape()[..], [3, 6]);
    assert!(batch[0].data().iter().all(|&id| (0.0..9.0).contains(&id)));
    assert_eq!(batch[1].shape()[..], [18]);
    assert!(batch[1].data().iter().all(|&class| class < 7.0));
    let softmax = graph
        .nodes()
        .iter()
        .find(|node| node.op.name() == "LogSoftmax");
    let op = format!("{:?}", softmax.expect("one").op);
    assert!(op.contains("axis: 2"), "{op}");
}

#[test]
fn transposing_gating_and_tying_fit_together() {
    let text = "{ embedding = 8, vocabulary = 9, name = \"tokens\" }, \"positional-embedding\", \
                { transpose = true }, { transpose = [2, 1] }, { linear = 32 }, \
                { glu = \"geglu\" }, { linear = 8 }, { linear = 9, tied = \"tokens\" }";
    let graph = graph(&with_layers(text));
    let names: Vec<String> = parameters(&graph)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert!(names.contains(&"tokens.position".to_owned()));
    assert!(names.contains(&"fc3.bias".to_owned()) && !names.contains(&"fc3.weight".to_owned()));
}

#[test]
fn what_does_not_fit_a_sequence_is_said() {
    let cases = [
        (
            "{ embedding = 4, vocabulary = 5 }, \"flatten\", { lstm = 4 }",
            "lstm layer `lstm1`: expected rows of shape [time, features], got [24]",
        ),
        (
            "{ embedding = 6, vocabulary = 5 }, { attention = 4 }",
            "attention layer `attn1`: 4 heads do not divide 6 features",
        ),
        (
            "{ embedding = 6, vocabulary = 5 }, { attention = 3, kv-heads = 2 }",
            "attention layer `attn1`: kv-heads = 2 does not divide 3 heads",
        ),
        (
            "{ embedding = 6, vocabulary = 5 }, { linear = 4, tied = \"emb1\" }",
            "linear layer `fc1` needs a weight of shape [4, 6], the table of `emb1` is [5, 6]",
        ),
        (
            "{ embedding = 6, vocabulary = 5 }, { linear = 5, tied = \"tokens\" }",
            "`tied`: there is no embedding `tokens` before it; expected `emb1`",
        ),
        (
            "{ embedding = 6 }",
            "layers[0] needs `vocabulary`: how many tokens there are",
        ),
        (
            "{ embedding = 6, vocabulary = 5 }, { gru = 4, layers = 2, unroll = true }",
            "`unroll`: expected one layer in one direction, got `true`",
        ),
        ("{ linear = 4 }", "`ids` needs a vocabulary"),
    ];
    for (layers, message) in cases {
        let got = error(&with_layers(layers)).to_string();
        assert!(got.contains(message), "{got}");
    }
    let not_ids = "layers = [{ embedding = 2, vocabulary = 5 }]\ninput = 6";
    let got = error(not_ids).to_string();
    assert!(got.contains("its input is not token ids below 5"), "{got}");
}

#[test]
fn a_sequence_too_large_for_any_memory_is_refused_before_it_is_made() {
    let huge = 1u64 << 40;
    for layers in [
        format!("{{ embedding = {huge}, vocabulary = 5 }}"),
        format!("{{ embedding = 2, vocabulary = 5 }}, {{ lstm = {huge} }}"),
        format!("{{ embedding = 2, vocabulary = 5 }}, {{ gru = {huge}, bidirectional = true }}"),
        format!("{{ embedding = 2, vocabulary = 5 }}, {{ rnn = {huge}, unroll = true }}"),
    ] {
        let got = error(&with_layers(&layers));
        assert_eq!(got.kind, SpecErrorKind::TooLarge, "{got}");
    }
    let long = "layers = [{ attention = 1 }]\n[input]\nshape = [1000000, 2]";
    assert_eq!(error(long).kind, SpecErrorKind::TooLarge);
}
