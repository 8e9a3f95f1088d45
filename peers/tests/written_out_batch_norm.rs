//! A batch normalisation that was written out is one: the network has the gradients of the same
//! network with BatchNormalization nodes, and other scales and shifts are left alone.

#![allow(clippy::unwrap_used)]

use gradprobe_peers::{Examined, cases, examine};

/// The gradients of kernels, by position, and those of scales and shifts.
fn norms(examined: &Examined) -> Vec<f64> {
    let squares = |data: &[f64]| data.iter().map(|x| x * x).sum::<f64>().sqrt();
    let gradients = examined.gradients.iter();
    let mut norms: Vec<f64> = gradients.map(|one| squares(&one.array.data)).collect();
    norms.sort_by(f64::total_cmp);
    norms
}

fn notes_of_batch_norm(examined: &Examined) -> Vec<&String> {
    let notes = examined.notes.iter();
    notes
        .filter(|note| note.starts_with("batch norm"))
        .collect()
}

#[test]
fn what_is_written_out_has_the_gradients_of_the_node() {
    let mut compared = 0;
    for case in cases("written_out_batch_norm") {
        if case.name == "lookalikes" {
            continue;
        }
        let node = examine(&case.path(&case.models[0]), &case.options()).unwrap();
        let expected = norms(&node);
        for model in &case.models[1..] {
            let examined = examine(&case.path(model), &case.options()).unwrap();
            let got = norms(&examined);
            assert_eq!(got.len(), expected.len(), "{} {}", case.name, model.form);
            for (got, expected) in got.iter().zip(&expected) {
                // The scale was rounded to single precision.
                let largest = expected.abs().max(1e-3);
                let near = (got - expected).abs() <= 1e-5 * largest;
                assert!(near, "{} {}: {got} {expected}", case.name, model.form);
            }
            let notes = notes_of_batch_norm(&examined);
            assert_eq!(notes.len(), 1, "{notes:?}");
            let known_by = match model.form.ends_with("_named") {
                true => "4 written out as a scale and a shift, known by their names",
                false => "known by their structure and not by name",
            };
            assert!(notes[0].contains(known_by), "{} {notes:?}", model.form);
            compared += 1;
        }
    }
    assert_eq!(compared, 24);
}

#[test]
fn other_scales_and_shifts_are_left_alone() {
    let cases = cases("written_out_batch_norm");
    let case = cases.iter().find(|case| case.name == "lookalikes").unwrap();
    for model in &case.models {
        let examined = examine(&case.path(model), &case.options()).unwrap();
        assert_eq!(notes_of_batch_norm(&examined), [""; 0], "{}", model.form);
    }
}
