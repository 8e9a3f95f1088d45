//! What was found, written down: one file a format, or a folder.

mod chain_csv;
mod chain_json;
mod chain_latex;
mod chain_text;
mod chart;
mod check_json;
mod check_text;
mod escape;
mod findings;
mod jacobian_json;
mod jacobian_text;
mod junit;
mod layout;
mod ops;
mod picture;
mod precision_text;
mod rules;
mod sarif;
mod text_options;
mod theory_check;
mod theory_json;
mod theory_phase;
mod theory_text;

pub use chain_csv::write_chain_csv;
pub use chain_json::{CHAIN_SCHEMA, ChainJsonOptions, write_chain_json};
pub use chain_latex::write_chain_latex;
pub use chain_text::{ChainTextOptions, Language, write_chain_text};
pub use check_json::{CHECK_SCHEMA, write_check_json};
pub use check_text::write_check_text;
pub use escape::escape;
pub use findings::{FindingSource, JudgedFinding, Region};
pub use jacobian_json::{JACOBIAN_SCHEMA, write_jacobian_json};
pub use jacobian_text::write_jacobian_text;
pub use junit::write_junit;
pub use ops::{write_ops_markdown, write_ops_text};
pub use picture::{PictureError, png};
pub use rules::{
    rule_page_file, write_rule_markdown, write_rule_text, write_rules_json, write_rules_markdown,
    write_rules_text,
};
pub use sarif::write_sarif;
pub use text_options::CheckTextOptions;
pub use theory_check::write_check_theory;
pub use theory_json::{THEORY_SCHEMA, TheoryAnswer, write_theory_json};
pub use theory_phase::{EdgePoint, PhaseDiagram};
pub use theory_text::{write_experiments_text, write_theory_text};
