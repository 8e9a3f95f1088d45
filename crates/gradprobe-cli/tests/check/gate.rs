//! The gate for CI: SARIF, JUnit, baselines, and what docs/CI.md says to run.

use super::*;
use serde_json::Value;
use std::collections::BTreeSet;

const HEALTHY: &str = "\
name = \"healthy\"
input = 8
layers = [
  { repeat = 3, linear = 8, activation = \"relu\", init = \"he-normal\" },
  { linear = 4 },
]
";

pub fn vanishing() -> Folder {
    Folder::with(
        "name = \"a <b> & \\\"c\\\"\"\ninput = 8\nlayers = [\n  \
         { linear = 8, activation = \"sigmoid\", name = \"ä1\" },\n  \
         { repeat = 11, linear = 8, activation = \"sigmoid\" },\n  \
         { linear = 4, name = \"last\" },\n]\n",
    )
}

fn sarif(arguments: &[&str]) -> Value {
    serde_json::from_slice(&run(arguments).stdout).unwrap()
}

#[test]
fn sarif_names_the_rules_and_the_line_of_the_layer() {
    let folder = vanishing();
    let log = sarif(&["check", &folder.network(), "--format", "sarif"]);
    assert_eq!(log["version"], "2.1.0");
    let driver = &log["runs"][0]["tool"]["driver"];
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert!(!results.is_empty());
    let text = std::fs::read_to_string(folder.network()).unwrap();
    for result in results {
        let rule = &driver["rules"][result["ruleIndex"].as_u64().unwrap() as usize];
        assert_eq!(rule["id"], result["ruleId"]);
        assert!(!rule["help"]["text"].as_str().unwrap().is_empty());
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        let location = &result["locations"][0];
        let place = &location["physicalLocation"];
        assert!(
            place["artifactLocation"]["uri"]
                .as_str()
                .unwrap()
                .ends_with("network.toml")
        );
        if result["locations"][0]["logicalLocations"].is_array() {
            let line = place["region"]["startLine"].as_u64().unwrap() as usize;
            let line = text.lines().nth(line - 1).unwrap();
            assert!(line.contains("linear"), "{line}");
        }
        assert!(result.get("baselineState").is_none());
    }
}

#[test]
fn a_finding_of_a_model_has_its_file_and_its_layer() {
    let file = example("seed_chain.toml");
    let log = sarif(&["check", &file, "--format", "sarif"]);
    let location = &log["runs"][0]["results"][0]["locations"][0];
    let logical = &location["logicalLocations"][0];
    assert!(
        logical["fullyQualifiedName"]
            .as_str()
            .unwrap()
            .contains('/')
    );
}

#[test]
fn junit_counts_what_fails() {
    let folder = vanishing();
    let output = run(&["check", &folder.network(), "--format", "junit"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("a &lt;b&gt; &amp; &quot;c&quot;"), "{text}");
    let count = |what: &str| text.matches(what).count();
    assert!(count("<failure ") > 0);
    assert!(text.contains(&format!("failures=\"{}\"", count("<failure "))));
    assert!(text.contains(&format!("tests=\"{}\"", count("<testcase "))));
    let passing = run(&[
        "check",
        &folder.network(),
        "--format",
        "junit",
        "--fail-on",
        "never",
    ]);
    let text = String::from_utf8(passing.stdout).unwrap();
    assert!(!text.contains("<failure ") && text.contains("<system-out>"));
    // A rule that did not look has not passed.
    assert!(text.contains("GP005") && !text.contains("SM001"), "{text}");
    let ignoring = [
        "check",
        &folder.network(),
        "--format",
        "junit",
        "--ignore",
        "GP005",
    ];
    let text = String::from_utf8(run(&ignoring).stdout).unwrap();
    assert!(!text.contains("GP005") && text.contains("GP006"), "{text}");
}

#[test]
fn only_what_is_new_fails() {
    let folder = vanishing();
    let network = folder.network();
    let file = folder.path("known.json").to_str().unwrap().to_owned();
    let status = |arguments: &[&str]| run(arguments).status.code();
    assert_eq!(status(&["check", &network]), Some(1));
    assert_eq!(
        status(&["check", &network, "--write-baseline", &file]),
        Some(0)
    );
    assert_eq!(status(&["check", &network, "--baseline", &file]), Some(0));
    let log = sarif(&["check", &network, "--baseline", &file, "--format", "sarif"]);
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert!(
        results
            .iter()
            .all(|result| result["baselineState"] == "unchanged")
    );
    let said = String::from_utf8(run(&["check", &network, "--baseline", &file]).stdout).unwrap();
    assert!(
        said.contains("baseline: ") && said.contains("0 new"),
        "{said}"
    );
    // Another network in the same file leaves this one's entries, and its findings are new.
    let healthy = folder.file("healthy.toml", HEALTHY);
    assert_eq!(
        status(&["check", &healthy, "--write-baseline", &file]),
        Some(0)
    );
    assert_eq!(status(&["check", &network, "--baseline", &file]), Some(0));
    folder.file(
        "other.json",
        "{\"schema\": \"gradprobe.baseline/1\", \"findings\": []}",
    );
    let other = folder.path("other.json").to_str().unwrap().to_owned();
    assert_eq!(status(&["check", &network, "--baseline", &other]), Some(1));
}

#[test]
fn a_finding_that_shows_at_another_layer_is_known() {
    // A decade in four layers, more or less.
    let folder = Folder::with(
        "name = \"slow\"\ninput = 8\nlayers = [\n  \
         { repeat = 24, linear = 8, activation = \"tanh\" },\n  { linear = 4 },\n]\n",
    );
    let network = folder.network();
    let file = folder.path("known.json").to_str().unwrap().to_owned();
    run(&["check", &network, "--write-baseline", &file]);
    let mut onsets = BTreeSet::new();
    for seed in ["0", "3", "6", "9", "12", "15"] {
        let of_seed = ["check", &network, "--seed", seed, "--baseline", &file];
        let log = sarif(&[&of_seed[..], &["--format", "sarif"]].concat());
        let results = log["runs"][0]["results"].as_array().unwrap();
        let vanishing = results.iter().find(|result| result["ruleId"] == "GP001");
        let vanishing = vanishing.unwrap();
        let layer = &vanishing["locations"][0]["logicalLocations"][0]["name"];
        onsets.insert(layer.as_str().unwrap().to_owned());
        assert_eq!(vanishing["baselineState"], "unchanged", "seed {seed}");
        let fingerprint = &vanishing["partialFingerprints"]["gradprobe/v1"];
        assert!(
            !fingerprint
                .as_str()
                .unwrap()
                .contains(layer.as_str().unwrap())
        );
    }
    assert!(onsets.len() > 1, "{onsets:?}");
}

#[test]
fn rules_about_types_look_where_types_were_asked_for() {
    let folder = vanishing();
    let network = folder.network();
    let junit = |more: &[&str]| {
        let arguments = [&["check", &network, "--format", "junit"], more].concat();
        String::from_utf8(run(&arguments).stdout).unwrap()
    };
    assert!(!junit(&[]).contains("GP019"));
    let text = junit(&["--precision", "f16,bf16"]);
    assert!(
        text.contains("name=\"GP019 cancelled-gradient\"/>"),
        "{text}"
    );
    assert!(text.contains("GP020 underflowed-gradient `"), "{text}");
    let log = sarif(&[
        "check",
        &network,
        "--format",
        "sarif",
        "--precision",
        "f16,bf16",
    ]);
    let results = log["runs"][0]["results"].as_array().unwrap();
    let of_types: Vec<&str> = results
        .iter()
        .filter(|result| result["ruleId"] == "GP020")
        .map(|result| {
            result["partialFingerprints"]["gradprobe/v1"]
                .as_str()
                .unwrap()
        })
        .collect();
    assert_eq!(of_types.len(), 1);
    assert!(of_types[0].contains("/f16/"), "{of_types:?}");
}

#[test]
fn what_is_no_baseline_is_said() {
    let folder = Folder::with(HEALTHY);
    let file = folder.file("known.json", "[1]");
    for option in ["--baseline", "--write-baseline"] {
        let output = run(&["check", &folder.network(), option, &file]);
        assert_eq!(output.status.code(), Some(2), "{option}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("known.json") && said.contains("baseline"),
            "{said}"
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "[1]");
    }
    let output = run(&["check", &folder.network(), "--baseline", "no-such.json"]);
    assert_eq!(output.status.code(), Some(2));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A shell with this build's program on its path.
fn shell(folder: &Folder, script: &str, arguments: &[&str]) -> std::process::Output {
    let program = Path::new(env!("CARGO_BIN_EXE_gradprobe")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    Command::new("sh")
        .args(["-e", "-c", script, "--"])
        .args(arguments)
        .env("PATH", format!("{}:{path}", program.display()))
        .current_dir(folder.0.path())
        .output()
        .unwrap()
}

#[cfg(unix)]
#[test]
fn the_steps_of_the_documents_run() {
    let text = std::fs::read_to_string(root().join("docs/CI.md")).unwrap();
    // What the workflow installs is this package.
    let install = format!(
        "- run: cargo install --locked --git \"$GRADPROBE_REPOSITORY\" {}\n",
        env!("CARGO_PKG_NAME")
    );
    assert!(text.contains(&install), "{install}");
    let folder = vanishing();
    let mut scripts: Vec<String> = Vec::new();
    for block in text.split("```").skip(1).step_by(2) {
        if let Some(script) = block.strip_prefix("sh\n") {
            scripts.push(script.to_owned());
        }
        let steps = block
            .lines()
            .filter_map(|line| line.trim().strip_prefix("- run: "));
        scripts.extend(
            steps
                .filter(|step| step.starts_with("gradprobe"))
                .map(Into::into),
        );
    }
    assert!(scripts.len() >= 3);
    for script in &scripts {
        let output = shell(&folder, script, &[]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{script}: {errors}");
    }
    for file in [
        "gradprobe.sarif",
        "gradprobe.xml",
        "gradprobe-baseline.json",
    ] {
        assert!(folder.path(file).metadata().unwrap().len() > 0, "{file}");
    }
}

#[cfg(unix)]
#[test]
fn the_hook_fails_where_one_of_its_files_does() {
    let hooks = std::fs::read_to_string(root().join(".pre-commit-hooks.yaml")).unwrap();
    let entry = hooks
        .lines()
        .find_map(|line| line.trim().strip_prefix("entry: "));
    let entry = entry.unwrap();
    let documented = std::fs::read_to_string(root().join("docs/CI.md")).unwrap();
    assert!(documented.contains(entry));
    let folder = vanishing();
    let healthy = folder.file("healthy.toml", HEALTHY);
    let script = format!("{entry} \"$@\"");
    assert!(shell(&folder, &script, &[&healthy]).status.success());
    let both = shell(&folder, &script, &[&folder.network(), &healthy]);
    assert_eq!(both.status.code(), Some(1));
}
