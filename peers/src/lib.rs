//! gradprobe beside PyTorch, Keras, TensorFlow and JAX, as they are installed by
//! `cargo xtask peers`.
//!
//! A maker (`makers/NAME.py`) exports networks and writes down what their framework computes for
//! them in double precision: [`cases`] runs it, once for as long as it does not change. [`examine`]
//! runs an exported file in gradprobe, and [`Case::differences`] compares the two.
//!
//! ```no_run
//! for case in gradprobe_peers::cases("exporters") {
//!     for model in &case.models {
//!         assert_eq!(case.differences(model), [""; 0], "{} {}", case.name, model.form);
//!     }
//! }
//! ```

#![allow(clippy::unwrap_used)]

mod case;
mod compare;
mod examine;
mod maker;
mod safetensors;

pub use case::{Case, Model};
pub use compare::{Layout, TOLERANCE, difference};
pub use examine::{Examined, Gradient, examine};
pub use maker::{cases, run_maker};
pub use safetensors::{Array, read};
