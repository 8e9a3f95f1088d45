//! The rules: one file a rule, one row each in the registry.
//!
//! To add a rule: a file here with its [`Rule`], a row below, and `docs/rules/` drawn anew
//! (`UPDATE_DOCS=1 cargo test -p gradprobe-cli --test check rules`).

pub mod batch_norm_explosion;
pub mod cancelled_gradient;
pub mod dead_units;
pub mod exploding_gradient;
pub mod exploding_signal;
pub mod gradient_noise;
pub mod hot_output;
pub mod linear_network;
pub mod loss_scale_window;
pub mod lost_update;
pub mod non_finite;
pub mod output_activation;
pub mod overflow_in_type;
pub mod poor_initialisation;
pub mod post_norm_growth;
pub mod rank_collapse;
pub mod residual_growth;
pub mod sagemaker;
pub mod saturated_activation;
pub mod symmetric_weights;
pub mod underflowed_gradient;
pub mod unscaled_input;
pub mod update_ratio;
pub mod vanishing_gradient;
pub mod vanishing_signal;
pub mod zero_gradient;

mod depth;
mod forward;
mod precision;
mod time;

use super::rule::Rule;

/// Every rule, by code.
pub fn registry() -> &'static [&'static Rule] {
    static RULES: &[&Rule] = &[
        &vanishing_gradient::RULE,
        &exploding_gradient::RULE,
        &zero_gradient::RULE,
        &non_finite::RULE,
        &vanishing_signal::RULE,
        &exploding_signal::RULE,
        &saturated_activation::RULE,
        &dead_units::RULE,
        &poor_initialisation::RULE,
        &symmetric_weights::RULE,
        &unscaled_input::RULE,
        &hot_output::RULE,
        &rank_collapse::RULE,
        &batch_norm_explosion::RULE,
        &post_norm_growth::RULE,
        &residual_growth::RULE,
        &update_ratio::RULE,
        &gradient_noise::RULE,
        &cancelled_gradient::RULE,
        &underflowed_gradient::RULE,
        &overflow_in_type::RULE,
        &lost_update::RULE,
        &loss_scale_window::RULE,
        &output_activation::RULE,
        &linear_network::RULE,
        &sagemaker::vanishing_gradient::RULE,
        &sagemaker::exploding_tensor::RULE,
        &sagemaker::dead_relu::RULE,
        &sagemaker::saturated_activation::RULE,
        &sagemaker::poor_weight_initialization::RULE,
        &sagemaker::weight_update_ratio::RULE,
        &sagemaker::all_zero::RULE,
        &sagemaker::tensor_variance::RULE,
    ];
    RULES
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_and_names_are_unique_and_well_formed() {
        let mut seen = HashSet::new();
        for rule in registry() {
            assert!(
                seen.insert(rule.code) && seen.insert(rule.name),
                "{}",
                rule.code
            );
            let (letters, digits) = rule.code.split_at(2);
            assert!(
                letters.chars().all(|c| c.is_ascii_uppercase()),
                "{}",
                rule.code
            );
            assert!(
                digits.len() == 3 && digits.chars().all(|c| c.is_ascii_digit()),
                "{}",
                rule.code
            );
            // SageMaker's rules keep the names they have there.
            let well_formed = match letters {
                "SM" => rule.name.chars().all(|c| c.is_ascii_alphabetic()),
                _ => rule
                    .name
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c == '-'),
            };
            assert!(well_formed, "{}", rule.name);
        }
    }

    #[test]
    fn every_page_has_every_section_and_every_setting_its_reason() {
        for rule in registry() {
            for (title, text) in rule.page.sections() {
                assert!(text.trim().len() > 20, "{}: {title}", rule.code);
            }
            let mut names = HashSet::new();
            for setting in rule.settings {
                assert!(names.insert(setting.name), "{}.{}", rule.code, setting.name);
                assert!(
                    !setting.reason.is_empty() && !setting.source.is_empty(),
                    "{}",
                    rule.code
                );
                assert!(
                    setting.accepts(setting.default),
                    "{}.{}",
                    rule.code,
                    setting.name
                );
            }
        }
    }
}
