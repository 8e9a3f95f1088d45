//! What was chosen about a model, in sentences.

use super::error::quoted;
use super::inputs::InputPlan;
use super::loss::{Decided, Judged, TargetPlan};
use super::messages::Node as Message;
use super::model::Node;
use super::options::{OnnxLoss, OnnxOptions};
use super::session::Session;
use crate::num::Shape;
use crate::ops::Mode;

/// What the notes are about.
pub(super) struct Noted<'n, 'm> {
    pub session: &'n Session<'m>,
    pub inputs: &'n [InputPlan],
    pub judged: &'n Judged,
    pub decided: Decided,
    pub target: Option<&'n TargetPlan>,
    pub shape: &'n Shape,
    /// Batches that are run one after the other.
    pub turns: usize,
    pub options: &'n OnnxOptions,
}

/// What was chosen, in sentences.
pub(super) fn notes(noted: &Noted<'_, '_>) -> Vec<String> {
    let mut notes = vec![about_inputs(noted.inputs)];
    about_loss(noted, &mut notes);
    about_turns(noted, &mut notes);
    about_course(noted, &mut notes);
    about_lost_stops(noted, &mut notes);
    about_versions(noted, &mut notes);
    about_modes(noted, &mut notes);
    notes
}

fn about_inputs(inputs: &[InputPlan]) -> String {
    const MOST_INPUTS: usize = 8;
    let listed: Vec<String> = inputs
        .iter()
        .take(MOST_INPUTS)
        .map(InputPlan::about)
        .collect();
    let drawn = inputs.iter().any(|input| !input.is_given());
    let more = inputs.len().saturating_sub(MOST_INPUTS);
    format!(
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
    )
}

fn about_loss(noted: &Noted<'_, '_>, notes: &mut Vec<String>) {
    let (judged, shape) = (noted.judged, noted.shape);
    if let Some(whole) = &judged.whole {
        notes.push(format!(
            "output {} holds whole numbers, which have no gradient: judged is the last floating \
             value before it, {} (--output)",
            quoted(whole),
            quoted(&judged.output)
        ));
    }
    let kind = match &judged.whole {
        Some(_) => "value",
        None => "output",
    };
    let of = match judged.absorbed {
        Some(op) => format!(
            "what the {op} before {kind} {} reads, shape {shape}",
            quoted(&judged.output)
        ),
        None => format!("{kind} {}, shape {shape}", quoted(&judged.output)),
    };
    let chosen = if noted.options.loss == OnnxLoss::Auto {
        " (--loss, --target, --output)"
    } else {
        ""
    };
    notes.push(match noted.target {
        Some(target) => format!(
            "loss: {} of {of}, against {}{chosen}",
            noted.decided.words(),
            target.about()
        ),
        None => format!("differentiated: {of}{chosen}"),
    });
}

fn about_turns(noted: &Noted<'_, '_>, notes: &mut Vec<String>) {
    if noted.turns < 2 {
        return;
    }
    let mut inputs = noted.inputs.iter();
    let first = inputs.find(|input| !input.shape.is_empty());
    let rows = first.map_or(1, |input| input.shape[0]);
    let one = match rows {
        1 => "one sample".into(),
        rows => format!("{rows} samples"),
    };
    let mut note = format!(
        "batch: the graph takes {one} at a time: {} run one after the other and measured as one \
         batch (--batch)",
        noted.turns
    );
    let counts = &noted.session.counts;
    let has_batch_norm = counts.contains_key("batch-norm in inference form")
        || noted.session.has_op("BatchNormalization");
    if has_batch_norm && noted.options.mode == Mode::Train {
        note.push_str("; batch norm sees each alone: export with a free batch dimension");
    }
    notes.push(note);
}

fn about_course(noted: &Noted<'_, '_>, notes: &mut Vec<String>) {
    const MOST: usize = 4;
    let course = noted.session.course.borrow();
    let decisions = course.decisions();
    for decision in decisions.iter().take(MOST) {
        let mut inputs = noted.inputs.iter();
        let named: Vec<String> = decision
            .inputs
            .iter()
            .map(|name| {
                let plan = inputs.find(|plan| plan.name == *name);
                let value = plan.map_or_else(String::new, InputPlan::value_in_words);
                format!("{}{value}", quoted(name))
            })
            .collect();
        let all_given = noted
            .inputs
            .iter()
            .all(|plan| !decision.inputs.contains(&plan.name) || plan.is_given());
        notes.push(format!(
            "input {} decides {} of {}: taken as {} (--input NAME=NUMBER)",
            named.join(", "),
            decision.what,
            decision.place,
            if all_given { "given" } else { "drawn" },
        ));
    }
    let more = decisions.len().saturating_sub(MOST);
    if more > 0 {
        notes.push(format!("inputs decide {more} more nodes"));
    }
}

/// Stop-gradients of the training code, which the file does not carry.
fn about_lost_stops(noted: &Noted<'_, '_>, notes: &mut Vec<String>) {
    const MOST: usize = 3;
    let (model, analysis) = (noted.session.model, noted.session.analysis);
    let shown = |names: &[String]| {
        let more = names.len().saturating_sub(MOST);
        let more = match more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let listed: Vec<&str> = names.iter().take(MOST).map(String::as_str).collect();
        format!("{}{more}", listed.join(", "))
    };
    let estimators = &noted.session.estimators;
    let closing = |node: &&Node| {
        let made = node.message.output.first();
        made.is_some_and(|name| estimators.contains_key(name))
    };
    let places: Vec<String> = model
        .nodes
        .iter()
        .filter(closing)
        .map(Node::place)
        .collect();
    if !places.is_empty() {
        let how = match noted.options.straight_through {
            true => "taken for a straight-through estimator: the gradient passes as through x",
            false => {
                "is that a straight-through estimator, whose stop-gradient is not in the file? \
                 Then --straight-through passes the gradient as through x; here it takes that of f"
            }
        };
        notes.push(format!("x + (f(x) − x) in {}: {how}", shown(&places)));
    }
    let live = model.nodes.iter().zip(&analysis.live);
    let detached: Vec<String> = live
        .filter(|(node, live)| **live && !closing(node) && reads_detached(&node.message))
        .map(|(node, _)| node.place())
        .collect();
    if !detached.is_empty() {
        notes.push(format!(
            "the training code stops the gradient before {}, by the exporter's own notes; no ONNX \
             file carries that, and here the gradient passes on",
            shown(&detached)
        ));
    }
}

/// Did the node read a detached value in the program that PyTorch's exporter notes with it?
fn reads_detached(message: &Message) -> bool {
    const KEY: &str = "pkg.torch.onnx.fx_node";
    let note = message.metadata_props.iter().find(|note| note.key == KEY);
    let arguments = note.and_then(|note| note.value.split_once("(args = "));
    let Some((_, arguments)) = arguments else {
        return false;
    };
    let mut words = arguments.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '%'));
    words.any(|word| {
        let number = word.strip_prefix("%detach");
        number.is_some_and(|rest| {
            let digits = rest.strip_prefix('_').unwrap_or(rest);
            digits.chars().all(|c| c.is_ascii_digit())
        })
    })
}

fn about_versions(noted: &Noted<'_, '_>, notes: &mut Vec<String>) {
    notes.extend(noted.session.model.unknown_version());
}

fn about_modes(noted: &Noted<'_, '_>, notes: &mut Vec<String>) {
    let (session, options) = (noted.session, noted.options);
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
