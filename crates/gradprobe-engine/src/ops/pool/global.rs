//! Pooling of whole channels.

use crate::num::sum::sum;
use crate::num::{Element, Shape, View, ViewMut};
use crate::ops::parallel::for_rows;
use crate::ops::shapes::{expect_inputs, misfit};
use crate::ops::softmax::peak;
use crate::ops::{Context, Kernel, Op, OpElement, OpError, OpFacts, Role, Saved};

/// The mean of every channel: x\[N, C, …\] → y\[N, C, 1, …\].
#[derive(Clone, Copy, Debug, Default)]
pub struct GlobalAveragePool;

/// The largest element of every channel: x\[N, C, …\] → y\[N, C, 1, …\]. Its cotangent goes to the
/// first largest element.
#[derive(Clone, Copy, Debug, Default)]
pub struct GlobalMaxPool;

trait Pool: Sync {
    fn value<T: Element>(plane: &[T]) -> T;
    fn pull<T: Element>(plane: &[T], g: T, dx: &mut [T]);
    const READS_INPUT: bool;
}

impl Pool for GlobalAveragePool {
    const READS_INPUT: bool = false;

    fn value<T: Element>(plane: &[T]) -> T {
        sum(plane) * T::from_f64(1.0 / plane.len() as f64)
    }

    fn pull<T: Element>(_plane: &[T], g: T, dx: &mut [T]) {
        dx.fill(g * T::from_f64(1.0 / dx.len() as f64));
    }
}

impl Pool for GlobalMaxPool {
    const READS_INPUT: bool = true;

    fn value<T: Element>(plane: &[T]) -> T {
        peak(plane).1
    }

    fn pull<T: Element>(plane: &[T], g: T, dx: &mut [T]) {
        dx.fill(T::zero());
        let nan = plane.iter().position(|x| x.is_nan());
        dx[nan.unwrap_or_else(|| peak(plane).0)] = g;
    }
}

macro_rules! global_pool {
    ($name:ident) => {
        impl<T: OpElement> Kernel<T> for $name {
            fn forward(
                &self,
                context: &Context,
                inputs: &[View<'_, T>],
                outputs: &mut [ViewMut<'_, T>],
            ) -> Result<(), OpError> {
                let len: usize = inputs[0].shape[2..].iter().product();
                for_rows(context.parallel, outputs[0].data, 1, |planes, y| {
                    for (plane, y) in planes.zip(y) {
                        *y = Self::value(&inputs[0].data[plane * len..][..len]);
                    }
                });
                Ok(())
            }

            fn vjp(
                &self,
                context: &Context,
                saved: Saved<'_, T>,
                cotangents: &[Option<View<'_, T>>],
                gradients: &mut [Option<ViewMut<'_, T>>],
            ) -> Result<i64, OpError> {
                let (Some(g), Some(gradient)) = (cotangents[0], &mut gradients[0]) else {
                    return Ok(0);
                };
                let x = saved.inputs[0];
                let len: usize = x.shape[2..].iter().product();
                for_rows(context.parallel, gradient.data, len, |planes, dx| {
                    for (plane, dx) in planes.zip(dx.chunks_exact_mut(len)) {
                        let x = if Self::READS_INPUT {
                            &x.data[plane * len..][..len]
                        } else {
                            &[]
                        };
                        Self::pull(x, g.data[plane], dx);
                    }
                });
                Ok(0)
            }
        }

        impl Op for $name {
            fn name(&self) -> &'static str {
                stringify!($name)
            }

            fn role(&self) -> Role {
                Role::Other
            }

            fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, OpError> {
                expect_inputs(inputs, 1..=1)?;
                let x = inputs[0];
                if x.len() < 3 || x[2..].contains(&0) {
                    let expected = "[batch, channels] and spatial axes of at least 1";
                    return Err(misfit("input", expected, x));
                }
                let mut out = vec![1; x.len()];
                out[..2].copy_from_slice(&x[..2]);
                Ok(vec![Shape(out)])
            }

            fn facts(&self) -> OpFacts {
                OpFacts {
                    pools: true,
                    ..OpFacts::default()
                }
            }

            fn per_sample(&self, sampled: &[bool], _inputs: &[&Shape]) -> bool {
                sampled[0]
            }

            fn reads_input(&self, _input: usize) -> bool {
                <Self as Pool>::READS_INPUT
            }

            fn reads_outputs(&self) -> bool {
                false
            }

            fn flops(&self, inputs: &[&Shape], _outputs: &[Shape]) -> u64 {
                inputs[0].element_count() as u64
            }
        }
    };
}

global_pool!(GlobalAveragePool);
global_pool!(GlobalMaxPool);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nan_wins() {
        assert!(GlobalMaxPool::value(&[1.0, f64::NAN, 3.0]).is_nan());
        let mut dx = [5.0; 3];
        GlobalMaxPool::pull(&[1.0, f64::NAN, 3.0], 2.0, &mut dx);
        assert_eq!(dx, [0.0, 2.0, 0.0]);
    }
}
