//! Jacobians: the way back against the way forward and against whole runs, layers against the whole,
//! the largest singular values against a dense matrix's. (Random networks against theory:
//! `isometry.rs`.)

use gradprobe::check::{JacobianRequest, jacobians};
use gradprobe::graph::{Graph, ParameterData};
use gradprobe::import::Subject;
use gradprobe::import::spec::{Network, Specification};
use gradprobe::measure::{JacobianOptions, JacobianRun, Jacobians, jacobian};
use gradprobe::num::Tensor;
use gradprobe::run::{Executor, Options};

fn network(text: &str) -> Network {
    Network::new(Specification::parse(text).unwrap()).unwrap()
}

fn measured(text: &str, request: &JacobianRequest) -> Jacobians {
    jacobians(&network(text), request, 0, &mut |_| ()).unwrap()
}

const WHOLE: JacobianRequest = JacobianRequest {
    samples: 1,
    largest: 5,
    layers: false,
};

/// Networks of every kind of op that signals pass, small, in f64.
fn zoo() -> Vec<(&'static str, String)> {
    let with = |layers: &str, rest: &str| {
        format!("batch = 3\ndtype = \"f64\"\nlayers = [{layers}]\n{rest}")
    };
    let vector = "[input]\nshape = [6]\nvalues = \"normal\"\n";
    let image = "[input]\nshape = [2, 8, 8]\nvalues = \"normal\"\n";
    let sequence = "[input]\nshape = [5, 8]\nvalues = \"normal\"\n";
    vec![
        (
            "perceptron",
            with(
                "{ linear = 9, activation = \"tanh\" }, { linear = 7, activation = \"gelu\" }, { linear = 4 }",
                vector,
            ),
        ),
        (
            "residual",
            with(
                "{ linear = 6 }, { residual = [{ linear = 9, activation = \"silu\" }, { linear = 6 }] }, { linear = 3 }",
                vector,
            ),
        ),
        (
            "batch norm",
            with(
                "{ linear = 7, norm = \"batch\", activation = \"tanh\" }, { linear = 5 }",
                vector,
            ),
        ),
        (
            "batch norm in inference",
            // Three channels, three samples: what is a channel's must not be taken for a sample's.
            format!(
                "mode = \"eval\"\n{}",
                with(
                    "{ linear = 3, norm = \"batch\", activation = \"tanh\" }, { linear = 5 }",
                    vector
                )
            ),
        ),
        (
            "layer norm",
            with(
                "{ linear = 7, norm = \"layer\", activation = \"mish\" }, { linear = 5 }",
                vector,
            ),
        ),
        (
            "dropout",
            with(
                "{ linear = 9, activation = \"tanh\" }, { dropout = 0.4 }, { linear = 5 }",
                vector,
            ),
        ),
        (
            "convolutions",
            with(
                "{ conv = 4, kernel = 3, padding = 1, activation = \"tanh\" }, { average-pool = 2 }, { conv = 3, kernel = 3, activation = \"softplus\" }, \"flatten\", { linear = 4 }",
                image,
            ),
        ),
        (
            "attention",
            with(
                "{ residual = [\"layer-norm\", { attention = 2, causal = true }] }, { linear = 3 }",
                sequence,
            ),
        ),
        ("lstm", with("{ lstm = 4 }, { linear = 2 }", sequence)),
    ]
}

/// The Jacobian at a sample by pulling unit vectors back, and by pushing unit vectors forward.
fn both_ways(
    graph: &Graph,
    inputs: &[Tensor<f64>],
    options: Options,
) -> (Vec<f64>, Vec<f64>, bool) {
    let mut executor = Executor::<f64>::new(graph, options).unwrap();
    let at = executor.linearise(inputs).unwrap();
    let stretch = at.stretch(graph.inputs()[0], graph.output()).unwrap();
    let (rows, columns) = at.extents(&stretch);
    let identity = |n: usize| -> Vec<f64> {
        (0..n * n)
            .map(|i| f64::from(u8::from(i / n == i % n)))
            .collect()
    };
    let sample = 1;
    let back = at.pull_back(&stretch, sample, &identity(rows)).unwrap();
    let forward = at
        .push_forward(&stretch, sample, &identity(columns))
        .unwrap();
    let scale = |exponent: i64| f64::exp2(exponent as f64);
    let back_data = back.tensor.data().iter().map(|x| x * scale(back.exponent));
    let back_data: Vec<f64> = back_data.collect();
    let transposed = |i: usize| forward.tensor.data()[(i % columns) * rows + i / columns];
    let forward_data = (0..rows * columns).map(|i| transposed(i) * scale(forward.exponent));
    (back_data, forward_data.collect(), stretch.by_sample())
}

fn options(network: &Network) -> Options {
    Options {
        mode: network.mode(),
        threads: 1,
        seed: 0,
        ..Options::default()
    }
}

#[test]
fn the_way_back_is_the_transpose_of_the_way_forward() {
    for (name, text) in zoo() {
        let network = network(&text);
        let graph = network.build(0).unwrap();
        let batch = network.batch(0).unwrap();
        let (back, forward, by_sample) = both_ways(&graph, &batch, options(&network));
        assert_eq!(
            by_sample,
            !["batch norm", "dropout", "lstm"].contains(&name),
            "{name}"
        );
        let largest = back.iter().fold(0.0f64, |a, b| a.max(b.abs()));
        assert!(largest > 1e-3, "{name}");
        for (back, forward) in back.iter().zip(&forward) {
            assert!(
                (back - forward).abs() < 1e-8 * largest,
                "{name}: {back} {forward}"
            );
        }
    }
}

#[test]
fn the_way_back_is_the_derivative_of_the_output() {
    // By central differences of whole runs, which know nothing of stretches and lanes.
    for (name, text) in zoo() {
        let network = network(&text);
        let graph = network.build(0).unwrap();
        let batch = network.batch(0).unwrap();
        let (back, _, by_sample) = both_ways(&graph, &batch, options(&network));
        let sample = 1;
        let output = |column: usize, step: f64| {
            let mut moved = batch.clone();
            let row = moved[0].data().len() / network.batch_size();
            let at = if by_sample {
                sample * row + column
            } else {
                column
            };
            moved[0].data_mut()[at] += step;
            let mut executor = Executor::<f64>::new(&graph, options(&network)).unwrap();
            executor.run(&moved).unwrap();
            let output = executor.output(&moved);
            let rows = output.data().len() / network.batch_size();
            match by_sample {
                true => output.data()[sample * rows..][..rows].to_vec(),
                false => output.data().to_vec(),
            }
        };
        let rows = output(0, 0.0).len();
        let columns = back.len() / rows;
        let largest = back.iter().fold(0.0f64, |a, b| a.max(b.abs()));
        // A few columns, for each takes two runs.
        for column in (0..columns).step_by(columns.div_ceil(8)) {
            let h = 1e-5;
            let (above, below) = (output(column, h), output(column, -h));
            for row in 0..rows {
                let expected = (above[row] - below[row]) / (2.0 * h);
                let got = back[row * columns + column];
                assert!(
                    (got - expected).abs() < 1e-8 * largest,
                    "{name}: {got} {expected}"
                );
            }
        }
    }
}

#[test]
fn the_bits_do_not_depend_on_the_threads() {
    let text = "layers = [{ linear = 90, activation = \"tanh\" }, { linear = 70 }]\n\
                batch = 2\n[input]\nshape = [80]\nvalues = \"normal\"\n";
    let one = jacobians(&network(text), &WHOLE, 1, &mut |_| ()).unwrap();
    let two = jacobians(&network(text), &WHOLE, 2, &mut |_| ()).unwrap();
    assert_eq!(one, two);
}

#[test]
fn layers_are_measured_and_multiply_to_the_whole() {
    let text = "seeds = 2\nbatch = 2\ndtype = \"f64\"\n\
                layers = [{ repeat = 3, linear = 5, activation = \"tanh\", name = \"fc\" }]\n\
                [input]\nshape = [5]\nvalues = \"normal\"\n";
    let request = JacobianRequest {
        samples: 2,
        layers: true,
        ..WHOLE
    };
    let measured = measured(text, &request);
    assert_eq!(measured.runs.len(), 4);
    for run in &measured.runs {
        assert_eq!(run.layers.len(), 3);
        // |det| is the product of the singular values.
        let log_determinant = |spectrum: &gradprobe::measure::Spectrum| -> f64 {
            spectrum
                .log10_singular_values
                .iter()
                .map(|value| value.unwrap())
                .sum()
        };
        let product: f64 = run
            .layers
            .iter()
            .map(|layer| log_determinant(&layer.spectrum))
            .sum();
        assert!((product - log_determinant(&run.end_to_end)).abs() < 1e-9);
    }
    let samples: Vec<_> = measured
        .runs
        .iter()
        .map(|run| (run.seed, run.sample))
        .collect();
    assert_eq!(
        samples,
        [(0, Some(0)), (0, Some(1)), (1, Some(0)), (1, Some(1))]
    );
}

#[test]
fn a_vanishing_jacobian_has_its_true_size_in_single_precision() {
    // 400 layers of a quarter each: 10^-241, far below f32.
    let text = "batch = 1\nlayers = [{ repeat = 400, linear = 4, activation = \"none\" }]\n\
                [input]\nshape = [4]\nvalues = \"normal\"\n[defaults]\ninit = { name = \"orthogonal\", gain = 0.25 }\n";
    let run = &measured(text, &WHOLE).runs[0];
    for value in &run.end_to_end.log10_singular_values {
        let expected = 400.0 * f64::log10(0.25);
        assert!(
            (value.unwrap() - expected).abs() < 1e-3,
            "{value:?} {expected}"
        );
    }
}

#[test]
fn the_largest_values_of_a_large_jacobian_are_those_of_the_whole() {
    // 2 × 28 × 28 in and out is too large to write down; its dense Jacobian is made here.
    let text = "batch = 1\ndtype = \"f64\"\nlayers = [{ conv = 2, kernel = 5, padding = 2, activation = \"tanh\" }, { conv = 2, kernel = 3, padding = 1 }]\n\
                [input]\nshape = [2, 28, 28]\nvalues = \"normal\"\n";
    let network = network(text);
    let (graph, batch) = (network.build(0).unwrap(), network.batch(0).unwrap());
    let mut executor = Executor::<f64>::new(&graph, options(&network)).unwrap();
    let at = executor.linearise(&batch).unwrap();
    let stretch = at.stretch(graph.inputs()[0], graph.output()).unwrap();
    let (rows, columns) = at.extents(&stretch);
    let mut dense: Vec<f64> = Vec::with_capacity(rows * columns);
    for row in 0..rows {
        let mut unit = vec![0.0; rows];
        unit[row] = 1.0;
        let pulled = at.pull_back(&stretch, 0, &unit).unwrap();
        let scale = f64::exp2(pulled.exponent as f64);
        dense.extend(pulled.tensor.data().iter().map(|x| x * scale));
    }
    let options = JacobianOptions {
        largest: 5,
        layers: false,
        sample: 0,
        seed: 0,
        theory: false,
    };
    let found = jacobian(&graph, &at, &options).unwrap().end_to_end;
    assert!(!found.complete);
    assert_eq!(found.errors.len(), 5);
    // The sum of squares, and the largest value by the dense matrix's own power iteration.
    let squares: f64 = dense.iter().map(|x| x * x).sum();
    let rms = (squares / rows as f64).sqrt();
    assert!((10f64.powf(found.log10_rms.unwrap()) / rms - 1.0).abs() < 0.1);
    let mut v = vec![1.0; columns];
    let mut largest = 0.0;
    for _ in 0..300 {
        let u: Vec<f64> = dense
            .chunks(columns)
            .map(|row| row.iter().zip(&v).map(|(a, b)| a * b).sum())
            .collect();
        v.fill(0.0);
        for (row, u) in dense.chunks(columns).zip(u) {
            v.iter_mut().zip(row).for_each(|(v, x)| *v += u * x);
        }
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        largest = norm.sqrt();
        v.iter_mut().for_each(|x| *x /= norm);
    }
    let value = 10f64.powf(found.log10_largest().unwrap());
    assert!((value / largest - 1.0).abs() < 0.01, "{value} {largest}");
}

#[test]
fn what_has_no_jacobian_says_so() {
    let text = "batch = 1\nlayers = [{ linear = 3, activation = \"none\" }, { linear = 3, activation = \"none\" }]\n\
                [input]\nshape = [3]\nvalues = \"normal\"\n";
    let network = network(text);
    let mut graph = network.build(0).unwrap();
    let nan = Tensor::new(gradprobe::num::Shape::from([3, 3]), vec![f32::NAN; 9]);
    graph.set_parameter(0, ParameterData::F32(std::sync::Arc::new(nan)));
    let batch: Vec<Tensor<f32>> = network.batch(0).unwrap().iter().map(Tensor::cast).collect();
    let mut executor = Executor::<f32>::new(&graph, options(&network)).unwrap();
    let at = executor.linearise(&batch).unwrap();
    let options = JacobianOptions {
        largest: 5,
        layers: true,
        sample: 0,
        seed: 0,
        theory: false,
    };
    let error = jacobian(&graph, &at, &options).unwrap_err();
    assert!(error.to_string().contains("infinite or NaN"), "{error}");
    // Relative to itself there is nothing to differentiate.
    assert!(at.stretch(graph.output(), graph.output()).is_none());
    assert!(at.stretch(graph.output(), graph.inputs()[0]).is_none());
}

/// The middle over the runs.
fn middle(jacobians: &Jacobians, of: impl Fn(&JacobianRun) -> f64) -> f64 {
    let mut values: Vec<f64> = jacobians.runs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn theory_stands_beside_freshly_drawn_dense_layers_whatever_their_widths() {
    let request = JacobianRequest {
        layers: true,
        ..WHOLE
    };
    for (init, activation, orthogonal) in [
        ("xavier-normal", "tanh", false),
        ("he-uniform", "relu", false),
        ("orthogonal", "relu", true),
        ("orthogonal", "tanh", true),
    ] {
        let text = format!(
            "seeds = 5\nlayers = [{{ linear = 200 }}, {{ repeat = 4, linear = 300 }}, {{ linear = 100 }}]\n\
             [input]\nshape = [150]\nvalues = \"normal\"\n\
             [defaults]\ninit = \"{init}\"\nactivation = \"{activation}\"\n"
        );
        let found = measured(&text, &request);
        assert_eq!(found.runs.len(), 5);
        let theory = |run: &JacobianRun| run.theory.clone().expect("dense layers");
        assert!(
            found
                .runs
                .iter()
                .all(|run| theory(run).orthogonal == orthogonal)
        );
        // A tenth for the edge, which a finite width brings in.
        let close = |what: &str, predicted: f64, got: f64, tolerance: f64| {
            let off = (predicted / got).ln().abs();
            assert!(
                off < tolerance,
                "{init} {activation} {what}: {predicted} {got}"
            );
        };
        let ten = |log10: f64| 10f64.powf(log10);
        close(
            "root mean square",
            middle(&found, |run| ten(theory(run).log10_rms)),
            middle(&found, |run| ten(run.end_to_end.log10_rms.unwrap())),
            0.05,
        );
        close(
            "largest",
            middle(&found, |run| ten(theory(run).log10_largest)),
            middle(&found, |run| ten(run.end_to_end.log10_largest().unwrap())),
            0.15,
        );
        close(
            "isometry",
            middle(&found, |run| theory(run).isometry),
            middle(&found, |run| run.end_to_end.isometry.unwrap()),
            0.1,
        );
        for run in &found.runs {
            for layer in &run.layers {
                let theory = layer.theory.as_ref().expect("a dense layer");
                let largest = layer.spectrum.log10_largest().unwrap();
                close(&layer.name, ten(theory.log10_largest), ten(largest), 0.1);
            }
        }
    }
}

#[test]
fn where_no_theory_is_known_it_is_silent_and_says_why() {
    for (layers, why) in [
        (
            "{ conv = 2, kernel = 3 }, { flatten = true }, { linear = 3 }",
            "Conv",
        ),
        (
            "{ flatten = true }, { linear = 20, norm = \"layer\" }, { linear = 3 }",
            "LayerNormalization",
        ),
        (
            "{ flatten = true }, { linear = 20, init = { name = \"constant\", value = 0.1 } }, { linear = 3 }",
            "are not independent",
        ),
    ] {
        let text =
            format!("layers = [{layers}]\n[input]\nshape = [1, 6, 6]\nvalues = \"normal\"\n");
        let found = measured(&text, &WHOLE);
        assert_eq!(found.runs[0].theory, None);
        let said = found.runs[0].theory_silent.as_deref().unwrap();
        assert!(said.contains(why), "{said}");
    }
}
