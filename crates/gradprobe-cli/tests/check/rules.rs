//! `gradprobe rule`, and which rules a check is made by.

use super::*;
use gradprobe::diagnose::rules::registry;
use gradprobe::report::{rule_page_file, write_rule_markdown, write_rules_markdown};
use std::collections::BTreeMap;

/// What the files of docs/rules are to be, by name.
fn pages() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    let mut index = Vec::new();
    write_rules_markdown(&mut index, registry()).unwrap();
    pages.insert("README.md".to_owned(), String::from_utf8(index).unwrap());
    for rule in registry() {
        let mut page = Vec::new();
        write_rule_markdown(&mut page, rule).unwrap();
        pages.insert(rule_page_file(rule), String::from_utf8(page).unwrap());
    }
    pages
}

#[test]
fn the_pages_in_docs_are_those_of_the_registry() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rules");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        for (name, page) in pages() {
            std::fs::write(folder.join(name), page).unwrap();
        }
    }
    let found = std::fs::read_dir(&folder).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        (name, std::fs::read_to_string(entry.path()).unwrap())
    });
    let found: BTreeMap<String, String> = found.collect();
    assert!(
        found == pages(),
        "docs/rules is not what the rules say: UPDATE_DOCS=1 cargo test -p gradprobe-cli --test \
         check rules"
    );
}

#[test]
fn a_rule_is_found_by_code_and_by_name() {
    let page = printed(&["rule", "GP001"], 0);
    insta::assert_snapshot!("rule_page", page);
    assert_eq!(page, printed(&["rule", "vanishing_gradient"], 0));
    let error = refusal(&["rule", "GP0001"]);
    assert!(error.contains("did you mean `GP001`?"), "{error}");
}

#[test]
fn the_list_has_every_rule_and_fits_80_columns() {
    let list = printed(&["rule", "--all"], 0);
    let too_wide = list.lines().find(|line| line.chars().count() > 80);
    assert_eq!(too_wide, None);
    let json = printed(&["rule", "--all", "--format", "json"], 0);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    for (rule, document) in registry().iter().zip(json.as_array().unwrap()) {
        assert!(list.contains(&format!("{} {}", rule.code, rule.name)));
        assert_eq!(document["code"], rule.code);
        assert_eq!(
            document["settings"].as_array().unwrap().len(),
            rule.settings.len()
        );
    }
    for rule in registry() {
        let page = printed(&["rule", rule.code], 0);
        let too_wide = page.lines().find(|line| line.chars().count() > 80);
        assert_eq!(too_wide, None, "{}", rule.code);
    }
}

/// Twelve sigmoid layers: GP001.
const VANISHING: &str = "input = 16\nloss = \"cross-entropy\"\nseeds = 1\nlayers = [\n  \
    { repeat = 12, layers = [{ linear = 16, activation = \"sigmoid\" }] },\n  { linear = 4 },\n]\n";

fn codes(arguments: &[&str]) -> Vec<String> {
    let mut all = vec!["check", "--format", "json", "--fail-on", "never"];
    all.extend(arguments);
    let report: serde_json::Value = serde_json::from_str(&printed(&all, 0)).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let codes = findings
        .iter()
        .map(|finding| finding["code"].as_str().unwrap().to_owned());
    codes.collect()
}

fn refusal(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn the_command_line_overrules_the_file_and_the_file_the_configuration() {
    let folder = Folder::with(VANISHING);
    let network = folder.network();
    let has = |arguments: &[&str]| {
        let mut all = vec![network.as_str()];
        all.extend(arguments);
        codes(&all).contains(&"GP001".to_owned())
    };
    assert!(has(&[]));
    assert!(!has(&["--ignore", "vanishing-gradient"]));
    assert!(!has(&["--set", "GP001.decades=40"]));
    let configuration = folder.file("gradprobe.toml", "[rules]\nignore = [\"GP001\"]\n");
    assert!(!has(&[]));
    assert!(has(&["--isolated"]));
    assert!(has(&["--select", "GP001"]));
    folder.file(
        "network.toml",
        format!("{VANISHING}[rules]\nselect = [\"GP001\"]\n"),
    );
    assert!(has(&[]));
    std::fs::remove_file(&configuration).unwrap();
    let other = folder.file("other.toml", "[rules]\nGP001.decades = 40\n");
    assert!(!has(&["--config", &other]));
}

#[test]
fn the_nearest_configuration_above_the_network_is_read() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path("a/b")).unwrap();
    let network = folder.file("a/b/network.toml", VANISHING);
    folder.file("gradprobe.toml", "[rules]\nselect = [\"GP004\"]\n");
    assert!(codes(&[&network]).is_empty());
    folder.file("a/gradprobe.toml", "[rules]\nselect = [\"GP001\"]\n");
    assert_eq!(codes(&[&network]), ["GP001"]);
}

#[test]
fn slips_in_configurations_are_shown_where_they_stand() {
    let folder = Folder::with(VANISHING);
    let network = folder.network();
    folder.file(
        "gradprobe.toml",
        "[rules]\nselect = [\"vanishing-gradent\"]\n",
    );
    let error = refusal(&["check", &network]);
    assert!(error.contains("gradprobe.toml:2:11"), "{error}");
    assert!(
        error.contains("did you mean `vanishing-gradient`?"),
        "{error}"
    );
    folder.file("gradprobe.toml", "[rule]\nselect = [\"GP001\"]\n");
    let error = refusal(&["check", &network]);
    assert!(error.contains("did you mean `rules`?"), "{error}");
    for (arguments, expected) in [
        (["--set", "GP001.decade=4"], "did you mean `decades`?"),
        (["--set", "GP001"], "RULE.NAME=NUMBER"),
        (
            ["--set", "GP001.decades=-1"],
            "expected a number of at least 0",
        ),
        (["--select", "GQ001"], "did you mean `GP001`?"),
        (["--profile", "sage"], "expected `gradprobe` or `sagemaker`"),
    ] {
        let error = refusal(&["check", &network, "--isolated", arguments[0], arguments[1]]);
        assert!(error.contains(expected), "{arguments:?}: {error}");
        assert!(error.contains(arguments[0]), "{arguments:?}: {error}");
    }
}
