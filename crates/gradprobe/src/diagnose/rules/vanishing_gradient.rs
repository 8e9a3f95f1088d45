//! The backward signal shrinks by decades on its way from the last layer to the first.

use super::{Rule, depth};

/// The rule's code.
pub const CODE: &str = "GP001";

/// The rule.
pub const RULE: Rule = Rule {
    code: CODE,
    name: "vanishing-gradient",
    about: "the backward signal shrinks by three decades or more from the last layer to the first",
    check: |measurement| depth::check(&RULE, measurement, -1.0),
};
