//! What was chosen about a model, in sentences.

use super::error::quoted;
use super::inputs::InputPlan;
use super::loss::{Decided, Judged, TargetPlan};
use super::options::{OnnxLoss, OnnxOptions};
use super::session::Session;
use crate::num::Shape;
use crate::ops::Mode;

/// What was chosen, in sentences.
pub(super) fn notes(
    session: &Session<'_>,
    inputs: &[InputPlan],
    judged: &Judged,
    decided: Decided,
    target: Option<&TargetPlan>,
    shape: &Shape,
    options: &OnnxOptions,
) -> Vec<String> {
    const MOST_INPUTS: usize = 8;
    let mut notes = Vec::new();
    let listed: Vec<String> = inputs
        .iter()
        .take(MOST_INPUTS)
        .map(InputPlan::about)
        .collect();
    let drawn = inputs.iter().any(|input| !input.is_given());
    let more = inputs.len().saturating_sub(MOST_INPUTS);
    notes.push(format!(
        "inputs: {}{}{}",
        listed.join(", "),
        if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        },
        if drawn {
            " (--input, --data, --dim)"
        } else {
            ""
        },
    ));
    let of = match judged.absorbed {
        Some(op) => format!(
            "what the {op} before output {} reads, shape {shape}",
            quoted(&judged.output)
        ),
        None => format!("output {}, shape {shape}", quoted(&judged.output)),
    };
    let chosen = if options.loss == OnnxLoss::Auto {
        " (--loss, --target, --output)"
    } else {
        ""
    };
    notes.push(match target {
        Some(target) => format!(
            "loss: {} of {of}, against {}{chosen}",
            decided.words(),
            target.about()
        ),
        None => format!("differentiated: {of}{chosen}"),
    });
    let inference = session.counts.get("batch-norm in inference form").copied();
    if let Some(count) = inference {
        notes.push(match options.mode {
            Mode::Train => format!(
                "batch norm: {count} in inference form, run on batch statistics as in training \
                 (--mode eval uses the running ones)"
            ),
            Mode::Eval => format!("batch norm: {count}, run on their running statistics"),
        });
    }
    notes.extend(written_out(session));
    if let Some(count) = session.counts.get("folded batch norm") {
        notes.push(format!(
            "batch norm: {count} folded into the convolutions before them by the exporter, which \
             a training run would not do (export in training mode, without constant folding)"
        ));
    }
    if let Some(count) = session.counts.get("quantised weights") {
        notes.push(format!(
            "quantised: {count} tensors are whole numbers times a scale; they are taken as they \
             are and nobody trains them (export the float model to judge them)"
        ));
    }
    if let Some(count) = session.counts.get("dropout") {
        let how = match (options.mode, options.dropout) {
            (Mode::Train, false) => " (--dropout drops as in training)",
            _ => "",
        };
        notes.push(format!("dropout: {count}, taken as the identity{how}"));
    }
    if let Some(count) = session.counts.get("random numbers") {
        notes.push(format!(
            "random numbers: drawn by {count} nodes, taken at their means (--dropout draws)"
        ));
    }
    if let Some(count) = session.counts.get("random numbers that are drawn") {
        notes.push(format!("random numbers: drawn by {count} nodes, once"));
    }
    if let Some(count) = session.counts.get("dropout that drops") {
        notes.push(format!("dropout: {count}, as in training"));
    }
    if let Some(initialiser) = options.reinit {
        notes.push(format!("weights: drawn anew, {}", initialiser.name()));
    }
    notes
}

/// What was taken for a batch normalisation, by what, and which numbers its parameters have.
fn written_out(session: &Session<'_>) -> Option<String> {
    let found = session.model.batch_norms;
    let by = match (found.by_name, found.by_structure) {
        (0, 0) => return None,
        (count, 0) => format!("{count} written out as a scale and a shift, known by their names"),
        (0, count) => format!(
            "{count} written out as a scale and a shift, known by their structure and not by name"
        ),
        (named, others) => format!(
            "{} written out as a scale and a shift, {named} known by their names and {others} by \
             their structure",
            named + others
        ),
    };
    let numbers = match found.folded_variance {
        0 => "gamma and beta are the file's".to_owned(),
        count => format!(
            "in {count} the exporter multiplied the running variance into the scale: it is taken to \
             be 1, as before training, so that gamma is the scale times \u{221a}(1 + epsilon)"
        ),
    };
    Some(format!(
        "batch norm: {by}; {numbers} (--mode eval runs what is written)"
    ))
}
