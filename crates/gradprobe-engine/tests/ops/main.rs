//! What every op promises, each tested on random cases of every op.

#![allow(clippy::unwrap_used)]

mod cases;
mod draw;
mod elementwise;
mod errors;
mod functions;
mod indexed;
mod large;
mod long_sequences;
mod non_finite;
mod promises;
mod pytorch;
mod rearranging;
mod sequences;
mod signals;
mod windowed;
