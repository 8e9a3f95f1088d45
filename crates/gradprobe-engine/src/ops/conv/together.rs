//! Small images of a batch, multiplied together: one alone has too few positions for a matrix
//! product to be efficient, and all of the weight would be read for it.

use super::columns::{Columns, group_of};
use super::{LEAST_COLUMNS_FOR_WEIGHT, shares_images};
use crate::num::Element;
use crate::num::linalg::{Matrix, MatrixMut};
use crate::ops::parallel::for_each_part;
use crate::ops::{Context, OpElement};

/// Positions of an image from which on a product of its own is efficient.
const ENOUGH_POSITIONS: usize = 64;
/// A smaller weight is cheap to read again, and its products too small to hand over.
const LEAST_WEIGHT: usize = 1 << 14;
/// Elements that the columns of the images may have together.
const MOST_ELEMENTS: usize = 1 << 21;
/// Channels whose columns are worth a hand-over to another thread.
const CHANNELS_OF_PART: usize = 16;

impl Columns<'_> {
    /// Images `from` one slice to another, both with the elements of one: some `together` where they
    /// are small, else each `alone`, which is told whether threads are to share an image.
    pub(super) fn for_images<T: OpElement>(
        &self,
        context: &Context,
        (from, from_len): (&[T], usize),
        (to, to_len): (&mut [T], usize),
        together: impl Fn(&[T], &mut [T]),
        alone: impl Fn(bool, &[T], &mut [T]) + Sync,
    ) {
        let images = self.images_together(to.len() / to_len.max(1));
        if images > 1 {
            let parts = from.chunks(images * from_len);
            return parts
                .zip(to.chunks_mut(images * to_len))
                .for_each(|(from, to)| together(from, to));
        }
        let within = shares_images(context, to.len() / to_len.max(1));
        for_each_part(context.parallel, to, to_len, |image, to| {
            alone(within, &from[image * from_len..][..from_len], to);
        });
    }

    /// How many images are multiplied together; 1 for each on its own.
    fn images_together(&self, images: usize) -> usize {
        let plan = self.plan;
        let positions = plan.window.output_len().max(1);
        if positions >= ENOUGH_POSITIONS || plan.kernels * plan.fan_in() < LEAST_WEIGHT {
            return 1;
        }
        (MOST_ELEMENTS / (plan.fan_in() * positions)).clamp(1, images.max(1))
    }

    /// Is the weight's gradient one product over the positions of all images? Of small ones, for all
    /// of it would be read and written for each; and of a single one, which cannot be shared among
    /// threads otherwise.
    pub(super) fn are_multiplied_at_once(&self, images: usize) -> bool {
        let positions = self.plan.window.output_len();
        match images {
            1 => self.plan.fan_in().saturating_mul(positions) <= MOST_ELEMENTS,
            _ => positions < LEAST_COLUMNS_FOR_WEIGHT,
        }
    }

    /// y = W ∗ x for some images, with the bias if there is one.
    pub(super) fn forward_together<T: OpElement>(
        &self,
        context: &Context,
        x: &[T],
        w: &[T],
        bias: Option<&[T]>,
        y: &mut [T],
    ) {
        let plan = self.plan;
        let (outputs, kernels) = (plan.window.output_len(), plan.kernels);
        self.with_room(x.len() / plan.input_len(), |width, columns, products| {
            for group in 0..plan.groups {
                self.gather_images(context, group, x, columns);
                T::matmul_tiled(
                    MatrixMut::new(products, kernels, width),
                    self.weight_of(w, group),
                    Matrix::new(columns, plan.fan_in(), width),
                    false,
                    context.parallel,
                );
                let bias = bias.map(|bias| group_of(bias, group, kernels));
                for (image, y) in y.chunks_exact_mut(plan.output_len()).enumerate() {
                    let y = &mut y[group * kernels * outputs..][..kernels * outputs];
                    deal_out(products, image, width, outputs, y);
                    for (y, &bias) in y.chunks_exact_mut(outputs).zip(bias.into_iter().flatten()) {
                        y.iter_mut().for_each(|y| *y += bias);
                    }
                }
            }
        });
    }

    /// ∂x = Wᵀ g for some images.
    pub(super) fn pull_input_together<T: OpElement>(
        &self,
        context: &Context,
        w: &[T],
        g: &[T],
        dx: &mut [T],
    ) {
        let plan = self.plan;
        let outputs = plan.window.output_len();
        let input_len = plan.channels * plan.window.input_len();
        self.with_room(g.len() / plan.output_len(), |width, columns, cotangents| {
            for group in 0..plan.groups {
                self.line_up_cotangents(group, g, cotangents);
                T::matmul_tiled(
                    MatrixMut::new(columns, plan.fan_in(), width),
                    self.weight_of(w, group).transposed(),
                    Matrix::new(cotangents, plan.kernels, width),
                    false,
                    context.parallel,
                );
                let columns = &*columns;
                for_each_part(context.parallel, dx, plan.input_len(), |image, dx| {
                    let dx = &mut dx[group * input_len..][..input_len];
                    if plan.window.is_pointwise() {
                        return deal_out(columns, image, width, outputs, dx);
                    }
                    dx.fill(T::zero());
                    let lines = 0..plan.window.line_count();
                    self.scatter(&columns[image * outputs..], lines, dx, width);
                });
            }
        });
    }

    /// ∂W = g ∗ x over the batch, as one product over the positions of all images.
    pub(super) fn weight_gradient_of_batch<T: OpElement>(
        &self,
        context: &Context,
        x: &[T],
        g: &[T],
        dw: &mut [T],
    ) {
        let plan = self.plan;
        let (kernels, fan_in) = (plan.kernels, plan.fan_in());
        self.with_room(x.len() / plan.input_len(), |width, columns, cotangents| {
            for (group, dw) in dw.chunks_exact_mut(kernels * fan_in).enumerate() {
                self.gather_images(context, group, x, columns);
                self.line_up_cotangents(group, g, cotangents);
                T::matmul_tiled(
                    MatrixMut::new(dw, kernels, fan_in),
                    Matrix::new(cotangents, kernels, width),
                    Matrix::new(columns, fan_in, width).transposed(),
                    false,
                    context.parallel,
                );
            }
        });
    }

    /// Calls `work(width, columns, planes)` with room for a row of each tap and channel of a group,
    /// and of each of its kernels, over the positions of all images: `width`.
    fn with_room<T: OpElement>(&self, images: usize, work: impl FnOnce(usize, &mut [T], &mut [T])) {
        let width = images * self.plan.window.output_len();
        let (fan_in, kernels) = (self.plan.fan_in(), self.plan.kernels);
        T::with_scratch((fan_in + kernels) * width, |scratch| {
            let (columns, planes) = scratch.split_at_mut(fan_in * width);
            work(width, columns, planes);
        });
    }

    /// A group's cotangents: a row for each of its kernels.
    fn line_up_cotangents<T: Element>(&self, group: usize, g: &[T], rows: &mut [T]) {
        let plan = self.plan;
        let outputs = plan.window.output_len();
        line_up(g, plan.output_len(), group * plan.kernels, outputs, rows);
    }

    /// The columns of a group of all images, one image's positions after the other's.
    fn gather_images<T: OpElement>(
        &self,
        context: &Context,
        group: usize,
        x: &[T],
        columns: &mut [T],
    ) {
        let plan = self.plan;
        let window = &plan.window;
        let (outputs, lines, taps) = (window.output_len(), window.line_count(), window.taps());
        let (plane, input_len) = (window.input_len(), plan.input_len());
        let width = x.len() / input_len * outputs;
        let part = CHANNELS_OF_PART * taps * width;
        for_each_part(context.parallel, columns, part, |part, columns| {
            let channel = group * plan.channels + part * CHANNELS_OF_PART;
            if window.is_pointwise() {
                return line_up(x, input_len, channel, outputs, columns);
            }
            let len = columns.len() / (taps * width) * plane;
            for (image, x) in x.chunks_exact(input_len).enumerate() {
                let columns = &mut columns[image * outputs..];
                self.gather(&x[channel * plane..][..len], 0..lines, columns, width);
            }
        });
    }
}

/// Row c of the result: plane `first` + c of every image, one after the other.
fn line_up<T: Element>(images: &[T], image_len: usize, first: usize, plane: usize, rows: &mut [T]) {
    let width = images.len() / image_len * plane;
    for (channel, row) in rows.chunks_exact_mut(width).enumerate() {
        let at = (first + channel) * plane;
        let images = images.chunks_exact(image_len);
        for (to, image) in row.chunks_exact_mut(plane).zip(images) {
            to.copy_from_slice(&image[at..at + plane]);
        }
    }
}

/// The planes of one image out of such rows.
fn deal_out<T: Element>(rows: &[T], image: usize, width: usize, plane: usize, out: &mut [T]) {
    for (to, row) in out.chunks_exact_mut(plane).zip(rows.chunks_exact(width)) {
        to.copy_from_slice(&row[image * plane..][..plane]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::threads::Threads;
    use crate::num::{Shape, Stream, View, ViewMut};
    use crate::ops::conv::Conv;
    use crate::ops::window::Padding;
    use crate::ops::{Kernel, Op, Saved};

    /// Kernels of this extent, padded so that a stride of 1 keeps the image's.
    fn square(kernel: usize, stride: usize, groups: usize) -> Conv {
        Conv {
            strides: vec![stride; 2],
            padding: Padding::Explicit(vec![kernel / 2; 4]),
            groups,
            ..Conv::default()
        }
    }

    /// Draws so many numbers at a time.
    fn drawer(name: &str) -> impl FnMut(usize) -> Vec<f64> + use<> {
        let mut stream = Stream::new(3, name);
        move |count| (0..count).map(|_| stream.normal()).collect()
    }

    /// The output, and the gradients of the input and the weight, of `images` images.
    fn run(
        context: &Context,
        conv: &Conv,
        shapes: [&Shape; 3],
        data: [&[f64]; 3],
        g: &[f64],
    ) -> [Vec<f64>; 3] {
        let views: Vec<View<'_, f64>> = shapes
            .into_iter()
            .zip(data)
            .map(|(shape, data)| View { shape, data })
            .collect();
        let shape = &conv.infer(&shapes).expect("fits")[0];
        let mut y = vec![f64::NAN; shape.element_count()];
        let out = ViewMut {
            shape,
            data: &mut y,
        };
        conv.forward(context, &views, &mut [out]).expect("runs");
        let [mut dx, mut dw] = [0, 1].map(|input: usize| vec![f64::NAN; data[input].len()]);
        let gradients = [(shapes[0], &mut dx), (shapes[1], &mut dw)];
        let mut gradients = gradients.map(|(shape, data)| Some(ViewMut { shape, data }));
        let g = View {
            shape,
            data: &g[..y.len()],
        };
        let saved = Saved {
            inputs: &views,
            outputs: &[],
        };
        conv.vjp(context, saved, &[Some(g)], &mut gradients)
            .expect("runs");
        [y, dx, dw]
    }

    #[test]
    fn images_together_give_what_each_gives_alone() {
        for (kernel, stride, groups) in [(3, 1, 1), (3, 2, 1), (3, 1, 2), (1, 1, 1), (1, 2, 1)] {
            let conv = square(kernel, stride, groups);
            // So many channels that the images take two lots.
            let (channels, kernels, images) = (512, 96, 40);
            let shape = |images| Shape::from([images, channels, 5, 5]);
            let weight = Shape::from([kernels, channels / groups, kernel, kernel]);
            let bias = Shape::from([kernels]);
            let mut draw = drawer("images");
            let x = draw(shape(images).element_count());
            let (w, b) = (draw(weight.element_count()), draw(kernels));
            let g = draw(images * kernels * 25);
            let of = |images, x: &[f64], g: &[f64]| {
                let shapes = [&shape(images), &weight, &bias];
                run(&Context::default(), &conv, shapes, [x, &w, &b], g)
            };
            let all = of(images, &x, &g);
            let plane = all[0].len() / images;
            let mut weights = vec![0.0; w.len()];
            let close = |one: &[f64], other: &[f64], what: &str| {
                assert_eq!(one.len(), other.len());
                let off = |(a, b): (&f64, &f64)| (a - b).abs();
                let most = one.iter().zip(other).map(off).fold(0.0, f64::max);
                assert!(most < 1e-10, "{what} of {conv:?}: {most}");
            };
            for (image, (x, g)) in x.chunks(channels * 25).zip(g.chunks(plane)).enumerate() {
                let alone = of(1, x, g);
                close(&alone[0], &all[0][image * plane..][..plane], "output");
                close(&alone[1], &all[1][image * x.len()..][..x.len()], "input");
                weights.iter_mut().zip(&alone[2]).for_each(|(a, b)| *a += b);
            }
            close(&weights, &all[2], "weight");
        }
    }

    #[test]
    fn threads_that_share_an_image_give_the_same_bits() {
        let threads = Threads::new(3).expect("few threads");
        let shared = Context {
            parallel: true,
            ..Context::default()
        };
        // Kernel, stride, groups and extent: many tiles, one tile, pointwise in both, with a stride,
        // depthwise.
        let cases = [
            (3, 1, 1, 40),
            (3, 1, 2, 9),
            (1, 1, 1, 40),
            (1, 1, 1, 9),
            (3, 2, 1, 40),
            (1, 2, 1, 9),
            (3, 1, 64, 12),
            (3, 2, 64, 40),
        ];
        for (kernel, stride, groups, extent) in cases {
            let conv = square(kernel, stride, groups);
            let (channels, kernels) = (64, 128);
            for images in [1, 2] {
                let shape = Shape::from([images, channels, extent, extent]);
                let weight = Shape::from([kernels, channels / groups, kernel, kernel]);
                let bias = Shape::from([kernels]);
                let mut draw = drawer("threads");
                let x = draw(shape.element_count());
                let (w, b) = (draw(weight.element_count()), draw(kernels));
                let g = draw(images * kernels * extent * extent);
                let of = |context: &Context| {
                    run(context, &conv, [&shape, &weight, &bias], [&x, &w, &b], &g)
                };
                let alone = of(&Context::default());
                assert!(alone.iter().flatten().all(|x| x.is_finite()));
                let together = threads.install(|| of(&shared));
                assert!(alone == together, "{conv:?} at {extent}, {images} images");
            }
        }
    }
}
