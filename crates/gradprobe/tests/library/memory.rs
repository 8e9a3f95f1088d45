//! Promises of the executor about memory: what no later step reads is not held, checkpoints save
//! memory, and neither changes a bit of the result.

use gradprobe::import::spec::{Network, Specification};
use gradprobe::num::Tensor;
use gradprobe::run::{Checkpoint, Executor, Options};

fn network(text: &str) -> Network {
    Network::new(Specification::parse(text).unwrap()).unwrap()
}

/// What a run measures, as text that tells every float apart, with the gradients themselves if
/// `gradients`; and the bytes of its signals.
fn run(
    network: &Network,
    checkpoint: Checkpoint,
    threads: usize,
    gradients: bool,
) -> (String, usize) {
    let graph = network.build(3).unwrap();
    let inputs: Vec<Tensor<f32>> = network.batch(3).unwrap().iter().map(Tensor::cast).collect();
    let options = Options {
        checkpoint,
        threads,
        keep_gradients: gradients,
        input_gradients: gradients,
        seed: 3,
        ..Options::default()
    };
    let mut executor = Executor::new(&graph, options).unwrap();
    let first = format!("{:?}", executor.run(&inputs).unwrap());
    let output = format!("{:?}", executor.output(&inputs));
    let bytes = executor.signal_bytes();
    // Buffers that hold what was left there change nothing, and hardly more of them are needed.
    assert!(format!("{:?}", executor.run(&inputs).unwrap()) == first);
    assert!(executor.signal_bytes() < bytes + bytes / 8);
    (first + &output, bytes)
}

/// BatchNorm mixes samples, so every layer is a stage of its own.
const CONVOLUTIONAL: &str = r#"
batch = 6
layers = [
  { conv = 8, kernel = 3, padding = 1, norm = "batch", activation = "relu" },
  { repeat = 4, residual = [
    { conv = 8, kernel = 3, padding = 1, norm = "batch", activation = "tanh" },
    { dropout = 0.2 },
    { conv = 8, kernel = 3, padding = 1, norm = "batch" },
  ] },
  { max-pool = 2 },
  { conv = 12, kernel = 3, norm = "batch", activation = "gelu" },
  "flatten",
  { linear = 20, norm = "batch", activation = "sigmoid" },
  { linear = 4 },
]
[input]
shape = [3, 12, 12]
[loss]
name = "cross-entropy"
"#;

/// Two signals of 2 MiB a layer: a stage has eight of them at most.
const WIDE: &str = r#"
batch = 4096
layers = [ { repeat = 16, linear = 128, activation = "tanh" }, { linear = 4 } ]
[input]
shape = [16]
[loss]
name = "cross-entropy"
"#;

const SEQUENCE: &str = r#"
batch = 3
layers = [
  { embedding = 16, vocabulary = 16 },
  { repeat = 2, layers = [
    { residual = [ "layer-norm", { attention = 2, causal = true } ] },
    { residual = [ "layer-norm", { linear = 32, activation = "gelu" }, { linear = 16 } ] },
  ] },
  { lstm = 12, unroll = true },
  { linear = 16 },
]
[input]
shape = [10]
values = "ids"
[loss]
name = "cross-entropy"
"#;

#[test]
fn checkpoints_do_not_change_a_bit() {
    for text in [CONVOLUTIONAL, SEQUENCE] {
        let network = network(text);
        let (kept, _) = run(&network, Checkpoint::Off, 1, true);
        let ways = [
            (Checkpoint::Off, 2),
            (Checkpoint::Root, 1),
            (Checkpoint::Root, 2),
            (Checkpoint::Segments(1), 2),
            (Checkpoint::Segments(2), 2),
            (Checkpoint::Segments(3), 1),
            (Checkpoint::Segments(usize::MAX), 2),
        ];
        for (checkpoint, threads) in ways {
            let (again, _) = run(&network, checkpoint, threads, true);
            assert!(again == kept, "{checkpoint:?} on {threads} threads");
        }
    }
}

#[test]
fn a_deep_network_holds_what_is_read_later_and_with_checkpoints_most_of_it_no_more() {
    let network = network(WIDE);
    let layer = 4096 * 128 * size_of::<f32>();
    let (kept, all) = run(&network, Checkpoint::Off, 2, false);
    // Of each layer the pull-backs read both signals; cotangents are held for a stage at a time.
    assert!((32 * layer..48 * layer).contains(&all), "{all}");
    let (again, few) = run(&network, Checkpoint::Root, 2, false);
    assert!(again == kept);
    assert!(10 * few < 7 * all, "{few} of {all} bytes");
}
