//! What the rules of signals over depth have to say of the steps of a recurrent layer: decades
//! between its last step and its first, over several seeds, by the laws and the thresholds of depth.

use super::super::finding::{Agreement, Finding, Severity};
use super::super::rule::{Examination, Setting};
use super::super::trend::{Direction, Law, trend};
use crate::measure::{LayerRun, Measurement, RecurrenceRun};

/// What sets a finding over time apart from one of the same rule over depth.
const SUBJECT: &str = "over time";

/// Which of the signals of a recurrent layer is looked at, and for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    /// Backward from the last step to the first, or forward.
    pub direction: Direction,
    /// Lost (−1) or gained (+1) decades.
    pub sign: f64,
    /// How many are a finding.
    pub decades: &'static Setting,
    /// How many are more than a note where the weights are given and may be trained to forget.
    pub forgotten: Option<&'static Setting>,
}

/// A recurrence that loses or gains the decades.
struct Concerned<'a> {
    layer: &'a LayerRun,
    recurrence: &'a RecurrenceRun,
    /// By seed.
    totals: Vec<Option<f64>>,
    seeds: Agreement,
    /// The median's, in the direction of the question; infinite where nothing is left.
    size: f64,
}

/// Looks for a setting's decades lost or gained over the steps of recurrent layers: one finding, at
/// the layer where they are most.
pub(super) fn check(examined: &Examination<'_>, question: Question) -> Option<Finding> {
    let concerned = concerned(examined, question);
    let worst = concerned.iter().max_by(|a, b| a.size.total_cmp(&b.size))?;
    let severity = severity(examined, question, worst);
    let message = format!("{}{}", worst.seeds.lead(), in_words(question, worst));
    let figures: Vec<Option<f64>> = worst
        .totals
        .iter()
        .map(|total| total.map(|total| question.sign * total))
        .collect();
    let mut finding = examined
        .finding_by(
            question.decades,
            worst.seeds.severity(severity),
            worst.size,
            message,
        )
        .at(&worst.layer.name)
        .one_of(SUBJECT)
        .seen_by(worst.seeds)
        .over(&figures);
    if question.direction == Direction::Backward {
        finding = finding.because(reach_in_words(question, worst));
        finding = finding.because(given_in_words(examined, question));
    }
    for other in concerned
        .iter()
        .filter(|other| !std::ptr::eq(*other, worst))
    {
        finding = finding.because(in_words(question, other));
    }
    Some(finding)
}

fn total(question: Question, recurrence: &RecurrenceRun) -> Option<f64> {
    match question.direction {
        Direction::Backward => recurrence.backward_total(),
        Direction::Forward => recurrence.forward_total(),
    }
}

/// The decades in the direction of the question; of what ends in an exact zero, all there are.
fn size(question: Question, recurrence: &RecurrenceRun) -> Option<f64> {
    // What is not finite is another rule's.
    if recurrence.non_finite_steps > 0 {
        return None;
    }
    let is_lost = question.direction == Direction::Backward
        && question.sign < 0.0
        && recurrence.backward_decades.last() == Some(&None)
        && recurrence.backward_decades.first() == Some(&Some(0.0));
    match total(question, recurrence) {
        Some(total) => Some(question.sign * total),
        None => is_lost.then_some(f64::INFINITY),
    }
}

fn concerned<'a>(examined: &Examination<'a>, question: Question) -> Vec<Concerned<'a>> {
    let measurement: &'a Measurement = examined.measurement;
    let least = examined.setting(question.decades);
    let mut concerned = Vec::new();
    for layer in measurement.layers.iter().map(|layer| &layer.median) {
        for (index, recurrence) in layer.over_time.iter().enumerate() {
            let of_runs = measurement.runs.iter().map(|run| {
                let mut layers = run.layers.iter();
                let found = layers.find(|found| found.name == layer.name);
                found.and_then(|layer| layer.over_time.get(index))
            });
            let of_runs: Vec<Option<&RecurrenceRun>> = of_runs.collect();
            let beyond = |run: &&Option<&RecurrenceRun>| {
                let size = run.and_then(|run| size(question, run));
                size.is_some_and(|size| size >= least)
            };
            let mut seeds = examined.agreement(|_| false);
            seeds.agreeing = of_runs.iter().filter(beyond).count();
            let Some(size) = size(question, recurrence).filter(|_| !seeds.is_refuted()) else {
                continue;
            };
            // A state that begins near zero, or follows inputs that change, is no growth over time.
            let follows_a_law = matches!(
                law(question, recurrence),
                Some(Law::Exponential { .. } | Law::PowerLaw { .. })
            );
            if question.direction == Direction::Forward && !follows_a_law {
                continue;
            }
            let totals = of_runs.iter().map(|run| total(question, (*run)?));
            concerned.push(Concerned {
                layer,
                recurrence,
                totals: totals.collect(),
                seeds,
                size,
            });
        }
    }
    concerned
}

fn severity(examined: &Examination<'_>, question: Question, worst: &Concerned<'_>) -> Severity {
    if examined.measurement.draws_weights {
        return Severity::Error;
    }
    // In given weights, which may be trained: what no law of depth describes is a note, as it is
    // over layers, and so is what gates forget.
    let law = law(question, worst.recurrence);
    match (law, question.forgotten) {
        (Some(Law::Step { .. } | Law::Irregular), _) => Severity::Info,
        (_, Some(forgotten)) if worst.size < examined.setting(forgotten) => Severity::Info,
        (_, Some(_)) => Severity::Warning,
        (_, None) => Severity::Error,
    }
}

/// The decades by step, first to last; those that end in an exact zero, up to it.
fn by_step(question: Question, recurrence: &RecurrenceRun) -> Vec<f64> {
    let series = match question.direction {
        Direction::Backward => &recurrence.backward_decades,
        Direction::Forward => &recurrence.forward_log10_rms,
    };
    let seen = series.iter().map_while(|decades| *decades);
    let mut seen: Vec<f64> = seen.collect();
    if question.direction == Direction::Backward {
        seen.reverse();
    }
    seen
}

fn law(question: Question, recurrence: &RecurrenceRun) -> Option<Law> {
    let trend = trend(&by_step(question, recurrence), question.direction)?;
    Some(trend.law)
}

fn name_in_words(concerned: &Concerned<'_>) -> String {
    let several = concerned.layer.over_time.len() > 1;
    let name = &concerned.layer.name;
    match (concerned.recurrence.reversed, several) {
        (true, _) => format!("`{name}` (walking backwards in time)"),
        (false, true) => format!("`{name}` (walking forwards in time)"),
        (false, false) => format!("`{name}`"),
    }
}

fn in_words(question: Question, concerned: &Concerned<'_>) -> String {
    let recurrence = concerned.recurrence;
    let (signal, steps) = match question.direction {
        Direction::Backward => ("backward", recurrence.backward_decades.len()),
        Direction::Forward => ("state", recurrence.steps),
    };
    let name = name_in_words(concerned);
    if concerned.size.is_infinite() {
        let left = by_step(question, recurrence).len();
        return format!(
            "the {signal} signal over the {steps} steps of {name} ends: what arrives {left} steps \
             before the last one is exactly zero"
        );
    }
    let verb = match (question.direction, question.sign < 0.0) {
        (Direction::Backward, true) => "loses",
        (Direction::Backward, false) => "gains",
        (Direction::Forward, true) => "shrinks by",
        (Direction::Forward, false) => "grows by",
    };
    let law = match law(question, recurrence) {
        Some(Law::Step { at, decades }) => {
            format!(
                ", {:.1} of them in one step at step {}",
                decades.abs(),
                at + 1
            )
        }
        Some(law) => {
            let words = law.in_words("step", ["first step", "last step"]);
            words.unwrap_or_default()
        }
        None => String::new(),
    };
    let mut text = format!(
        "the {signal} signal {verb} {:.1} decades over the {steps} steps of {name}{law}",
        concerned.size
    );
    if question.direction == Direction::Backward
        && let Some(step) = onset(question, recurrence, 1.0)
    {
        let past = if question.sign < 0.0 {
            "lost"
        } else {
            "gained"
        };
        text.push_str(&format!("; the first decade is {past} by step {step}"));
    }
    text
}

/// Going back from the last step, the step (counted from 1) from which on so many decades are lost
/// or gained for good.
fn onset(question: Question, recurrence: &RecurrenceRun, decades: f64) -> Option<usize> {
    let steps = &recurrence.backward_decades;
    let changed = |step: &&Option<f64>| match step {
        Some(change) => question.sign * change >= decades,
        None => question.sign < 0.0,
    };
    match steps.iter().rev().take_while(changed).count() {
        0 => None,
        step => Some(step),
    }
}

/// From which steps a signal still arrives.
fn reach_in_words(question: Question, worst: &Concerned<'_>) -> String {
    let recurrence = worst.recurrence;
    let steps = recurrence.backward_decades.len();
    let Some(step) = onset(question, recurrence, 3.0) else {
        return String::new();
    };
    let (less, learns) = match question.sign < 0.0 {
        true => (
            "less than a thousandth of what the last one has: its weights, which every step shares, \
             learn from the last steps",
            "what only earlier ones tell is not learnt",
        ),
        false => (
            "more than a thousand times what the last one has: its weights, which every step shares, \
             learn from the first steps",
            "what the last ones tell is drowned",
        ),
    };
    format!(
        "{} steps and more before the last, a step of the state receives {less}, and {learns}",
        steps - step
    )
}

fn given_in_words(examined: &Examination<'_>, question: Question) -> String {
    match question.forgotten {
        Some(forgotten) if !examined.measurement.draws_weights => format!(
            "its weights are given: they may be trained to forget, so fewer than {} decades are a \
             note",
            examined.setting(forgotten)
        ),
        _ => String::new(),
    }
}
