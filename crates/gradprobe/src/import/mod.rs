//! Networks from files: a specification in TOML.

pub mod spec;
