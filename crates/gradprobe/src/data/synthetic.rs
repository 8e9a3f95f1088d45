//! Inputs made up where there is no file.

use crate::num::{Shape, Stream, Tensor};
use serde::{Deserialize, Serialize};

/// How inputs are made up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Synthetic {
    /// Independent normal numbers.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        std: f64,
    },
    /// Independent numbers evenly distributed on [low, high).
    Uniform {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
    /// One value everywhere.
    Constant {
        /// The value.
        value: f64,
    },
    /// In each row one 1, at a random place, and zeros.
    OneHot,
    /// Whole numbers drawn evenly from 0 to `below` − 1: tokens, classes.
    Ids {
        /// How many there are.
        below: usize,
    },
}

impl Default for Synthetic {
    fn default() -> Self {
        Self::Normal {
            mean: 0.0,
            std: 1.0,
        }
    }
}

impl Synthetic {
    /// A tensor of the given shape, axis 0 being the batch, drawn by the seed under a name.
    pub fn draw(self, shape: &[usize], seed: u64, name: &str) -> Tensor<f64> {
        let mut tensor = Tensor::zeros(Shape::new(shape));
        let mut stream = Stream::new(seed, name);
        let row = tensor.shape().row_len();
        let out = tensor.data_mut();
        match self {
            Self::Normal { mean, std } => stream.fill_normal(mean, std, out),
            Self::Uniform { low, high } => stream.fill_uniform(low, high, out),
            Self::Constant { value } => out.fill(value),
            Self::Ids { below } => {
                let ids = out.iter_mut();
                ids.for_each(|id| *id = stream.below(below.max(1) as u64) as f64);
            }
            Self::OneHot => {
                for row in out.chunks_mut(row.max(1)) {
                    let hot = stream.below(row.len() as u64) as usize;
                    row[hot] = 1.0;
                }
            }
        }
        tensor
    }

    /// Random classes from 0 to `classes` − 1, of shape `[rows]`.
    pub fn draw_classes(rows: usize, classes: usize, seed: u64, name: &str) -> Tensor<f64> {
        let mut stream = Stream::new(seed, name);
        let data = (0..rows)
            .map(|_| stream.below(classes as u64) as f64)
            .collect();
        Tensor::new([rows], data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_up_depends_on_the_seed_and_the_name_alone() {
        let normal = Synthetic::default();
        assert_eq!(
            normal.draw(&[8, 5], 3, "input"),
            normal.draw(&[8, 5], 3, "input")
        );
        assert_ne!(
            normal.draw(&[8, 5], 3, "input"),
            normal.draw(&[8, 5], 4, "input")
        );
        assert_ne!(
            normal.draw(&[8, 5], 3, "input"),
            normal.draw(&[8, 5], 3, "target")
        );
        // A larger batch begins with the smaller one.
        let (small, large) = (normal.draw(&[8, 5], 3, "x"), normal.draw(&[9, 5], 3, "x"));
        assert_eq!(small.data(), &large.data()[..40]);
    }

    #[test]
    fn one_hot_rows_sum_to_one_and_classes_stay_in_range() {
        let hot = Synthetic::OneHot.draw(&[50, 7], 0, "input");
        assert!(
            hot.data()
                .chunks(7)
                .all(|row| row.iter().sum::<f64>() == 1.0)
        );
        let classes = Synthetic::draw_classes(500, 7, 0, "target");
        for class in 0..7 {
            assert!(classes.data().contains(&f64::from(class)));
        }
        assert!(classes.data().iter().all(|&class| class < 7.0));
    }
}
