//! A stage's buffers by chunk of the batch.

use super::buffer::Buffer;
use super::plan::Plan;

/// Cuts a stage's buffers at the chunks of the batch: by chunk, its rows of every buffer.
pub(super) fn split<'a, T>(
    plan: &Plan,
    chunked: bool,
    buffers: &'a mut [Buffer<T>],
) -> Vec<(Option<usize>, Vec<&'a mut [T]>)> {
    if !chunked || plan.chunks.len() < 2 {
        return vec![(
            None,
            buffers.iter_mut().map(|buffer| &mut buffer[..]).collect(),
        )];
    }
    let mut parts: Vec<(Option<usize>, Vec<&mut [T]>)> = (0..plan.chunks.len())
        .map(|chunk| (Some(chunk), Vec::with_capacity(buffers.len())))
        .collect();
    for buffer in buffers {
        let size = buffer.len() / plan.rows.max(1) * plan.chunks[0].len();
        let mut rest = &mut buffer[..];
        for (_, locals) in &mut parts {
            let (part, others) = rest.split_at_mut(size.min(rest.len()));
            locals.push(part);
            rest = others;
        }
    }
    parts
}
