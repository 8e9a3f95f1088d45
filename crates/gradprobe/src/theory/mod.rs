//! theory

pub mod chain_batch;
