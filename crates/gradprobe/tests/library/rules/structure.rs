//! The rules about how a network is put together: what comes before the loss, what lies between layers.

use super::each::{folder, has, has_not, judged, turns_at_its_threshold};
use super::*;

#[test]
fn output_activation() {
    let ending = |head: &str, loss: &str| {
        checked(&format!(
            "input = 8\nlayers = [{{ linear = 16, activation = \"relu\", init = \"he-normal\" }}, {{ linear \
             = 4, activation = \"{head}\" }}]\nloss = \"{loss}\"\n"
        ))
    };
    for head in ["softmax", "sigmoid", "tanh", "relu"] {
        has(&ending(head, "cross-entropy"), "GP024");
        has(&ending(head, "bce-with-logits"), "GP024");
    }
    turns_at_its_threshold(&ending("softmax", "cross-entropy"), "GP024.nats", true);
    let finding = ending("softmax", "cross-entropy").diagnosis.findings;
    let least = finding.iter().find(|f| f.code == "GP024").unwrap().measured;
    let expected = (1.0 + 3.0 / std::f64::consts::E).ln();
    assert!((least.unwrap() - expected).abs() < 1e-12, "{least:?}");
    // No activation, one without bounds, one that changes nothing, and targets that are made up.
    for head in ["none", "log-softmax", "leaky-relu"] {
        has_not(&ending(head, "cross-entropy"), "GP024");
    }
    has_not(&ending("tanh", "mse"), "GP024");
}

#[test]
fn targets_out_of_range() {
    let folder = folder("targets");
    let path = folder.join("targets.csv");
    let of = |head: &str, target: &dyn Fn(usize) -> f64| {
        let row = |i: usize| {
            format!(
                "{},{},{}\n",
                (i * 7 % 13) as f64 / 6.0 - 1.0,
                i % 3,
                target(i)
            )
        };
        std::fs::write(&path, (0..64).map(row).collect::<String>()).unwrap();
        checked(&format!(
            "batch = 32\nlayers = [{{ linear = 8, activation = \"tanh\" }}, {{ linear = 1, activation = \
             \"{head}\" }}]\nloss = \"mse\"\n[input]\ndata = \"{}\"\nheader = false\n",
            path.to_str().unwrap()
        ))
    };
    let price = |i: usize| 0.1 * (i % 16) as f64;
    let check = of("sigmoid", &price);
    has(&check, "GP024");
    let findings = judged(&check, "GP024.share=0.9");
    assert!(findings.iter().all(|f| f.code != "GP024"));
    has_not(&of("relu", &price), "GP024");
    has_not(&of("sigmoid", &|i| price(i) / 2.0), "GP024");
    has(&of("relu", &|i| price(i) - 0.5), "GP024");
    // Classes by squares.
    has(&of("sigmoid", &|i| (i % 2) as f64), "GP024");
    has_not(&of("none", &|i| (i % 2) as f64), "GP024");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn linear_network() {
    let of = |layers: &str| {
        checked(&format!(
            "input = 8\nlayers = [{layers}]\nloss = \"cross-entropy\"\n"
        ))
    };
    let linear = of("{ linear = 16 }, { dropout = 0.1 }, { linear = 16 }, { linear = 4 }");
    assert!(codes(&linear).contains(&"GP025".to_owned()));
    // One pair in a network that is not linear is a note; a bottleneck is meant so.
    let pair = of("{ linear = 16, activation = \"relu\" }, { linear = 16 }, { linear = 4 }");
    has(&pair, "GP025");
    assert!(!codes(&pair).contains(&"GP025".to_owned()));
    has_not(
        &of("{ linear = 32, activation = \"relu\" }, { linear = 2 }, { linear = 4 }"),
        "GP025",
    );
    has_not(&of("{ linear = 16 }, \"relu\", { linear = 4 }"), "GP025");
    has_not(&of("{ linear = 4 }"), "GP025");
    has_not(
        &of("{ linear = 16, norm = \"layer\" }, { linear = 4 }"),
        "GP025",
    );
}
