//! Networks under the names and in the forms of many exporters: each trained parameter is found, and no
//! other, under the user's name and with PyTorch's gradient.

use gradprobe_peers::cases;

fn are_right(maker: &str) {
    let mut wrong = Vec::new();
    for case in cases(maker) {
        for model in &case.models {
            for difference in case.differences(model) {
                wrong.push(format!("{}, {}: {difference}", case.name, model.form));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn images_and_vectors() {
    are_right("exporters_vision");
}

#[test]
fn sequences() {
    are_right("exporters_sequence");
}

#[test]
fn weights_in_a_file_beside_the_model() {
    are_right("external_data");
}

#[test]
fn graphs_of_other_exporters() {
    are_right("graphs");
}

#[test]
fn networks_of_public_bug_reports() {
    are_right("public_reports");
}

#[test]
fn keras_on_pytorch() {
    are_right("keras_torch");
}

#[test]
fn keras_on_tensorflow() {
    are_right("keras_tensorflow");
}

#[test]
fn flax() {
    are_right("jax_flax");
}

#[test]
fn scikit_learn() {
    are_right("scikit_learn");
}
