//! One small network in every way that a file may say it, made by `features.py`: data in another
//! file, half precision, functions, control flow, every version of the operators. All have the
//! gradients of PyTorch; what cannot be run says why.

use gradprobe::check::check;
use gradprobe::import::onnx::{OnnxLoss, OnnxNetwork, OnnxOptions};
use gradprobe::import::spec::Dtype;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/features")
}

/// The models whose names begin with `refused_`, or the others that are one network; by name.
fn models(refused: bool) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut models: Vec<(String, PathBuf)> = paths
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "onnx")
        })
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path))
        .filter(|(name, _)| !name.starts_with("lengths_"))
        .filter(|(name, _)| name.starts_with("refused_") == refused)
        .collect();
    models.sort();
    models
}

fn options() -> OnnxOptions {
    OnnxOptions {
        data: Some(folder().join("data.safetensors")),
        dtype: Dtype::F64,
        ..OnnxOptions::default()
    }
}

fn assert_same(name: &str, what: &str, got: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    let distance = (got - expected).abs();
    assert!(
        distance <= 1e-12 * expected.abs().max(0.1),
        "{name}: {what} is {got}, PyTorch has {expected}"
    );
}

#[test]
fn every_way_to_say_a_network_gives_pytorchs_gradients() {
    let text = std::fs::read_to_string(folder().join("gradients.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    let models = models(false);
    // Two or more forms of every feature, and the opsets from 7 on.
    assert!(models.len() > 30, "{}", models.len());
    for (name, path) in models {
        let network =
            OnnxNetwork::read(&path, &options()).unwrap_or_else(|error| panic!("{error}"));
        let measurement = check(&network, 1, &mut |_| {}).unwrap().measurement;
        let loss = measurement.loss.unwrap().median;
        assert_same(&name, "the loss", loss, &expected["loss"]);
        let layers = measurement.layers.into_iter();
        let got: Vec<_> = layers.flat_map(|layer| layer.median.parameters).collect();
        let parameters = expected["parameters"].as_object().unwrap();
        assert_eq!(got.len(), parameters.len(), "{name}: {got:?}");
        for (parameter, expected) in parameters {
            let got = got.iter().find(|got| got.name == *parameter);
            let got = got.unwrap_or_else(|| panic!("{name} has no {parameter}"));
            assert_same(&name, parameter, got.grad_l2, &expected["l2"]);
            assert_same(&name, parameter, got.grad_mean, &expected["mean"]);
        }
    }
}

#[test]
fn what_cannot_be_run_says_why() {
    let says = [
        (
            "refused_int8",
            "the model is quantised, and rounding has no gradient",
        ),
        (
            "refused_int8_weights",
            "the model is quantised, and rounding has no gradient",
        ),
        (
            "refused_loops",
            "runs more than 500000 nodes of bodies in all",
        ),
    ];
    let models = models(true);
    let names: Vec<&str> = models.iter().map(|(name, _)| &name[..]).collect();
    assert_eq!(names, says.map(|(name, _)| name));
    for ((name, path), (_, says)) in models.iter().zip(says) {
        let error = OnnxNetwork::read(path, &options()).unwrap_err().to_string();
        assert!(error.contains(says), "{name}: {error}");
    }
}

#[test]
fn data_in_another_file_are_asked_for_by_name() {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR")).join("external");
    std::fs::create_dir_all(&temporary).unwrap();
    let model = temporary.join("external.onnx");
    std::fs::copy(folder().join("external.onnx"), &model).unwrap();
    let refusal = || {
        OnnxNetwork::read(&model, &options())
            .unwrap_err()
            .to_string()
    };
    let data = temporary.join("external.bin");
    let _ = std::fs::remove_file(&data);
    let error = refusal();
    assert!(
        error.contains("cannot be read from `external.bin`"),
        "{error}"
    );
    assert!(error.contains("beside the model"), "{error}");
    let whole = std::fs::read(folder().join("external.bin")).unwrap();
    std::fs::write(&data, &whole[..100]).unwrap();
    let error = refusal();
    assert!(
        error.contains("of `external.bin`, which has 100"),
        "{error}"
    );
}

#[test]
fn sequences_end_early_only_where_that_is_asked_for() {
    let lengths = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lengths.npy");
    // Three whole numbers of 32 bits.
    let header = "{'descr': '<i4', 'fortran_order': False, 'shape': (3,), }";
    let header = format!("{header:<117}\n");
    let mut npy = b"\x93NUMPY\x01\x00".to_vec();
    npy.extend((header.len() as u16).to_le_bytes());
    npy.extend(header.as_bytes());
    npy.extend([4i32, 1, 2].iter().flat_map(|length| length.to_le_bytes()));
    std::fs::write(&lengths, npy).unwrap();
    let run = |name: &str, given: Option<&Path>| {
        let inputs = given.map(|path| ("lengths".to_owned(), path.to_path_buf()));
        let options = OnnxOptions {
            inputs: inputs.into_iter().collect(),
            loss: OnnxLoss::Output,
            ..OnnxOptions::default()
        };
        let network = OnnxNetwork::read(&folder().join(name), &options).unwrap();
        let measurement = check(&network, 1, &mut |_| {}).unwrap().measurement;
        let layers = measurement.layers.into_iter();
        let parameters = layers.flat_map(|layer| layer.median.parameters);
        let sizes: Vec<f64> = parameters.map(|parameter| parameter.grad_l2).collect();
        (sizes, measurement.notes)
    };
    let (without, _) = run("lengths_none.onnx", None);
    let (drawn, notes) = run("lengths_input.onnx", None);
    assert_eq!(drawn, without);
    assert!(
        notes[0].contains("`lengths` [3] the whole length"),
        "{notes:?}"
    );
    let (given, _) = run("lengths_input.onnx", Some(&lengths));
    assert_ne!(given, without);
    assert!(
        given.iter().all(|size| size.is_finite() && *size > 0.0),
        "{given:?}"
    );
}
