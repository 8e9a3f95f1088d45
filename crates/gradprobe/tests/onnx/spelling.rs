//! Models that compute the same, once by one node and once written out, get the same findings:
//! `spelling/`, made by `spelling.py`.

use gradprobe::check::{Check, check};
use gradprobe::diagnose::{RuleSet, Severity, diagnose_by};
use gradprobe::import::onnx::{OnnxNetwork, OnnxOptions};
use gradprobe::import::spec::RuleChoices;
use std::path::{Path, PathBuf};

fn checked(path: &Path) -> Check {
    let network = OnnxNetwork::read(path, &OnnxOptions::default()).unwrap();
    check(&network, 0, &mut |_| {}).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// Codes, severities and layers, by gradprobe's rules and by SageMaker's.
fn told(check: &Check) -> Vec<(String, Severity, Option<String>)> {
    let choices = RuleChoices::of_arguments(Some("sagemaker"), &[], &[], &[]).unwrap();
    let by_sagemaker = RuleSet::new([&choices]).unwrap();
    let by_sagemaker = diagnose_by(&by_sagemaker, &check.measurement);
    let all = [&check.diagnosis, &by_sagemaker];
    let findings = all.into_iter().flat_map(|diagnosis| &diagnosis.findings);
    let mut told: Vec<_> = findings
        .map(|finding| {
            (
                finding.code.clone(),
                finding.severity,
                finding.layer.clone(),
            )
        })
        .collect();
    told.sort();
    told
}

#[test]
fn a_function_written_out_gets_the_findings_of_its_node() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/spelling");
    let files = std::fs::read_dir(folder).unwrap();
    let fused: Vec<PathBuf> = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with("_fused.onnx"))
        .collect();
    assert_eq!(fused.len(), 24);
    let mut differ: Vec<String> = Vec::new();
    for path in fused {
        let written = path.to_str().unwrap().replace("_fused", "_written");
        let (one, other) = (checked(&path), checked(Path::new(&written)));
        if told(&one) != told(&other) {
            differ.push(format!("{path:?}: {:?} {:?}", told(&one), told(&other)));
        }
    }
    assert!(differ.is_empty(), "{differ:#?}");
}
