use super::*;
use crate::num::{Stream, Tensor};
use crate::ops::activation::parse;
use crate::run::{Executor, Options};
use std::sync::Mutex;

fn settings() -> GridSettings {
    GridSettings {
        activation: "tanh".into(),
        points: [3, 2],
        largest_sigma_w: 3.0,
        largest_sigma_b: 0.6,
        depth: 6,
        width: 24,
        batch: 3,
        networks: 2,
    }
}

fn runs(settings: &GridSettings, finished: &[GridRun], threads: usize) -> Vec<GridRun> {
    let activation = parse(&settings.activation).expect("known");
    let found = Mutex::new(finished.to_vec());
    let stop = AtomicBool::new(false);
    measure_grid(settings, &activation, finished, threads, &stop, &|runs| {
        found.lock().expect("nobody panics").extend(runs);
    })
    .expect("it fits");
    let mut runs = found.into_inner().expect("nobody panics");
    runs.sort_by_key(|run| (run.network, run.point));
    runs
}

/// The engine's gradients of the same network.
fn by_the_engine(settings: &GridSettings, run: &GridRun) -> Vec<f64> {
    let (sigma_w, sigma_b) = settings.point(run.point);
    let experiment = Experiment {
        name: String::new(),
        activation: parse(&settings.activation).expect("known"),
        weights: WeightVariance::from_sigma_w(sigma_w),
        biases: BiasVariance::from_sigma_b(sigma_b),
        ensemble: WeightEnsemble::Gaussian,
        normalisation: Normalisation::None,
        depth: settings.depth,
        width: settings.width,
        batch: settings.batch,
        networks: 1,
        singular_values: false,
    };
    let text = experiment.specification();
    let network = Network::new(Specification::parse(&text).expect("one")).expect("one");
    let seed = run.network as u64;
    let graph = network.build(seed).expect("it fits");
    let mut x = Tensor::<f32>::zeros([settings.batch, settings.width]);
    Stream::new(seed, "x").fill_normal(0.0, 1.0, x.data_mut());
    let options = Options {
        threads: 1,
        seed,
        ..Options::default()
    };
    let mut executor = Executor::<f32>::new(&graph, options).expect("a thread");
    let trace = executor.run(&[x]).expect("it runs").trace;
    let of_weight = |(index, parameter): (usize, &crate::graph::Parameter)| {
        parameter
            .name
            .ends_with(".weight")
            .then(|| trace.parameters[index].gradient.expect("one").l2().log10())
    };
    let parameters = graph.parameters().iter().enumerate();
    parameters.filter_map(of_weight).collect()
}

#[test]
fn every_layers_gradient_is_the_engines() {
    for activation in ["tanh", "relu", "gelu"] {
        let settings = GridSettings {
            activation: activation.into(),
            ..settings()
        };
        for run in runs(&settings, &[], 2) {
            let engine = by_the_engine(&settings, &run);
            assert_eq!(engine.len(), settings.depth);
            for (own, engine) in run.log10_gradient_norms.iter().zip(engine) {
                let own = own.expect("a gradient");
                assert!((own - engine).abs() < 1e-4, "{activation}: {own} {engine}");
            }
        }
    }
}

#[test]
fn the_numbers_do_not_depend_on_threads_or_on_what_was_finished_before() {
    let settings = settings();
    let all = runs(&settings, &[], 1);
    assert_eq!(all.len(), settings.run_count());
    assert!(settings.owns(&all));
    assert_eq!(all, runs(&settings, &[], 2));
    let some: Vec<GridRun> = all.iter().step_by(3).cloned().collect();
    assert_eq!(all, runs(&settings, &some, 2));
    // Through a file too.
    let text = serde_json::to_string(&all).expect("JSON");
    assert_eq!(
        all,
        serde_json::from_str::<Vec<GridRun>>(&text).expect("runs")
    );
    let mut twice = all.clone();
    twice.push(all[0].clone());
    assert!(!settings.owns(&twice));
}

#[test]
fn a_gradient_beyond_the_type_is_a_number() {
    let settings = GridSettings {
        points: [1, 1],
        largest_sigma_w: 0.02,
        largest_sigma_b: 0.0,
        depth: 40,
        networks: 1,
        ..settings()
    };
    let run = &runs(&settings, &[], 1)[0];
    // σ_w = 0.01, and nothing saturates: two decades a layer.
    assert!((run.rate.expect("a rate") + 4.0 * LN_10).abs() < 0.2);
    let first = run.log10_gradient_norms[0].expect("a norm");
    assert!((first + 78.0).abs() < 4.0, "{first}");
}

#[test]
fn theory_stands_beside_every_point() {
    let settings = GridSettings {
        width: 64,
        batch: 8,
        depth: 16,
        points: [2, 2],
        ..settings()
    };
    let tanh = parse("tanh").expect("known");
    let found = runs(&settings, &[], 0);
    let diagram = MeasuredDiagram::of(settings, &*tanh, &found, 0).expect("threads");
    for point in diagram.grid {
        let (theory, got) = (point.predicted_rate, point.measured_rate);
        let (theory, got) = (theory.expect("a rate"), got.expect("a rate"));
        assert!((theory - got).abs() < 0.1, "{theory} {got}");
    }
}

#[test]
fn when_it_is_told_to_stop_it_does() {
    let settings = settings();
    let tanh = parse("tanh").expect("known");
    let stop = AtomicBool::new(true);
    let refuse = |_| panic!("nothing was to be run");
    measure_grid(&settings, &tanh, &[], 2, &stop, &refuse).expect("it fits");
}

#[test]
fn what_differs_is_named() {
    let one = settings();
    assert_eq!(one.difference(&one), None);
    let other = GridSettings {
        depth: 7,
        ..settings()
    };
    let words = one.difference(&other).expect("a difference");
    assert_eq!(words, "its depth is 7, not 6");
}
