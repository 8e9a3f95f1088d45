//! A table of numbers, and the inputs and targets taken from it.

use super::{DataError, Standardise};
use crate::num::{Stream, Tensor};
use std::path::PathBuf;

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Column {
    /// The first.
    First,
    /// The last.
    Last,
    /// By number, counted from 1.
    Number(usize),
    /// By its name in the header.
    Name(String),
}

/// Numbers in rows and columns, all finite, and where they came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The file, for messages.
    pub path: PathBuf,
    /// The columns' names, where the file has them.
    pub header: Option<Vec<String>>,
    /// How many numbers a row has.
    pub columns: usize,
    /// The numbers in row-major order.
    pub values: Vec<f64>,
    /// The line of the file that each row begins at.
    pub lines: Vec<u64>,
}

impl Table {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    /// The index of a column.
    pub fn column(&self, column: &Column) -> Result<usize, DataError> {
        let missing = |column: String, available: String| DataError::NoColumn {
            path: self.path.clone(),
            column,
            available,
        };
        match column {
            Column::First => Ok(0),
            Column::Last => Ok(self.columns - 1),
            Column::Number(number) if (1..=self.columns).contains(number) => Ok(number - 1),
            Column::Number(number) => Err(missing(
                number.to_string(),
                format!("columns count from 1 to {}", self.columns),
            )),
            Column::Name(name) => {
                let quoted = format!("`{}`", name.escape_debug());
                let Some(header) = &self.header else {
                    let available = "the file has no header line with names".into();
                    return Err(missing(quoted, available));
                };
                let found = header.iter().position(|candidate| candidate == name);
                found.ok_or_else(|| missing(quoted, listed(header)))
            }
        }
    }
}

/// The columns' names, not too many of them.
fn listed(header: &[String]) -> String {
    const MOST: usize = 12;
    let shown: Vec<String> = header
        .iter()
        .take(MOST)
        .map(|name| format!("`{}`", name.escape_debug()))
        .collect();
    let more = header.len().saturating_sub(MOST);
    let rest = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("there are {}{rest}", shown.join(", "))
}

/// Inputs and, where there is one, a target, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    path: PathBuf,
    lines: Vec<u64>,
    features: usize,
    inputs: Vec<f64>,
    target_column: Option<usize>,
    target: Vec<f64>,
}

impl Dataset {
    /// Takes the target's column out of a table and standardises the rest.
    pub fn new(
        table: Table,
        target: Option<&Column>,
        standardise: Standardise,
    ) -> Result<Self, DataError> {
        let target_column = target.map(|column| table.column(column)).transpose()?;
        let columns = table.columns;
        let features = columns - usize::from(target_column.is_some());
        if features == 0 {
            return Err(DataError::NoInputs { path: table.path });
        }
        let (mut inputs, target) = match target_column {
            None => (table.values, Vec::new()),
            Some(taken) => {
                let target = table.values.chunks_exact(columns).map(|row| row[taken]);
                let target = target.collect();
                let mut position = 0;
                let mut inputs = table.values;
                inputs.retain(|_| {
                    let keep = position % columns != taken;
                    position += 1;
                    keep
                });
                (inputs, target)
            }
        };
        standardise.apply(&mut inputs, features);
        let dataset = Self {
            path: table.path,
            lines: table.lines,
            features,
            inputs,
            target_column,
            target,
        };
        let overflow = dataset.inputs.iter().position(|value| !value.is_finite());
        match overflow {
            None => Ok(dataset),
            Some(index) => {
                let column = index % features;
                let after_target = target_column.is_some_and(|taken| taken <= column);
                Err(DataError::NotFinite {
                    path: dataset.path,
                    line: dataset.lines[index / features],
                    column: column + 1 + usize::from(after_target),
                    text: format!("{} after standardisation", dataset.inputs[index]),
                })
            }
        }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    /// How many inputs a row has.
    pub fn features(&self) -> usize {
        self.features
    }

    /// The inputs in row-major order, standardised.
    pub fn inputs(&self) -> &[f64] {
        &self.inputs
    }

    /// The targets, one a row, as the file has them; empty where there is no target.
    pub fn target(&self) -> &[f64] {
        &self.target
    }

    /// Checks that every target is one of `classes` classes, counted from 0.
    pub fn check_classes(&self, classes: usize) -> Result<(), DataError> {
        let wrong = self
            .target
            .iter()
            .position(|&value| !(value >= 0.0 && value < classes as f64 && value.fract() == 0.0));
        match wrong {
            None => Ok(()),
            Some(row) => Err(DataError::Class {
                path: self.path.clone(),
                line: self.lines[row],
                column: self.target_column.map_or(0, |column| column + 1),
                value: self.target[row].to_string(),
                classes,
            }),
        }
    }

    /// Checks that a batch of `batch` different rows can be drawn.
    pub fn check_batch(&self, batch: usize) -> Result<(), DataError> {
        if batch > self.rows() {
            return Err(DataError::TooFewRows {
                path: self.path.clone(),
                batch,
                rows: self.rows(),
            });
        }
        Ok(())
    }

    /// The indices of a batch's rows: the first ones, or different ones drawn by the seed.
    pub fn batch_rows(&self, batch: usize, seed: Option<u64>) -> Result<Vec<usize>, DataError> {
        self.check_batch(batch)?;
        Ok(match seed {
            None => (0..batch).collect(),
            Some(seed) => Stream::new(seed, "rows").sample(self.rows(), batch),
        })
    }

    /// The inputs of some rows, of shape `[rows, features]`.
    ///
    /// # Panics
    /// If a row's index is out of range.
    pub fn gather_inputs(&self, rows: &[usize]) -> Tensor<f64> {
        let mut data = Vec::with_capacity(rows.len() * self.features);
        for &row in rows {
            data.extend_from_slice(&self.inputs[row * self.features..][..self.features]);
        }
        Tensor::new([rows.len(), self.features], data)
    }

    /// The targets of some rows, of shape `[rows]`.
    ///
    /// # Panics
    /// If there is no target or a row's index is out of range.
    pub fn gather_target(&self, rows: &[usize]) -> Tensor<f64> {
        let data = rows.iter().map(|&row| self.target[row]).collect();
        Tensor::new([rows.len()], data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: usize, values: &[f64], header: Option<&[&str]>) -> Table {
        let rows = values.len() / columns;
        Table {
            path: "data.csv".into(),
            header: header.map(|names| names.iter().map(ToString::to_string).collect()),
            columns,
            values: values.to_vec(),
            lines: (2..rows as u64 + 2).collect(),
        }
    }

    #[test]
    fn the_target_is_taken_out_wherever_it_stands() {
        let header = ["class", "width", "height"];
        let values = [7.0, 1.0, 2.0, 8.0, 3.0, 4.0];
        let cases = [
            (Column::First, [7.0, 8.0], [1.0, 2.0, 3.0, 4.0]),
            (Column::Last, [2.0, 4.0], [7.0, 1.0, 8.0, 3.0]),
            (Column::Number(2), [1.0, 3.0], [7.0, 2.0, 8.0, 4.0]),
            (
                Column::Name("class".into()),
                [7.0, 8.0],
                [1.0, 2.0, 3.0, 4.0],
            ),
        ];
        for (column, target, inputs) in cases {
            let table = table(3, &values, Some(&header));
            let dataset =
                Dataset::new(table, Some(&column), Standardise::None).expect("a good table");
            assert_eq!(dataset.target(), target);
            assert_eq!(dataset.inputs(), inputs);
            assert_eq!(dataset.gather_inputs(&[1, 0]).data()[..2], inputs[2..]);
            assert_eq!(dataset.gather_target(&[1]).data(), &target[1..]);
        }
    }

    #[test]
    fn a_column_that_is_not_there_is_named_with_those_that_are() {
        let error = |column: Column, header: Option<&[&str]>| {
            let table = table(2, &[1.0, 2.0], header);
            let error = Dataset::new(table, Some(&column), Standardise::None);
            error.expect_err("no such column").to_string()
        };
        assert_eq!(
            error(Column::Number(0), None),
            "`data.csv` has no column 0: columns count from 1 to 2"
        );
        assert_eq!(
            error(Column::Name("clas".into()), Some(&["x", "class"])),
            "`data.csv` has no column `clas`: there are `x`, `class`"
        );
        assert_eq!(
            error(Column::Name("y".into()), None),
            "`data.csv` has no column `y`: the file has no header line with names"
        );
    }

    #[test]
    fn a_class_out_of_range_is_named_with_its_place() {
        for (value, shown) in [(10.0, "10"), (-1.0, "-1"), (2.5, "2.5")] {
            let table = table(2, &[0.5, 3.0, 0.5, value], None);
            let dataset =
                Dataset::new(table, Some(&Column::Last), Standardise::None).expect("a table");
            let error = dataset.check_classes(10).expect_err("out of range");
            assert_eq!(
                error.to_string(),
                format!("`data.csv`, line 3, column 2: expected a class from 0 to 9, got {shown}")
            );
        }
    }

    #[test]
    fn a_batch_is_drawn_by_the_seed_without_repeats() {
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        let dataset =
            Dataset::new(table(1, &values, None), None, Standardise::None).expect("a table");
        let batch = |seed| dataset.batch_rows(20, seed).expect("enough rows");
        assert_eq!(batch(Some(1)), batch(Some(1)));
        assert_ne!(batch(Some(1)), batch(Some(2)));
        assert_eq!(batch(None), (0..20).collect::<Vec<_>>());
        let error = dataset.batch_rows(101, None).expect_err("too many");
        assert_eq!(
            error.to_string(),
            "a batch of 101 rows was asked for, but `data.csv` has 100"
        );
    }

    #[test]
    fn an_input_that_standardisation_overflows_is_named() {
        let table = table(2, &[1e300, 1.0, -1e300, 1.0], None);
        let error = Dataset::new(table, Some(&Column::Last), Standardise::PerFeature);
        let message = error.expect_err("overflows").to_string();
        assert!(message.starts_with("`data.csv`, line 2, column 1: expected a finite number"));
        assert!(message.ends_with("after standardisation`"), "{message}");
    }
}
