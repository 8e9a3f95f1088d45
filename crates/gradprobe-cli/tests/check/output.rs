//! What is printed, where it goes, and the exit status.

use super::*;
use serde_json::Value;

/// A network that trains: identity-like layers keep every signal.
const HEALTHY: &str = "\
input = 8
layers = [
  { repeat = 3, linear = 8, activation = \"relu\", init = \"he-normal\" },
  { linear = 4 },
]
";

/// Numbers to six significant digits, which agree across machines.
fn rounded(value: &mut Value) {
    match value {
        Value::Number(number) if !number.is_u64() && !number.is_i64() => {
            let number: f64 = format!("{:.5e}", number.as_f64().unwrap()).parse().unwrap();
            *value = number.into();
        }
        Value::Array(values) => values.iter_mut().for_each(rounded),
        Value::Object(fields) => fields.values_mut().for_each(rounded),
        _ => {}
    }
}

#[test]
fn text_of_the_seed_chain() {
    insta::assert_snapshot!(printed(&["check", &example("seed_chain.toml")], 1));
}

#[test]
fn text_of_a_deep_network() {
    let file = example("digits_sigmoid_12.toml");
    insta::assert_snapshot!(printed(
        &["check", &file, "--dtype", "f64", "--seeds", "2"],
        1
    ));
}

#[test]
fn text_of_a_healthy_network() {
    let file = example("lenet5_relu.toml");
    insta::assert_snapshot!(printed(
        &["check", &file, "--dtype", "f64", "--seed", "0"],
        0
    ));
}

#[test]
fn json_of_the_seed_chain() {
    let text = printed(
        &["check", &example("seed_chain.toml"), "--format", "json"],
        1,
    );
    let mut report: Value = serde_json::from_str(&text).unwrap();
    rounded(&mut report);
    insta::assert_snapshot!(serde_json::to_string_pretty(&report).unwrap());
}

#[test]
fn the_help_of_every_command() {
    insta::assert_snapshot!("help", printed(&["--help"], 0));
    insta::assert_snapshot!("help_check", printed(&["check", "--help"], 0));
    insta::assert_snapshot!("help_chain", printed(&["chain", "--help"], 0));
    insta::assert_snapshot!("help_jacobian", printed(&["jacobian", "--help"], 0));
    insta::assert_snapshot!("help_init", printed(&["init", "--help"], 0));
}

#[test]
fn what_init_writes_is_what_it_prints_and_check_takes_it() {
    for template in ["mlp", "cnn", "chain"] {
        let text = printed(&["init", "-", "--template", template], 0);
        insta::assert_snapshot!(format!("init_{template}"), text);
        let folder = Folder::new();
        let output = run(&["init", &folder.network(), "--template", template]);
        assert!(output.status.success() && output.stdout.is_empty());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.starts_with("wrote ") && said.lines().count() == 1,
            "{said}"
        );
        assert_eq!(std::fs::read_to_string(folder.network()).unwrap(), text);
        let checked = run(&["check", &folder.network(), "--seeds", "1", "--batch", "2"]);
        assert!(matches!(checked.status.code(), Some(0 | 1)), "{template}");
    }
}

#[test]
fn no_line_is_wider_than_80_columns() {
    let long = "a_name_of_sixty_characters_and_more_that_does_not_fit_a_line";
    let folder = Folder::with(&format!(
        "name = \"{long} {long}\"\ninput = 8\nlayers = [\n  \
         {{ linear = 8, activation = \"tanh\", norm = \"batch\", name = \"{long}\" }},\n  \
         {{ residual = [{{ linear = 8, activation = \"relu\", name = \"{long}_2\" }}] }},\n  \
         {{ linear = 4, name = \"{long}_3\" }},\n]\n[optimiser]\nname = \"sgd\"\nlearning_rate = 0.1\n"
    ));
    let mut texts = vec![run(&["check", &folder.network()]).stdout];
    for name in [
        "seed_chain.toml",
        "makemore_mlp.toml",
        "lenet5_relu.toml",
        "resnet_56_no_norm.toml",
    ] {
        texts.push(run(&["check", &example(name)]).stdout);
    }
    for command in [
        &["--help"][..],
        &["check", "--help"],
        &["chain", "--help"],
        &["init", "--help"],
    ] {
        texts.push(run(command).stdout);
    }
    for text in texts {
        for line in String::from_utf8(text).unwrap().lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

#[test]
fn the_exit_status_says_what_was_found() {
    let healthy = Folder::with(HEALTHY);
    let vanishing = example("seed_chain.toml");
    let status = |arguments: &[&str]| run(arguments).status.code();
    assert_eq!(status(&["check", &healthy.network()]), Some(0));
    assert_eq!(status(&["check", &vanishing]), Some(1));
    for (severity, expected) in [("info", 1), ("warning", 1), ("error", 1), ("never", 0)] {
        let arguments = ["check", &vanishing, "--fail-on", severity];
        assert_eq!(status(&arguments), Some(expected), "{severity}");
    }
    assert_eq!(
        status(&["check", &vanishing, "--fail-on", "sometimes"]),
        Some(2)
    );
    assert_eq!(status(&["chain"]), Some(0));
    assert_eq!(status(&["chain", "--fail-on", "error"]), Some(1));
    assert_eq!(
        status(&["chain", "--fail-on", "error", "-a", "relu"]),
        Some(0)
    );
    let chaotic = [
        "chain", "-a", "sin", "--w", "4", "--depth", "500", "--x", "1",
    ];
    for (severity, expected) in [("warning", 1), ("error", 0)] {
        let mut arguments = chaotic.to_vec();
        arguments.extend(["--fail-on", severity]);
        assert_eq!(status(&arguments), Some(expected), "{severity}");
    }
}

#[test]
fn the_bytes_do_not_depend_on_the_threads() {
    let file = example("digits_tanh_30.toml");
    let with = |threads: &[&str], variable: Option<&str>| {
        let mut command = gradprobe(&["check", &file, "--format", "json", "--seeds", "2"]);
        command.args(threads);
        if let Some(count) = variable {
            command.env("RAYON_NUM_THREADS", count);
        }
        command.output().unwrap().stdout
    };
    let one = with(&["--threads", "1"], None);
    assert!(!one.is_empty());
    for other in [
        with(&["--threads", "2"], None),
        with(&["--threads", "7"], None),
        with(&[], Some("1")),
        with(&[], Some("2")),
    ] {
        assert!(one == other);
    }
}

#[test]
fn the_command_line_overrules_the_file() {
    let folder = Folder::with(HEALTHY);
    let report = |arguments: &[&str]| -> Value {
        let mut all = vec!["check", "--format", "json"];
        let network = folder.network();
        all.push(&network);
        all.extend_from_slice(arguments);
        serde_json::from_slice(&run(&all).stdout).unwrap()
    };
    let seeded = report(&[
        "--seed", "7,3", "--dtype", "f64", "--mode", "eval", "--batch", "5",
    ]);
    assert_eq!(seeded["seeds"], serde_json::json!([7, 3]));
    assert_eq!(seeded["dtype"], "f64");
    assert_eq!(seeded["mode"], "eval");
    assert_eq!(seeded["batch"], 5);
    assert_eq!(
        report(&["--seeds", "2"])["seeds"],
        serde_json::json!([0, 1])
    );
}

#[test]
fn a_chain_takes_a_seed_and_does_not_change() {
    assert_eq!(
        printed(&["chain", "--seed", "7"], 0),
        printed(&["chain"], 0)
    );
}

#[test]
fn a_file_gets_what_stdout_would() {
    let folder = Folder::with(HEALTHY);
    let out = folder.path("out.json");
    let plain = ["check", &folder.network(), "-f", "json"];
    let to_stdout = printed(&plain, 0);
    let mut to_file = plain.to_vec();
    to_file.extend(["-o", out.to_str().unwrap()]);
    assert_eq!(printed(&to_file, 0), "");
    assert_eq!(std::fs::read_to_string(out).unwrap(), to_stdout);
}

#[test]
fn talk_is_on_stderr_and_can_be_silenced() {
    let folder = Folder::with(HEALTHY);
    let plain = printed(&["check", &folder.network()], 0);
    assert_eq!(printed(&["check", &folder.network(), "--quiet"], 0), plain);
    let told = run(&["check", &folder.network(), "--verbose", "--seeds", "2"]);
    let told = String::from_utf8(told.stderr).unwrap();
    assert!(
        told.contains("ran seed 1: ") && told.contains("in all: "),
        "{told}"
    );
    let told = run(&["chain", "--verbose"]);
    assert!(
        String::from_utf8(told.stderr)
            .unwrap()
            .contains("written: ")
    );
}

#[test]
fn colours_are_for_terminals_and_for_who_asks() {
    let folder = Folder::with(HEALTHY);
    let coloured = |variable: Option<(&str, &str)>| {
        let mut command = gradprobe(&["check", &folder.network()]);
        command.envs(variable);
        command.output().unwrap().stdout.contains(&0x1b)
    };
    assert!(!coloured(None));
    assert!(coloured(Some(("CLICOLOR_FORCE", "1"))));
    let mistake = run(&["check", "nowhere.toml"]);
    assert!(!mistake.stderr.contains(&0x1b));
}

#[test]
fn names_are_shown_and_never_obeyed() {
    let folder = Folder::new();
    let file = folder.file(
        "network.toml",
        format!("name = \"a\\u001b[31m\\u009b31m\\u202e\\n\"\n{HEALTHY}"),
    );
    let safe =
        |text: &str| !text.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}');
    let text = printed(&["check", &file], 0);
    assert!(safe(&text), "{text:?}");
    assert!(
        text.contains("\\u{1b}[31m\\u{9b}31m\\u{202e}\\u{a}"),
        "{text}"
    );
    let json = printed(&["check", &file, "--format", "json"], 0);
    assert!(safe(&json), "{json:?}");
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["network"], "a\u{1b}[31m\u{9b}31m\u{202e}\n");

    let file = folder.file("b\u{1b}[31m.toml", HEALTHY);
    assert!(safe(&printed(&["check", &file], 0)));
    let file = folder.file("c\u{1b}[31m.toml", "layers = 3");
    let refused = String::from_utf8(run(&["check", &file]).stderr).unwrap();
    assert!(safe(&refused), "{refused:?}");
}

#[test]
fn a_network_that_overflows_is_a_finding_and_its_json_is_json() {
    let folder = Folder::with(
        "input = 8\nlayers = [\n  { repeat = 3, linear = 8, init = { name = \"constant\", value = 1e30 } },\n]\n",
    );
    let text = printed(&["check", &folder.network()], 1);
    assert!(text.contains("GP004 non-finite"), "{text}");
    let json = printed(&["check", &folder.network(), "--format", "json"], 1);
    let report: Value = serde_json::from_str(&json).unwrap();
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["code"] == "GP004"));
}

#[test]
fn a_reader_that_goes_away_changes_nothing() {
    let mut child = gradprobe(&[
        "check",
        &example("mean_field_ordered.toml"),
        "--seeds",
        "1",
        "-f",
        "json",
    ])
    .stdout(std::process::Stdio::piped())
    .stderr(std::process::Stdio::piped())
    .spawn()
    .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_gets_colours_and_a_count_that_goes_away() {
    let on_terminal = |arguments: &str| {
        let program = env!("CARGO_BIN_EXE_gradprobe");
        let mut script = Command::new("script");
        script.args(["-qec", &format!("'{program}' {arguments}"), "/dev/null"]);
        script
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE");
        script.stdin(std::process::Stdio::null());
        let output = script.output().ok()?;
        Some(String::from_utf8(output.stdout).unwrap())
    };
    let folder = Folder::with(HEALTHY);
    let network = folder.network();
    let Some(shown) = on_terminal(&format!("check '{network}' --seeds 3")) else {
        eprintln!("skipped: there is no `script` to run a terminal with");
        return;
    };
    assert!(
        shown.starts_with(
            "\rseed 1 of 3 ██████████░░░░░░░░░░░░░░░░░░░░\
             \rseed 2 of 3 ████████████████████░░░░░░░░░░\r\u{1b}[K"
        ),
        "{shown:?}"
    );
    assert!(shown.contains("\u{1b}[1;32mverdict: healthy"), "{shown:?}");
    let quiet = on_terminal(&format!("check '{network}' --seeds 3 --quiet")).unwrap();
    assert!(!quiet.contains("seed 1 of 3"), "{quiet:?}");
}

#[test]
fn text_of_a_check_with_precisions() {
    let file = example("digits_sigmoid_12.toml");
    let precisions = "f32,bf16,f16,e4m3,autocast-f16";
    let text = printed(
        &["check", &file, "--seed", "0", "--precision", precisions],
        1,
    );
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let section = text.find("precision (seed 0)").unwrap();
    insta::assert_snapshot!(&text[section..]);
}

#[test]
fn a_precision_that_does_not_exist_is_refused_with_those_that_do() {
    let folder = Folder::with(HEALTHY);
    let output = run(&["check", &folder.network(), "--precision", "f32,half"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("half") && said.contains("autocast-f16"),
        "{said}"
    );
    for scale in ["0", "-1", "1e99", "nan"] {
        let arguments = ["check", &folder.network(), "--precision", "f16"];
        let mut command = gradprobe(&arguments);
        let output = command
            .args([&format!("--loss-scale={scale}")])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{scale}");
    }
}
