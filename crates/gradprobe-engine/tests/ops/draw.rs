//! Random cases, from a seed alone.

use gradprobe_engine::num::{Shape, Tensor};
use gradprobe_engine::ops::{Context, Op};

/// splitmix64.
pub struct Draw(pub u64);

impl Draw {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A whole number from `least` to `most`.
    pub fn size(&mut self, least: usize, most: usize) -> usize {
        least + (self.bits() % (most - least + 1) as u64) as usize
    }

    pub fn coin(&mut self) -> bool {
        self.bits() & 1 == 1
    }

    /// Uniform.
    pub fn real(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * ((self.bits() >> 11) as f64 / (1u64 << 53) as f64)
    }

    pub fn shape(&mut self, least_rank: usize, most_rank: usize) -> Vec<usize> {
        let rank = self.size(least_rank, most_rank);
        (0..rank).map(|_| self.size(1, 4)).collect()
    }

    /// Uniform between −2 and 2.
    pub fn tensor(&mut self, shape: &[usize]) -> Tensor<f64> {
        let count = shape.iter().product();
        let data = (0..count).map(|_| self.real(-2.0, 2.0)).collect();
        Tensor::new(Shape::new(shape), data)
    }

    /// Of magnitude 0.5 to 2, for divisors and the like.
    pub fn away_from_zero(&mut self, shape: &[usize]) -> Tensor<f64> {
        let mut tensor = self.tensor(shape);
        for value in tensor.data_mut() {
            *value = value.signum() * (0.5 + 0.75 * value.abs());
        }
        tensor
    }

    /// In random order, between −1 and 1 with steps that central differences do not cross, for
    /// maxima (of up to 900 elements).
    pub fn distinct(&mut self, shape: &[usize]) -> Tensor<f64> {
        let count: usize = shape.iter().product();
        let step = 2.0 / count.max(20) as f64;
        let mut data: Vec<f64> = (0..count)
            .map(|i| (i as f64 - count as f64 / 2.0 + 0.5) * step)
            .collect();
        for last in (1..count).rev() {
            data.swap(last, self.size(0, last));
        }
        Tensor::new(Shape::new(shape), data)
    }

    /// A shape that broadcasts to `shape`: fewer axes, or extents that are 1.
    pub fn broadcastable(&mut self, shape: &[usize]) -> Vec<usize> {
        let kept = self.size(0, shape.len());
        let tail = &shape[shape.len() - kept..];
        tail.iter()
            .map(|&extent| if self.size(0, 2) == 0 { 1 } else { extent })
            .collect()
    }
}

/// An op with operands it takes.
pub struct Case {
    pub op: Box<dyn Op>,
    pub inputs: Vec<Tensor<f64>>,
    pub context: Context,
}

impl Case {
    pub fn new(op: impl Op + 'static, inputs: Vec<Tensor<f64>>) -> Self {
        let context = Context {
            random_key: 12345,
            ..Context::default()
        };
        Self {
            op: Box::new(op),
            inputs,
            context,
        }
    }

    pub fn describe(&self) -> String {
        let shapes: Vec<_> = self.inputs.iter().map(|x| x.shape().to_string()).collect();
        format!(
            "{:?} of {} in {:?}",
            self.op,
            shapes.join(", "),
            self.context.mode
        )
    }
}
