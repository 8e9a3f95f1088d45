//! Inputs and targets: tables from CSV files, named arrays from NPY, NPZ and safetensors files, and
//! what is made up where there is no file.

mod arrays;
mod error;
mod read;
mod scale;
mod synthetic;
mod table;

pub use arrays::{Array, read_arrays};
pub use error::DataError;
pub(crate) use error::quoted;
pub use read::{Header, ReadOptions, read_table};
pub use scale::Standardise;
pub use synthetic::Synthetic;
pub use table::{Column, Dataset, Table};

pub(crate) use arrays::ElementType;
pub(crate) use read::reason;
