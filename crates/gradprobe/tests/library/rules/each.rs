//! Each rule: a network that must trip it, a look-alike that must not, both sides of its threshold.

use super::*;
use gradprobe::diagnose::{RuleSet, diagnose_by};
use gradprobe::import::spec::RuleChoices;

#[track_caller]
pub(super) fn has(check: &Check, code: &str) {
    let found = all_codes(check);
    assert!(found.iter().any(|c| c == code), "no {code}: {found:?}");
}

#[track_caller]
pub(super) fn has_not(check: &Check, code: &str) {
    let finding = check.diagnosis.findings.iter().find(|f| f.code == code);
    assert!(finding.is_none(), "{finding:#?}");
}

pub(super) fn judged(check: &Check, setting: &str) -> Vec<Finding> {
    let choices = RuleChoices::of_arguments(None, &[], &[], &[setting.to_owned()]).unwrap();
    let rules = RuleSet::new([&choices]).unwrap();
    diagnose_by(&rules, &check.measurement).findings
}

/// The finding is there with its setting just below what was measured, and not just above: `above`
/// is whether larger figures are worse.
#[track_caller]
pub(super) fn turns_at_its_threshold(check: &Check, setting: &str, larger_is_worse: bool) {
    let findings = &check.diagnosis.findings;
    let finding = findings
        .iter()
        .find(|f| f.setting.as_deref() == Some(setting));
    let finding = finding.unwrap_or_else(|| panic!("no {setting}: {findings:#?}"));
    let spread = finding.spread;
    let measured = finding.measured.unwrap();
    let (least, most) = spread.map_or((measured, measured), |s| (s.min, s.max));
    let margin = |x: f64| 1e-6 * x.abs().max(1e-6);
    let (lenient, strict) = if larger_is_worse {
        (least - margin(least), most + margin(most))
    } else {
        (most + margin(most), least - margin(least))
    };
    let is_found = |value: f64| {
        let findings = judged(check, &format!("{setting}={value}"));
        findings
            .iter()
            .any(|f| f.setting.as_deref() == Some(setting))
    };
    assert!(
        is_found(lenient),
        "{setting} = {lenient}, measured {measured}"
    );
    assert!(
        !is_found(strict),
        "{setting} = {strict}, measured {measured}"
    );
}

#[test]
fn vanishing_gradient() {
    let check = Mlp::new(12, 16, "sigmoid", "xavier-normal").check();
    has(&check, "GP001");
    turns_at_its_threshold(&check, "GP001.decades", true);
    has_not(&Mlp::new(12, 16, "tanh", "xavier-normal").check(), "GP001");
}

#[test]
fn exploding_gradient() {
    let check = Mlp::new(12, 64, "relu", "{ name = \"normal\", std = 0.5 }").check();
    has(&check, "GP002");
    turns_at_its_threshold(&check, "GP002.decades", true);
    // A summed loss makes every gradient larger, and none grow.
    let summed = Mlp::new(12, 64, "relu", "he-normal")
        .more("reduction = \"sum\"\n")
        .check();
    has_not(&summed, "GP002");
}

#[test]
fn zero_gradient() {
    let one_class = checked(
        "input = 8\nlayers = [{ linear = 8, activation = \"tanh\" }, { linear = 1 }]\n[loss]\nname = \
         \"cross-entropy\"\ntargets = 0\n",
    );
    has(&one_class, "GP003");
    let message = &one_class.diagnosis.findings[0].message;
    assert!(message.contains("softmax over one class"), "{message}");
    // Zeros on purpose, at the end of a branch and in the head, last for one step.
    let head = "input = 8\nlayers = [{ linear = 8, activation = \"tanh\" }, { linear = 4, init = \"zeros\" \
                }]\nloss = \"cross-entropy\"\n";
    let check = checked(head);
    has(&check, "GP003");
    assert!(alarms(&check).is_empty(), "{:#?}", alarms(&check));
    let small = checked(
        "input = 8\ndtype = \"f32\"\nlayers = [{ repeat = 300, layers = [{ linear = 8, activation = \
         \"sigmoid\" }] }, { linear = 4 }]\nloss = \"cross-entropy\"\n",
    );
    has_not(&small, "GP003");
}

#[test]
fn non_finite() {
    let check = checked(
        "input = 4\nlayers = [{ linear = 8, init = { name = \"constant\", value = 1e38 } }, { linear = 4, \
         init = { name = \"constant\", value = 1e38 } }]\n",
    );
    has(&check, "GP004");
    let finding = check
        .diagnosis
        .findings
        .iter()
        .find(|f| f.code == "GP004")
        .unwrap();
    assert!(finding.evidence[0].contains("from `"), "{finding:#?}");
    has_not(
        &Mlp::new(4, 8, "relu", "{ name = \"normal\", std = 1e4 }").check(),
        "GP004",
    );
}

#[test]
fn vanishing_signal() {
    let check = Mlp::new(12, 64, "relu", "{ name = \"uniform\", bound = 0.05 }").check();
    has(&check, "GP005");
    turns_at_its_threshold(&check, "GP005.decades", true);
    // A small head is left out.
    let head =
        Mlp::new(6, 64, "relu", "he-normal").head(", init = { name = \"normal\", std = 1e-6 }");
    has_not(&head.check(), "GP005");
}

#[test]
fn exploding_signal() {
    let check = Mlp::new(12, 64, "relu", "{ name = \"normal\", std = 0.5 }").check();
    has(&check, "GP006");
    turns_at_its_threshold(&check, "GP006.decades", true);
    let scaled = Mlp::new(12, 64, "relu", "he-normal");
    has_not(&scaled.check(), "GP006");
}

#[test]
fn saturated_activation() {
    let check = Mlp::new(4, 64, "tanh", "{ name = \"normal\", std = 1 }").check();
    has(&check, "GP007");
    turns_at_its_threshold(&check, "GP007.share", true);
    // makemore's healthy network, and ReLU6 at its lower bound.
    let gain = "{ name = \"lecun-normal\", gain = \"tanh\" }";
    has_not(&Mlp::new(6, 100, "tanh", gain).check(), "GP007");
    has_not(&Mlp::new(6, 64, "relu6", "he-normal").check(), "GP007");
    has_not(
        &Mlp::new(6, 64, "sine", "{ name = \"normal\", std = 1 }").check(),
        "GP007",
    );
}

#[test]
fn dead_units() {
    let dead = checked(
        "input = 8\nlayers = [{ linear = 16, activation = \"relu\", bias = { name = \"constant\", value = \
         -100 } }, { linear = 16, activation = \"relu\", bias = { name = \"constant\", value = -1 } }, { \
         linear = 4 }]\nloss = \"cross-entropy\"\n",
    );
    has(&dead, "GP008");
    assert_eq!(dead.diagnosis.findings[0].severity, Severity::Error);
    // Half the units of a deep layer are off for a whole batch, and come back.
    has_not(&Mlp::new(20, 64, "relu", "he-normal").check(), "GP008");
    let chance = Mlp::new(17, 5, "relu", "he-normal").check();
    turns_at_its_threshold(&chance, "GP008.chance", true);
}

#[test]
fn units_that_are_dead_for_ever_are_told_by_bound() {
    // The second layer sees what ReLU gives, at least 0, and has no positive weight.
    let check = checked(
        "input = 8\nseeds = 1\nlayers = [{ linear = 16, activation = \"relu\" }, { linear = 16, activation = \
         \"relu\", init = { name = \"uniform\", low = -1, high = -0.1 }, bias = { name = \"constant\", value \
         = -0.1 } }, { linear = 4 }]\nloss = \"cross-entropy\"\n",
    );
    let layer = &check.measurement.layers[1].median;
    assert_eq!(layer.dead_fraction, Some(1.0));
    assert_eq!(layer.dead_for_ever_fraction, Some(1.0));
    // The first layer's units are dead on no batch for ever: its input has no bound.
    assert_eq!(
        check.measurement.layers[0].median.dead_for_ever_fraction,
        None
    );
}

#[test]
fn dead_on_a_batch_on_every_batch_and_for_ever_are_told_apart() {
    // Of 16 units those with a bias of about −2 are dead on some batches of 8 rows and not on others.
    let check = checked(
        "input = 8\nbatch = 8\nseeds = 4\nlayers = [{ linear = 64, activation = \"relu\", init = \
         \"he-normal\", bias = { name = \"constant\", value = -2 } }, { linear = 4 }]\nloss = \
         \"cross-entropy\"\n",
    );
    let batches = check.measurement.batches.as_ref().unwrap();
    assert_eq!((batches.seed, batches.count), (0, 4));
    let layer = &batches.layers[0];
    assert_eq!(layer.dead_on.len(), 5);
    assert_eq!(layer.dead_on.iter().sum::<usize>(), 64);
    let some: usize = layer.dead_on[1..4].iter().sum();
    assert!(some > 0 && layer.dead_on[0] > 0, "{layer:?}");
    // Made-up targets have no signal to part from noise.
    assert_eq!(layer.gradient_signal_to_noise, None);
    let of_first: Vec<f64> = check
        .measurement
        .figures_of("fc1", |layer| layer.dead_fraction)
        .map(Option::unwrap)
        .collect();
    assert!(layer.dead_on_all().unwrap() < of_first[0]);
    // All on this batch, not all on every batch: no warning, but a note.
    let share = 0.5 * (layer.dead_on_all().unwrap() + of_first.iter().copied().fold(1.0, f64::min));
    let findings = judged(&check, &format!("GP008.share={share}"));
    let finding = findings.iter().find(|f| f.code == "GP008").unwrap();
    assert_eq!(finding.severity, Severity::Info, "{finding:#?}");
    assert!(
        finding
            .evidence
            .iter()
            .any(|line| line.contains("saw 4 batches")),
        "{finding:#?}"
    );
    let for_ever = checked(
        "input = 8\nlayers = [{ linear = 16, activation = \"relu\" }, { linear = 16, activation = \
         \"relu\", init = { name = \"uniform\", low = -1, high = -0.1 }, bias = { name = \"constant\", \
         value = -0.1 } }, { linear = 4 }]\nloss = \"cross-entropy\"\n",
    );
    let mut findings = for_ever.diagnosis.findings.iter();
    let finding = findings.find(|f| f.code == "GP008").unwrap();
    let evidence = finding.evidence.join("; ");
    assert_eq!(finding.severity, Severity::Error);
    assert!(
        evidence.contains("16 of 16 units are dead on all of them"),
        "{evidence}"
    );
    assert!(evidence.contains("dead for ever"), "{evidence}");
}

#[test]
fn poor_initialisation() {
    for (depth, activation, init) in [
        (60, "gelu", "he-normal"),
        (40, "silu", "he-normal"),
        (8, "sigmoid", "xavier-normal"),
        (12, "tanh", "{ name = \"lecun-normal\", gain = \"tanh\" }"),
        (8, "tanh", "{ name = \"normal\", sigma_w = 3 }"),
    ] {
        has(&Mlp::new(depth, 64, activation, init).check(), "GP009");
    }
    for (activation, init) in [
        ("relu", "he-normal"),
        ("selu", "lecun-normal"),
        (
            "tanh",
            "{ name = \"normal\", sigma_w2 = 1.760954639607, sigma_b2 = 0.05 }",
        ),
    ] {
        has_not(&Mlp::new(8, 128, activation, init).check(), "GP009");
    }
    // Theory's χ1 of GELU with He's gain falls towards ½ where the signal is small.
    let check = Mlp::new(60, 128, "gelu", "he-normal").check();
    let finding = check
        .diagnosis
        .findings
        .iter()
        .find(|f| f.code == "GP009")
        .unwrap();
    let chi = finding.measured.unwrap();
    assert!(chi > 0.45 && chi < 0.8, "{chi}");
    // With a normalisation the weights' size does not matter.
    let normalised = checked(
        "input = 32\nlayers = [{ repeat = 8, layers = [{ linear = 32, norm = \"layer\", activation = \
         \"gelu\", init = \"he-normal\" }] }, { linear = 4 }]\nloss = \"cross-entropy\"\n",
    );
    has_not(&normalised, "GP009");
}

#[test]
fn symmetric_weights() {
    for init in ["zeros", "ones", "{ name = \"constant\", value = 0.1 }"] {
        has(&Mlp::new(4, 8, "tanh", init).check(), "GP010");
    }
    let head = Mlp::new(4, 8, "tanh", "xavier-normal").head(", init = \"zeros\"");
    has_not(&head.check(), "GP010");
    // One constant layer between random ones.
    let one = checked(
        "input = 8\nlayers = [{ linear = 8, activation = \"tanh\" }, { linear = 8, activation = \"tanh\", \
         init = \"ones\" }, { linear = 4 }]\nloss = \"cross-entropy\"\n",
    );
    has_not(&one, "GP010");
}

#[test]
fn unscaled_input() {
    let of = |values: &str, first: &str| {
        checked(&format!(
            "layers = [{first}{{ linear = 16, activation = \"tanh\" }}, {{ linear = 4 }}]\nloss = \
             \"cross-entropy\"\n[input]\nshape = [16]\nvalues = {values}\n"
        ))
    };
    let pixels = of("{ name = \"uniform\", low = 0, high = 255 }", "");
    has(&pixels, "GP011");
    turns_at_its_threshold(&pixels, "GP011.rms", true);
    has_not(&of("\"normal\"", ""), "GP011");
    has_not(
        &of(
            "{ name = \"uniform\", low = 0, high = 255 }",
            "\"layer-norm\", ",
        ),
        "GP011",
    );
}

#[test]
fn hot_output() {
    let check = Mlp::new(3, 64, "relu", "he-normal")
        .head(", init = { name = \"normal\", std = 2 }")
        .check();
    has(&check, "GP012");
    turns_at_its_threshold(&check, "GP012.nats", true);
    has_not(&Mlp::new(3, 64, "relu", "he-normal").check(), "GP012");
    // The loss is summed: large, and no logit is.
    has_not(
        &Mlp::new(3, 64, "relu", "he-normal")
            .more("reduction = \"sum\"\n")
            .check(),
        "GP012",
    );
}

#[test]
fn rank_collapse() {
    let check = Mlp::new(12, 64, "sigmoid", "xavier-normal").check();
    has(&check, "GP013");
    turns_at_its_threshold(&check, "GP013.spread", false);
    has_not(&Mlp::new(20, 64, "relu", "he-normal").check(), "GP013");
    has_not(&Mlp::new(18, 64, "tanh", "xavier-normal").check(), "GP013");
}

fn batch_norm(depth: usize, norm: &str) -> Check {
    checked(&format!(
        "input = 32\nbatch = 64\nlayers = [{{ repeat = {depth}, layers = [{{ linear = 32, norm = \"{norm}\", \
         activation = \"relu\", init = \"he-normal\" }}] }}, {{ linear = 4 }}]\nloss = \"cross-entropy\"\n"
    ))
}

#[test]
fn batch_norm_explosion() {
    let check = batch_norm(40, "batch");
    has(&check, "GP014");
    turns_at_its_threshold(&check, "GP014.decades", true);
    has_not(&batch_norm(10, "batch"), "GP014");
    has_not(&batch_norm(40, "layer"), "GP014");
}

fn transformer(blocks: usize, post: bool) -> Check {
    let (before, after) = if post {
        ("", "\"layer-norm\",")
    } else {
        ("\"layer-norm\",", "")
    };
    checked(&format!(
        "batch = 2\nseeds = 2\nlayers = [{{ embedding = 16, vocabulary = 20 }}, {{ repeat = {blocks}, layers = [{{ \
         residual = [{before} {{ attention = 2 }}] }}, {after} {{ residual = [{before} {{ linear = 32, \
         activation = \"gelu\" }}, {{ linear = 16 }}] }}, {after}] }}, {{ linear = 20 }}]\nloss = \
         \"cross-entropy\"\n[input]\nshape = [8]\nvalues = \"ids\"\n[defaults]\ninit = \"xavier-uniform\"\n"
    ))
}

#[test]
fn post_norm_growth() {
    let check = transformer(6, true);
    has(&check, "GP015");
    assert!(!codes(&check).contains(&"GP015".to_owned()));
    turns_at_its_threshold(&check, "GP015.noted", true);
    assert!(codes(&transformer(18, true)).contains(&"GP015".to_owned()));
    has_not(&transformer(6, false), "GP015");
    has_not(&transformer(2, true), "GP015");
}

fn residual(scale: f64, norm: &str) -> Check {
    checked(&format!(
        "input = 32\nlayers = [{{ linear = 32 }}, {{ repeat = 24, layers = [{{ scale = {scale}, residual = \
         [{{ linear = 32, activation = \"relu\"{norm} }}, {{ linear = 32, init = \"lecun-normal\" }}] }}] }}, \
         {{ linear = 4 }}]\nloss = \"cross-entropy\"\n[defaults]\ninit = \"he-normal\"\n"
    ))
}

#[test]
fn residual_growth() {
    let check = residual(1.0, "");
    has(&check, "GP016");
    let findings = judged(&check, "GP016.decades=30");
    assert!(findings.iter().all(|f| f.code != "GP016"));
    has_not(&residual(0.2, ""), "GP016");
}

#[test]
fn update_ratio() {
    let at = |name: &str, rate: &str| {
        let text = Mlp::new(4, 32, "relu", "he-normal").text();
        checked(&format!(
            "{text}[optimiser]\nname = \"{name}\"\nlearning_rate = {rate}\n"
        ))
    };
    for (name, rate) in [
        ("sgd", "100.0"),
        ("momentum", "100.0"),
        ("adam", "0.5"),
        ("adamw", "0.5"),
    ] {
        let check = at(name, rate);
        has(&check, "GP017");
        turns_at_its_threshold(&check, "GP017.largest", true);
    }
    // Not a third of any weight, and past the valley all the same.
    let wide = Mlp::new(6, 256, "relu", "he-normal").text();
    let past = checked(&format!(
        "{wide}[optimiser]\nname = \"adam\"\nlearning_rate = 0.02\n"
    ));
    turns_at_its_threshold(&past, "GP017.growth", true);
    let step = past.measurement.first_step.unwrap();
    assert!(step.growth() > 1.5 && step.seed == 0, "{step:?}");
    // A usual step is not tried.
    assert_eq!(at("sgd", "1e-3").measurement.first_step, None);
    for (name, rate) in [("sgd", "1e-7"), ("adam", "1e-9")] {
        let check = at(name, rate);
        has(&check, "GP017");
        turns_at_its_threshold(&check, "GP017.smallest", false);
    }
    for (name, rate) in [
        ("sgd", "0.1"),
        ("momentum", "0.01"),
        ("adam", "1e-3"),
        ("adamw", "3e-4"),
    ] {
        has_not(&at(name, rate), "GP017");
    }
    // It says nothing about the network.
    let verdict = at("sgd", "100.0").diagnosis.verdict;
    assert_eq!(verdict, gradprobe::diagnose::Verdict::Healthy);
}

#[test]
fn gradient_noise() {
    let folder = folder("noise");
    let rows = |labels: &dyn Fn(usize) -> usize| -> String {
        let row = |i: usize| {
            let x = |k: usize| ((i * 37 + k * 101 + i * k * 13) % 97) as f64 / 28.0 - 1.7;
            let columns: Vec<String> = (0..8).map(|k| format!("{:.3}", x(k))).collect();
            format!("{},{}\n", columns.join(","), labels(i))
        };
        (0..64).map(row).collect()
    };
    let check_by = |name: &str, batch: usize, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        checked(&format!(
            "batch = {batch}\nlayers = [{{ linear = 16, activation = \"tanh\" }}, {{ linear = 2 \
             }}]\nloss = \"cross-entropy\"\n[input]\ndata = \"{}\"\nheader = false\n",
            path.to_str().unwrap()
        ))
    };
    // All rows are one batch: by its samples.
    let check = |name: &str, text| check_by(name, 64, text);
    let one = check("one.csv", rows(&|i| usize::from(i % 8 == 0)));
    let layer = &one.measurement.layers[1].median;
    // Nearly every sample says the same: the first class.
    assert!(layer.gradient_signal_to_noise.unwrap() > 1.0);
    has_not(&one, "GP018");
    let coin = check("coin.csv", rows(&|i| (i * i * 7 + i / 3) % 2));
    let ratio = coin.measurement.layers[1]
        .median
        .gradient_signal_to_noise
        .unwrap();
    assert!(ratio < layer.gradient_signal_to_noise.unwrap());
    let found = judged(&coin, "GP018.ratio=1000");
    assert!(found.iter().any(|f| f.code == "GP018"));
    assert_eq!(coin.measurement.batches, None);
    // Four batches: by their gradients.
    let over_batches = |name: &str, labels: &dyn Fn(usize) -> usize| {
        let check = check_by(name, 16, rows(labels));
        let batches = check.measurement.batches.clone().unwrap();
        assert_eq!(batches.count, 3);
        (check, batches.gradient_signal_to_noise.unwrap())
    };
    let (one, of_one) = over_batches("one.csv", &|i| usize::from(i % 8 == 0));
    let (coin, of_coin) = over_batches("coin.csv", &|i| (i * i * 7 + i / 3) % 2);
    assert!(of_one > 1.0 && of_coin < 0.5 * of_one, "{of_one} {of_coin}");
    has_not(&one, "GP018");
    let strict = judged(&coin, "GP018.ratio=1000");
    let finding = strict.iter().find(|f| f.code == "GP018").unwrap();
    assert!(finding.message.contains("3 batches of 16"), "{finding:?}");
    let clearest = finding.measured.unwrap();
    let at = |ratio: f64| judged(&coin, &format!("GP018.ratio={ratio}"));
    assert!(at(1.001 * clearest).iter().any(|f| f.code == "GP018"));
    assert!(at(0.999 * clearest).iter().all(|f| f.code != "GP018"));
    std::fs::remove_dir_all(folder).unwrap();
}

/// An empty folder of a test's own.
pub(super) fn folder(name: &str) -> std::path::PathBuf {
    let name = format!("gradprobe-{name}-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
