//! Thresholds of rules that somebody moved.

use std::collections::BTreeMap;

/// By code of the rule and name of the setting: the value that was set.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Settings(BTreeMap<(&'static str, &'static str), f64>);

impl Settings {
    /// What a rule's setting was set to; `None` where it has its default.
    pub fn value(&self, code: &'static str, setting: &'static str) -> Option<f64> {
        self.0.get(&(code, setting)).copied()
    }

    /// Sets it.
    pub fn set(&mut self, code: &'static str, setting: &'static str, value: f64) {
        self.0.insert((code, setting), value);
    }
}
