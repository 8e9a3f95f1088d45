//! Holds the modules that measure, run and judge networks against asking an op, an activation or a layer
//! what it is called: they ask for facts (`Op::facts`, `dyn Activation`), so that a network is judged
//! alike however it is spelled. A name may be told; it may not be compared with text or kept to be.

use crate::layers::collect;
use std::fs;
use std::path::Path;

/// The modules that run networks and judge them.
const JUDGING: [&str; 3] = [
    "gradprobe-engine/src/run",
    "gradprobe/src/measure",
    "gradprobe/src/diagnose",
];

/// How a name is asked for.
const ASKS: [&str; 10] = [
    "op.name()",
    "activation.name()",
    "activation().name()",
    "function.name()",
    "activation.label()",
    "activation().label()",
    "function.label()",
    "layer.kind",
    "activation.as_deref()",
    "activation.as_str()",
];

/// What makes a decision of what is asked.
const DECIDES: [&str; 11] = [
    "==",
    "!=",
    "matches!",
    "match ",
    ".eq(",
    ".contains(",
    ".contains_key(",
    ".starts_with(",
    ".ends_with(",
    ".split(",
    ".binary_search(",
];

/// Checks every file of the modules that judge.
pub fn check(root: &Path) -> Result<(), String> {
    let source = root.join("crates");
    let mut files = Vec::new();
    for module in JUDGING {
        collect(&source.join(module), &mut files)?;
    }
    let mut wrong = Vec::new();
    for file in &files {
        let text =
            fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let inside = file.strip_prefix(&source).unwrap_or(file);
        for line in decisions(&text) {
            wrong.push(format!(
                "{}:{line}: a decision by name: ask for a fact",
                inside.display()
            ));
        }
    }
    eprintln!("== names: {} files", files.len());
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

/// The lines of the statements that decide by a name, or keep one by itself.
fn decisions(text: &str) -> Vec<usize> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found = Vec::new();
    // A statement, the line that it begins at, and whether it lies within a text.
    let (mut statement, mut first) = (String::new(), 1);
    for (number, line) in code.lines().enumerate() {
        let mut quoted = false;
        let line = line.trim();
        if line.starts_with("//") {
            continue;
        }
        for character in line.chars() {
            quoted ^= character == '"';
            if statement.is_empty() {
                first = number + 1;
            }
            if !quoted && matches!(character, ';' | '{' | '}') {
                if decides(&statement, character == ';') {
                    found.push(first);
                }
                statement.clear();
            } else {
                statement.push(character);
            }
        }
    }
    found
}

fn decides(statement: &str, is_whole: bool) -> bool {
    let mut asks = ASKS.into_iter().filter(|ask| statement.contains(ask));
    let Some(ask) = asks.next() else {
        return false;
    };
    let keeps = is_whole && statement.trim_start().starts_with("let ") && statement.ends_with(ask);
    keeps || DECIDES.iter().any(|decides| statement.contains(decides))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_by_name_are_found_and_names_that_are_told_are_not() {
        for wrong in [
            "if node.op.name() == \"Conv\" { a(); }",
            "let is = matches!(\n    node.op.name(),\n    \"Relu\"\n        | \"Clip\"\n);",
            "match node.op.name() {\n",
            "let name = node.op.name();",
            "let relu = layer.activation.as_deref() == Some(\"relu\");",
            "let linear = layer.kind.starts_with(\"linear\");",
            "let same = a.activation.label() == b.activation.label();",
            "let is_in = NAMES.contains(&node.op.name());",
        ] {
            let text = format!("fn f() {{\n    g();\n    {wrong}\n}}\n");
            assert_eq!(decisions(&text), [3], "{wrong}");
        }
        for right in [
            "let told = Told { op: node.op.name().into() };",
            "let text = format!(\"{} == {{}}\", 1);",
            "let label = Some(found.function.label());",
            "// node.op.name() == \"Conv\"",
            "let is_step = node.op.facts().is_step == true;",
        ] {
            let text = format!("fn f() {{\n    {right}\n}}\n");
            assert_eq!(decisions(&text), [0; 0], "{right}");
        }
    }

    #[test]
    fn the_modules_that_judge_decide_nothing_by_name() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        check(root.parent().unwrap_or(root)).unwrap_or_else(|wrong| panic!("{wrong}"));
    }
}
