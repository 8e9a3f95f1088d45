//! Signals over the steps of recurrent layers.

use super::*;
use gradprobe::diagnose::{Verdict, diagnose};

/// A recurrent layer of which the last state is read, in f64.
fn recurrent(cell: &str, steps: usize, after: &str) -> String {
    format!(
        "dtype = \"f64\"\nbatch = 4\nseeds = 3\nlayers = [\n{{ {cell}, name = \"r\" }},{after}\n\
         {{ linear = 3, name = \"head\" }},\n]\n[input]\nshape = [{steps}, 3]\nvalues = \"normal\"\n\
         [loss]\nname = \"cross-entropy\"\n"
    )
}

fn read_last(cell: &str, steps: usize) -> Check {
    checked(&recurrent(cell, steps, "\n\"last-step\","))
}

fn of_rule<'a>(check: &'a Check, code: &str) -> Vec<&'a Finding> {
    let findings = check.diagnosis.findings.iter();
    findings.filter(|finding| finding.code == code).collect()
}

#[test]
fn a_recurrence_that_forgets_is_found_as_it_is_where_its_steps_are_written_out() {
    for (cell, steps) in [("rnn = 4", 200), ("lstm = 8", 60), ("gru = 8", 60)] {
        let fused = read_last(cell, steps);
        let unrolled = checked(&recurrent(&format!("{cell}, unroll = true"), steps, ""));
        let [ours] = of_rule(&fused, "GP001")[..] else {
            panic!("{cell}: {:#?}", fused.diagnosis.findings);
        };
        let [theirs] = of_rule(&unrolled, "GP001")[..] else {
            panic!("{cell}: {:#?}", unrolled.diagnosis.findings);
        };
        assert_eq!(codes(&fused), codes(&unrolled), "{cell}");
        assert_eq!(ours.severity, theirs.severity, "{cell}");
        assert_eq!(ours.threshold, theirs.threshold, "{cell}");
        assert_eq!(ours.layer.as_deref(), Some("r"), "{cell}");
        let [ours_measured, theirs_measured] = [ours, theirs].map(|f| f.measured.unwrap());
        // The steps written out also have what lies between the last state and the head, and at the
        // first step's weights.
        assert!(
            (ours_measured / theirs_measured - 1.0).abs() < 0.05,
            "{cell}: {ours_measured}, {theirs_measured}"
        );
        let words = format!("decades over the {steps} steps of `r`, exponentially: ×");
        assert!(ours.message.contains(&words), "{}", ours.message);
        assert_eq!(fused.diagnosis.verdict, Verdict::Vanishing, "{cell}");
        assert_eq!(fused.diagnosis.starts_at.as_deref(), Some("r"), "{cell}");
    }
}

#[test]
fn gates_that_begin_open_and_states_that_are_all_read_are_silent() {
    let open = read_last("lstm = 16, forget-bias = 5", 100);
    assert!(alarms(&open).is_empty(), "{:#?}", alarms(&open));
    for cell in ["rnn = 16", "lstm = 16", "gru = 16"] {
        let read = checked(&recurrent(cell, 100, ""));
        assert!(alarms(&read).is_empty(), "{cell}: {:#?}", alarms(&read));
        let over_time = &read.measurement.layers[0].median.over_time[0];
        assert_eq!(over_time.read_steps, 100);
    }
}

#[test]
fn a_recurrence_that_explodes_is_found_in_both_directions() {
    let check = read_last(
        "rnn = 32, activation = \"relu\", recurrent-init = { name = \"normal\", sigma_w = 3 }",
        40,
    );
    for code in ["GP002", "GP006"] {
        let found = of_rule(&check, code);
        let over_time = found
            .iter()
            .any(|f| f.message.contains("over the 40 steps of `r`"));
        assert!(over_time, "{code}: {:#?}", check.diagnosis.findings);
    }
    assert_eq!(check.diagnosis.verdict, Verdict::Exploding);
}

#[test]
fn one_finding_names_every_layer_of_a_stack() {
    let check = read_last("lstm = 8, layers = 2", 60);
    let [finding] = of_rule(&check, "GP001")[..] else {
        panic!("{:#?}", check.diagnosis.findings);
    };
    let other = match finding.layer.as_deref() {
        Some("r1") => "`r2`",
        _ => "`r1`",
    };
    assert!(
        finding
            .evidence
            .iter()
            .any(|sentence| sentence.contains(other)),
        "{finding:#?}"
    );
}

#[test]
fn the_other_direction_has_read_no_more_than_the_last_time() {
    let check = read_last("lstm = 8, bidirectional = true", 60);
    let over_time = &check.measurement.layers[0].median.over_time;
    assert_eq!(
        [over_time[0].reversed, over_time[1].reversed],
        [false, true]
    );
    assert_eq!(over_time[0].backward_decades.len(), 60);
    assert_eq!(over_time[1].backward_decades, [Some(0.0)]);
    let [finding] = of_rule(&check, "GP001")[..] else {
        panic!("{:#?}", check.diagnosis.findings);
    };
    assert!(
        finding.message.contains("`r` (walking forwards in time)"),
        "{}",
        finding.message
    );
}

#[test]
fn what_given_weights_forget_is_a_note_until_no_type_holds_it() {
    let severity = |cell: &str, steps: usize| {
        let mut measurement = read_last(cell, steps).measurement;
        measurement.draws_weights = false;
        let diagnosis = diagnose(&measurement);
        let finding = diagnosis.findings.iter().find(|f| f.code == "GP001");
        finding.unwrap().severity
    };
    assert_eq!(severity("lstm = 8", 60), Severity::Info);
    assert_eq!(severity("rnn = 4", 200), Severity::Warning);
}
