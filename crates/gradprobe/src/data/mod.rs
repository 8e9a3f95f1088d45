//! Inputs and targets: tables from CSV files, and what is made up where there is no file.

mod error;
mod read;
mod scale;
mod synthetic;
mod table;

pub use error::DataError;
pub use read::{Header, ReadOptions, read_table};
pub use scale::Standardise;
pub use synthetic::Synthetic;
pub use table::{Column, Dataset, Table};

pub(crate) use read::reason;
