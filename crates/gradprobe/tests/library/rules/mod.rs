//! The rules: what each must find, what it must not, and how often they are right.

mod bars;
mod each;
mod families;
mod numerics;
mod over_time;
mod published;
mod sagemaker;
mod scale;
mod spelling;
mod structure;

use gradprobe::check::{Check, check};
use gradprobe::diagnose::{Finding, Severity};
use gradprobe::import::spec::{Network, Specification};

/// Checks a network given as TOML.
fn checked(text: &str) -> Check {
    let specification =
        Specification::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let network = Network::new(specification).unwrap_or_else(|error| panic!("{error}\n{text}"));
    check(&network, 0, &mut |_| {}).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The findings of a severity of at least warning.
fn alarms(check: &Check) -> Vec<&Finding> {
    let findings = check.diagnosis.findings.iter();
    findings
        .filter(|finding| finding.severity >= Severity::Warning)
        .collect()
}

fn codes(check: &Check) -> Vec<String> {
    alarms(check)
        .iter()
        .map(|finding| finding.code.clone())
        .collect()
}

/// Codes of all findings, notes included.
fn all_codes(check: &Check) -> Vec<String> {
    check
        .diagnosis
        .findings
        .iter()
        .map(|finding| finding.code.clone())
        .collect()
}

/// A perceptron: `depth` layers with weights, the last of 10 units without activation.
#[derive(Clone)]
struct Mlp {
    depth: usize,
    width: usize,
    activation: &'static str,
    init: &'static str,
    head: &'static str,
    seed: usize,
    seeds: usize,
    more: &'static str,
}

impl Mlp {
    fn new(depth: usize, width: usize, activation: &'static str, init: &'static str) -> Self {
        Self {
            depth,
            width,
            activation,
            init,
            head: "",
            seed: 0,
            seeds: 3,
            more: "",
        }
    }

    fn head(self, head: &'static str) -> Self {
        Self { head, ..self }
    }

    fn more(self, more: &'static str) -> Self {
        Self { more, ..self }
    }

    fn seed(self, seed: usize) -> Self {
        Self { seed, ..self }
    }

    fn text(&self) -> String {
        let Self {
            depth,
            width,
            activation,
            init,
            head,
            seed,
            seeds,
            more,
        } = self;
        let hidden = depth - 1;
        let init = match init.starts_with('{') {
            true => (*init).to_owned(),
            false => format!("\"{init}\""),
        };
        format!(
            "name = \"{depth} {activation} layers of {width}\"\ninput = {width}\nbatch = 32\n\
             seed = {seed}\nseeds = {seeds}\nlayers = [\n  {{ repeat = {hidden}, layers = [{{ linear = \
             {width}, activation = \"{activation}\" }}] }},\n  {{ linear = 10{head} }},\n]\n\
             [defaults]\ninit = {init}\n[loss]\nname = \"cross-entropy\"\n{more}"
        )
    }

    fn check(&self) -> Check {
        checked(&self.text())
    }
}
