//! Promises of the library as a whole: chains and theory against golden tables and published
//! experiments, networks against PyTorch, and what the rules find and leave alone.

#![allow(clippy::unwrap_used)]

mod batch_norm;
mod beside_theory;
mod chain_golden;
mod chain_torch;
mod convolutions;
mod engine;
mod examples;
mod experiments;
mod isometry;
mod jacobian;
mod layer_norm;
mod long_recurrences;
mod loss_scale;
mod mean_field_golden;
mod mean_field_reference;
mod memory;
mod networks;
mod over_time;
mod precision;
mod published_experiments;
mod rules;
mod sequence_networks;
mod skip_connections;
mod support;
