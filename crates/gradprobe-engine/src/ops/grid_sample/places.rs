//! What a place of the grid reads: elements of the image, their weights, and the weights' slopes.
//!
//! Coordinates are taken in double precision. A coordinate that is not finite, and that no padding
//! brings into the image, has weights that are not numbers: the result is then not one either, as
//! in PyTorch on a CPU.

use super::{GridSample, Outside, Sampling};
use crate::num::Element;

/// Keys' a: PyTorch's, and that of ONNX.
const CUBIC_A: f64 = -0.75;
/// The most neighbours along an axis, and the most axes.
const NEIGHBOURS: usize = 4;
const AXES: usize = 3;

/// Finds what places read.
pub(super) struct Sampler<'a> {
    pub(super) op: GridSample,
    pub(super) spatial: &'a [usize],
}

/// A neighbour along one axis.
#[derive(Clone, Copy, Default)]
struct Neighbour {
    /// Where it is; `None` outside of the image.
    index: Option<usize>,
    weight: f64,
    /// The derivative of the weight by the coordinate.
    slope: f64,
}

/// An element that a place reads.
#[derive(Clone, Copy)]
struct Read {
    /// Where it is in a channel; `None` outside, where there is a zero.
    offset: Option<usize>,
    weight: f64,
    /// The derivatives of the weight by the coordinates, in the grid's order.
    slopes: [f64; AXES],
}

/// All that a place reads.
#[derive(Default)]
pub(super) struct Place {
    reads: Vec<Read>,
}

impl Sampler<'_> {
    /// What the place with these coordinates reads.
    pub(super) fn locate<T: Element>(&self, coordinates: &[T], place: &mut Place) {
        let rank = self.spatial.len();
        let mut neighbours = [[Neighbour::default(); NEIGHBOURS]; AXES];
        let mut count = 1;
        for (axis, &extent) in self.spatial.iter().enumerate() {
            let coordinate = coordinates[rank - 1 - axis].to_f64();
            count = self.neighbours(coordinate, extent, &mut neighbours[axis]);
        }
        place.reads.clear();
        for combination in 0..count.pow(rank as u32) {
            let mut chosen = [Neighbour::default(); AXES];
            let mut rest = combination;
            for axis in (0..rank).rev() {
                chosen[axis] = neighbours[axis][rest % count];
                rest /= count;
            }
            let read = self.read(&chosen[..rank]);
            // What is outside adds nothing but where it makes the sum no number.
            if read.offset.is_some() || !read.weight.is_finite() {
                place.reads.push(read);
            }
        }
    }

    fn read(&self, chosen: &[Neighbour]) -> Read {
        let rank = chosen.len();
        let mut slopes = [0.0; AXES];
        for (axis, own) in chosen.iter().enumerate() {
            let others = chosen.iter().enumerate();
            let others = others.filter(|&(other, _)| other != axis);
            let product: f64 = others.map(|(_, neighbour)| neighbour.weight).product();
            slopes[rank - 1 - axis] = product * own.slope;
        }
        let mut indices = chosen.iter().zip(self.spatial);
        Read {
            offset: indices.try_fold(0, |offset, (neighbour, &extent)| {
                Some(offset * extent + neighbour.index?)
            }),
            weight: chosen.iter().map(|neighbour| neighbour.weight).product(),
            slopes,
        }
    }

    /// Writes what a coordinate along one axis reads, and returns how many that are.
    fn neighbours(
        &self,
        coordinate: f64,
        extent: usize,
        neighbours: &mut [Neighbour; NEIGHBOURS],
    ) -> usize {
        let (at, slope) = self.unnormalised(coordinate, extent);
        match self.op.mode {
            Sampling::Nearest => {
                let (at, _) = self.padded(at, extent);
                neighbours[0] = Neighbour {
                    index: inside(at.round_ties_even(), extent),
                    weight: 1.0,
                    slope: 0.0,
                };
                1
            }
            Sampling::Linear => {
                let (at, moves) = self.padded(at, extent);
                let first = at.floor();
                let slope = slope * moves;
                let weights = [(first + 1.0 - at, -slope), (at - first, slope)];
                for (offset, (weight, slope)) in weights.into_iter().enumerate() {
                    neighbours[offset] = Neighbour {
                        index: inside(first + offset as f64, extent),
                        weight,
                        slope,
                    };
                }
                2
            }
            Sampling::Cubic => {
                // Here it is the neighbours that are brought into the image, not the place.
                let first = at.floor() - 1.0;
                for (offset, neighbour) in neighbours.iter_mut().enumerate() {
                    let index = first + offset as f64;
                    let (weight, by_distance) = cubic(at - index);
                    *neighbour = Neighbour {
                        index: inside(self.padded(index, extent).0, extent),
                        weight,
                        slope: by_distance * slope,
                    };
                }
                4
            }
        }
    }

    /// A coordinate from −1 to 1 as an index, and the derivative of that.
    fn unnormalised(&self, coordinate: f64, extent: usize) -> (f64, f64) {
        let extent = extent as f64;
        match self.op.align_corners {
            true => {
                let slope = (extent - 1.0) / 2.0;
                ((coordinate + 1.0) * slope, slope)
            }
            false => (((coordinate + 1.0) * extent - 1.0) / 2.0, extent / 2.0),
        }
    }

    /// An index brought into the image as the padding says, and the derivative of that.
    fn padded(&self, at: f64, extent: usize) -> (f64, f64) {
        match self.op.padding {
            Outside::Zeros => (at, 1.0),
            Outside::Border => clamped(at, extent),
            Outside::Reflection => {
                let (at, sign) = self.reflected(at, extent);
                let (at, moves) = clamped(at, extent);
                (at, sign * moves)
            }
        }
    }

    /// Reflected at the centres of the outermost elements, or at their outer edges.
    fn reflected(&self, at: f64, extent: usize) -> (f64, f64) {
        let (least, span) = match self.op.align_corners {
            true => (0.0, extent as f64 - 1.0),
            false => (-0.5, extent as f64),
        };
        if span == 0.0 {
            return (0.0, 0.0);
        }
        let sign = if at < least { -1.0 } else { 1.0 };
        let distance = (at - least).abs();
        let beyond = distance % span;
        if (distance / span).floor() % 2.0 == 0.0 {
            (least + beyond, sign)
        } else {
            (least + span - beyond, -sign)
        }
    }
}

/// Brought between 0 and the last index, where a NaN becomes 0, and the derivative of that.
fn clamped(at: f64, extent: usize) -> (f64, f64) {
    let last = (extent - 1) as f64;
    if at >= last {
        (last, 0.0)
    } else if at > 0.0 {
        (at, 1.0)
    } else {
        (0.0, 0.0)
    }
}

/// A whole number as an index, if there is such an element.
fn inside(at: f64, extent: usize) -> Option<usize> {
    (at >= 0.0 && at < extent as f64).then_some(at as usize)
}

/// Keys' kernel at a signed distance of up to 2, and its derivative.
fn cubic(distance: f64) -> (f64, f64) {
    const A: f64 = CUBIC_A;
    let x = distance.abs();
    let sign = 1f64.copysign(distance);
    let (value, slope) = if x <= 1.0 {
        (
            ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            (3.0 * (A + 2.0) * x - 2.0 * (A + 3.0)) * x,
        )
    } else {
        (
            ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A,
            (3.0 * A * x - 10.0 * A) * x + 8.0 * A,
        )
    };
    (value, sign * slope)
}

impl Place {
    /// The weighted sum of what is read of a channel.
    pub(super) fn read<T: Element>(&self, plane: &[T]) -> T {
        let mut sum = T::zero();
        for read in &self.reads {
            let value = read.offset.map_or(T::zero(), |offset| plane[offset]);
            sum += value * T::from_f64(read.weight);
        }
        sum
    }

    /// Adds `g` by the weights to a channel's gradient.
    pub(super) fn add<T: Element>(&self, g: T, plane: &mut [T]) {
        for read in &self.reads {
            if let Some(offset) = read.offset {
                plane[offset] += g * T::from_f64(read.weight);
            }
        }
    }

    /// Adds the derivatives by the coordinates × `g` to the gradient of the place.
    pub(super) fn add_slopes<T: Element>(&self, g: T, plane: &[T], gradient: &mut [T]) {
        for read in &self.reads {
            let value = read.offset.map_or(T::zero(), |offset| plane[offset]);
            for (gradient, &slope) in gradient.iter_mut().zip(&read.slopes) {
                *gradient += g * value * T::from_f64(slope);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(mode: Sampling, padding: Outside, align_corners: bool) -> Sampler<'static> {
        Sampler {
            op: GridSample {
                mode,
                padding,
                align_corners,
            },
            spatial: &[4],
        }
    }

    #[test]
    fn reflection_goes_on_until_inside() {
        let edges = sampler(Sampling::Linear, Outside::Reflection, false);
        for (at, expected) in [(-3.5, 2.5), (-0.75, -0.25), (4.0, 3.0), (9.25, 1.25)] {
            assert_eq!(edges.reflected(at, 4).0, expected, "{at}");
        }
        let centres = sampler(Sampling::Linear, Outside::Reflection, true);
        for (at, expected) in [(-1.0, 1.0), (4.0, 2.0), (7.0, 1.0)] {
            assert_eq!(centres.reflected(at, 4).0, expected, "{at}");
        }
        assert_eq!(centres.reflected(5.0, 1), (0.0, 0.0));
    }

    #[test]
    fn cubic_weights_sum_to_one_and_their_slopes_to_zero() {
        let sampler = sampler(Sampling::Cubic, Outside::Border, false);
        for coordinate in [-1.3, -0.9, 0.0, 0.17, 0.99] {
            let mut neighbours = [Neighbour::default(); NEIGHBOURS];
            assert_eq!(sampler.neighbours(coordinate, 4, &mut neighbours), 4);
            let weights: f64 = neighbours.iter().map(|n| n.weight).sum();
            let slopes: f64 = neighbours.iter().map(|n| n.slope).sum();
            assert!((weights - 1.0).abs() < 1e-14 && slopes.abs() < 1e-14);
        }
    }

    #[test]
    fn a_coordinate_that_is_no_number_is_seen_or_the_border() {
        let read = |mode, padding, coordinate: f64| {
            let mut place = Place::default();
            let sampler = sampler(mode, padding, false);
            sampler.locate(&[coordinate], &mut place);
            place.read(&[5.0, 6.0, 7.0, 8.0])
        };
        let (nan, infinity) = (f64::NAN, f64::INFINITY);
        for coordinate in [nan, infinity, -infinity] {
            assert!(read(Sampling::Linear, Outside::Zeros, coordinate).is_nan());
            assert!(read(Sampling::Cubic, Outside::Border, coordinate).is_nan());
            assert_eq!(read(Sampling::Nearest, Outside::Zeros, coordinate), 0.0);
        }
        // What PyTorch's documentation says of a NaN: it is taken as −1.
        assert_eq!(read(Sampling::Linear, Outside::Border, nan), 5.0);
        assert_eq!(read(Sampling::Linear, Outside::Border, infinity), 8.0);
        assert_eq!(read(Sampling::Linear, Outside::Reflection, infinity), 5.0);
        assert_eq!(read(Sampling::Linear, Outside::Zeros, 1e30), 0.0);
    }
}
