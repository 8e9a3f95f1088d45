//! What `gradprobe theory` prints, and how it refuses.
#![allow(clippy::unwrap_used, missing_docs)]

use serde_json::Value;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradprobe"));
    for variable in ["COLUMNS", "CLICOLOR_FORCE", "RAYON_NUM_THREADS"] {
        command.env_remove(variable);
    }
    command.arg("theory").args(arguments).output().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {errors}");
    assert_eq!(errors, "", "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

fn json(arguments: &[&str]) -> Value {
    let mut all = arguments.to_vec();
    all.extend(["--format", "json"]);
    serde_json::from_str(&printed(&all)).unwrap()
}

#[test]
fn text_of_tanh_and_of_an_unstable_activation() {
    insta::assert_snapshot!(
        "text_of_tanh",
        printed(&["--sigma-w-squared", "1.3", "--sigma-b-squared", "0.05"])
    );
    insta::assert_snapshot!("text_of_gelu", printed(&["-a", "gelu", "--depth", "20"]));
    insta::assert_snapshot!("text_of_softplus", printed(&["-a", "softplus"]));
}

#[test]
fn no_line_is_wider_than_80_columns() {
    for activation in [
        "relu",
        "sigmoid",
        "mish",
        "hardshrink",
        "x*tanh(softplus(x)) + 0*max(x,0)*min(x,0)",
    ] {
        let text = printed(&["-a", activation, "--sigma-b", "0.1"]);
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(80), "{text}");
    }
}

#[test]
fn sigma_and_its_square_are_told_apart() {
    let of = |arguments: &[&str]| json(arguments)["activations"][0]["gains"][0].clone();
    let by_gain = of(&["--sigma-w", "1.5", "--sigma-b", "0.2"]);
    let by_variance = of(&["--sigma-w-squared", "2.25", "--sigma-b-squared", "0.04"]);
    let chi = |gain: &Value| gain["chi_1"].as_f64().unwrap();
    assert!((chi(&by_gain) - chi(&by_variance)).abs() < 1e-12);
    assert_eq!(by_gain["names"][0], "given");
    let error = refused(&["--sigma-w", "1", "--sigma-w-squared", "1"]);
    assert!(error.contains("cannot be used with"), "{error}");
}

#[test]
fn an_expression_is_its_activation() {
    let of = |activation: &str| json(&["-a", activation])["activations"][0]["half_stable"].clone();
    let (written, named) = (of("x * tanh(softplus(x))"), of("mish"));
    for key in ["q", "sigma_w", "sigma_b"] {
        let [a, b] = [&written, &named].map(|point| point[key].as_f64().unwrap());
        assert!((a / b - 1.0).abs() < 1e-9, "{key}");
    }
}

#[test]
fn mistakes_are_pointed_at() {
    let error = refused(&["-a", "x*tnh(x)"]);
    assert!(
        error.contains("did you mean `tanh`?") && error.contains("\n    ^"),
        "{error}"
    );
    assert!(refused(&["-a", "tanhh"]).contains("did you mean `tanh`?"));
    assert!(refused(&["--sigma-w", "-1"]).contains("--sigma-w"));
    assert!(refused(&["--sigma-w", "nan"]).contains("finite"));
    assert!(refused(&["--experiment", "nobody"]).contains("schoenholz"));
    assert!(refused(&["--phase-diagram", "a.gif"]).contains("SVG"));
    assert!(refused(&["-a", "tanh", "-a", "relu", "--phase-diagram", "a.svg"]).contains("once"));
}

#[test]
fn measured_networks_lie_in_the_band_whatever_the_threads() {
    let arguments = [
        "-a",
        "gelu",
        "--measure",
        "--depth",
        "12",
        "--width",
        "64",
        "--networks",
        "4",
    ];
    let with = |threads: &'static str| {
        let mut all = arguments.to_vec();
        all.extend(["--threads", threads]);
        printed(&all)
    };
    let text = with("1");
    assert!(
        text.contains("inside the band") && !text.contains("OUTSIDE"),
        "{text}"
    );
    assert_eq!(text, with("2"));
}

#[test]
fn a_phase_diagram_is_an_svg_that_is_there_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tanh.svg");
    printed(&[
        "--sigma-b",
        "0.3",
        "--phase-diagram",
        file.to_str().unwrap(),
    ]);
    let svg = std::fs::read_to_string(&file).unwrap();
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.contains("edge of chaos") && !svg.contains("NaN"));
}

/// A diagram of `points` × `points` networks, drawn into `file`.
fn grid(file: &std::path::Path, points: usize, depth: usize, width: usize) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradprobe"));
    command
        .arg("theory")
        .arg(format!("--grid={points}x{points}"));
    command.args(["--depth", &depth.to_string()]);
    command.args(["--width", &width.to_string()]);
    command
        .args(["--format", "json", "--phase-diagram"])
        .arg(file);
    command
}

#[test]
fn a_measured_diagram_is_what_theory_says_and_goes_on_from_what_was_finished() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.png");
    let output = grid(&whole, 6, 6, 24).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let measured = &report["activations"][0]["phase_diagram"]["measured"];
    let points = measured["grid"].as_array().unwrap();
    assert_eq!(points.len(), 36);
    for point in points {
        let of = |name: &str| point[name].as_f64().unwrap();
        let off = of("measured_rate") - of("predicted_rate");
        // Six layers of 24 units: the spread of ln of the squared gradient is about √(2 · 6/24).
        assert!(off.abs() < 0.8, "{point}");
        assert_eq!(point["log10_gradient_norms"].as_array().unwrap().len(), 6);
    }
    assert!(std::fs::read(&whole).unwrap().starts_with(b"\x89PNG\r\n"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

    // With one network a point, the runs are the points: what an interruption after 20 would leave.
    let setting = |name: &str| measured[name].clone();
    let finished: Vec<Value> = points[..20]
        .iter()
        .enumerate()
        .map(|(index, point)| {
            serde_json::json!({
                "network": 0, "point": index, "rate": point["measured_rate"],
                "log10_gradient_norms": point["log10_gradient_norms"],
            })
        })
        .collect();
    let kept = serde_json::json!({
        "schema": "gradprobe.phase-grid/1",
        "settings": {
            "activation": "tanh", "points": [6, 6],
            "largest_sigma_w": setting("largest_sigma_w"),
            "largest_sigma_b": setting("largest_sigma_b"),
            "depth": 6, "width": 24, "batch": setting("batch"), "networks": 1,
        },
        "finished": finished,
    });
    let again = folder.path().join("again.png");
    let partial = folder.path().join("again.png.partial");
    std::fs::write(&partial, kept.to_string()).unwrap();

    let other = grid(&again, 6, 7, 24).output().unwrap();
    assert_eq!(other.status.code(), Some(2));
    let message = String::from_utf8(other.stderr).unwrap();
    assert!(
        message.contains("again.png.partial") && message.contains("depth"),
        "{message}"
    );
    assert!(partial.exists() && !again.exists());

    let resumed = grid(&again, 6, 6, 24).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&resumed.stderr), "");
    assert_eq!(resumed.stdout, output.stdout);
    assert_eq!(
        std::fs::read(&again).unwrap(),
        std::fs::read(&whole).unwrap()
    );
    assert!(!partial.exists());
}

#[cfg(unix)]
#[test]
fn an_interrupted_diagram_keeps_what_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tanh.svg");
    let partial = folder.path().join("tanh.svg.partial");
    let mut command = grid(&file, 40, 50, 100);
    command.stdout(std::process::Stdio::null());
    let mut process = command
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // What is finished is written every few seconds: once that happened, the signal is listened to.
    while !partial.exists() {
        assert!(process.try_wait().unwrap().is_none(), "it ended too soon");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let interrupted = Command::new("kill")
        .args(["-INT", &process.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupted.success());
    let output = process.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("the same command goes on"), "{message}");
    assert!(!file.exists());
    let kept: Value = serde_json::from_slice(&std::fs::read(&partial).unwrap()).unwrap();
    let kept = kept["finished"].as_array().unwrap().len();
    assert!(kept > 0 && kept < 1600, "{kept}");
    assert!(message.contains(&format!("{kept} of 1600")), "{message}");
}

#[test]
fn at_a_critical_point_the_depth_scales_are_infinite() {
    for activation in ["tanh", "relu", "x*tanh(softplus(x))", "sin"] {
        let document = json(&["-a", activation]);
        let gains = document["activations"][0]["gains"].as_array().unwrap();
        let critical = gains.iter().filter(|gain| {
            let chi = gain["chi_1"].as_f64().unwrap();
            (chi - 1.0).abs() < 1e-7
        });
        let mut seen = 0;
        for gain in critical {
            seen += 1;
            for scale in ["gradient_depth_scale", "correlation_depth_scale"] {
                assert!(gain[scale].is_null(), "{activation}: {gain}");
            }
            if (gain["chi_parallel"].as_f64().unwrap_or(0.0) - 1.0).abs() < 1e-7 {
                assert!(gain["length_depth_scale"].is_null(), "{activation}: {gain}");
            }
        }
        assert!(
            seen > 0 || activation.contains('('),
            "{activation} has a critical gain"
        );
    }
}
