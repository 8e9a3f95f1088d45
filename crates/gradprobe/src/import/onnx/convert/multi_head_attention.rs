//! Attention of projected queries, keys and values as onnxruntime has it: packed or not, with
//! biases, padding and a state.

use super::attention::{Hiding, by_op, from_products, in_heads, rotated, side_by_side};
use super::call::{Call, Outcome};
use crate::import::onnx::error::quoted;
use crate::import::onnx::fault::Fault;
use crate::import::onnx::session::Use;
use crate::import::onnx::tensors::Kind;
use crate::import::onnx::value::Operand;
use crate::num::Tensor;
use crate::ops::{Attribute, Attributes};

/// The inputs of MultiHeadAttention after the query.
mod at {
    pub const KEY: usize = 1;
    pub const VALUE: usize = 2;
    pub const BIAS: usize = 3;
    pub const PADDING: usize = 4;
    pub const SCORES_BIAS: usize = 5;
    pub const PAST_KEY: usize = 6;
    pub const PAST_VALUE: usize = 7;
    pub const PAST_LENGTH: usize = 8;
    pub const BEAMS: usize = 9;
}

/// The inputs of GroupQueryAttention that MultiHeadAttention has not, or elsewhere.
mod of_groups {
    pub const PAST_KEY: usize = 3;
    pub const PAST_VALUE: usize = 4;
    pub const LENGTHS: usize = 5;
    pub const COSINES: usize = 7;
    pub const SINES: usize = 8;
    pub const POSITIONS: usize = 9;
    pub const SCORES_BIAS: usize = 10;
    pub const UNSUPPORTED: [(usize, &str); 6] = [
        (11, "a sink a head"),
        (12, "a scale of the keys"),
        (13, "a scale of the values"),
        (14, "a norm of the queries"),
        (15, "a norm of the keys"),
        (16, "queries that end early"),
    ];
}

/// What is attended to and how, each of the three \[batch, time, heads · dim\] or
/// \[batch, heads, time, dim\].
struct Attended {
    projected: [Operand; 3],
    /// Heads of the queries, and of keys and values.
    heads: [usize; 2],
    past: Option<[Operand; 2]>,
    /// What is added to the scores.
    mask: Option<Operand>,
    causal: bool,
    /// How far back a query sees.
    window: Option<i64>,
    softcap: f64,
}

impl Attended {
    /// The output, and the keys and values with those of the state before them.
    fn attend(self, call: &mut Call<'_, '_>) -> Outcome {
        let [q, k, v] = self.projected;
        let [q_heads, kv_heads] = self.heads;
        let flat = q.shape.len() == 3;
        let q = in_heads(call, q, q_heads as i64)?;
        let mut k = in_heads(call, k, kv_heads as i64)?;
        let mut v = in_heads(call, v, kv_heads as i64)?;
        let mut past = 0;
        if let Some([past_k, past_v]) = self.past {
            past = past_k.shape.get(2).copied().unwrap_or(0);
            let axis = [("axis", Attribute::Int(2))];
            k = call.with("Concat", &axis, &[past_k, k])?;
            v = call.with("Concat", &axis, &[past_v, v])?;
        }
        let (&[_, _, queries, _], &[_, _, keys, _]) = (&q.shape[..], &k.shape[..]) else {
            return Err("has no heads".into());
        };
        let hiding = Hiding {
            mask: self.mask,
            lengths: None,
            causal: self.causal,
            window: [self.window, None],
            queries,
            keys,
            past,
        };
        let present = [Some(k.clone()), Some(v.clone())];
        let y = if self.softcap > 0.0 {
            from_products(call, [q, k, v], self.softcap, &hiding)?.0
        } else {
            let mut attributes = call.pass(&["scale"])?;
            attributes.retain(|_, scale| !matches!(scale, Attribute::Float(0.0)));
            by_op(call, [q, k, v], attributes, &hiding)?
        };
        let y = if flat { side_by_side(call, y)? } else { y };
        let mut outputs = vec![Some(y)];
        outputs.extend(present);
        Ok(outputs)
    }
}

/// How many heads an attribute says there are.
fn heads(call: &Call<'_, '_>, name: &'static str) -> Result<usize, Fault> {
    let heads = call.int(name, 0)?;
    let wrong = || format!("attribute {name}: expected a number above 0, got {heads}");
    let heads = usize::try_from(heads).ok().filter(|&heads| heads > 0);
    heads.ok_or_else(|| wrong().into())
}

fn refuse_input(call: &Call<'_, '_>, index: usize, what: &str) -> Result<(), Fault> {
    let name = call.node.message.input.get(index);
    match call.optional(index) {
        Some(_) => {
            let name = quoted(name.map_or("", String::as_str));
            Err(format!("{what} ({name}) is not supported").into())
        }
        None => Ok(()),
    }
}

/// Both parts of a state, where there is one.
fn state(call: &Call<'_, '_>, key: usize, value: usize) -> Result<Option<[Operand; 2]>, Fault> {
    match (call.optional(key), call.optional(value)) {
        (Some(key), Some(value)) if key.shape.len() == 4 && value.shape.len() == 4 => {
            Ok(Some([key, value]))
        }
        (None, None) => Ok(None),
        (Some(key), Some(value)) => Err(format!(
            "a state of shapes {} and {}: expected [batch, heads, time, dim]",
            key.shape, value.shape
        )
        .into()),
        _ => Err("has half of a state: expected both a past key and a past value".into()),
    }
}

pub(super) fn multi_head_attention(call: &mut Call<'_, '_>) -> Outcome {
    let heads = heads(call, "num_heads")?;
    refuse_input(call, at::PAST_LENGTH, "a length of the state")?;
    refuse_input(call, at::BEAMS, "a choice of beams")?;
    let projected = separate(call, heads)?;
    let projected = shifted(call, projected)?;
    let past = state(call, at::PAST_KEY, at::PAST_VALUE)?;
    let past_time = past.as_ref().map_or(0, |[key, _]| key.shape[2]);
    let time = |x: &Operand| x.shape[if x.shape.len() == 4 { 2 } else { 1 }];
    let [q, k, _] = &projected;
    let extents = [q.shape[0], time(q), past_time + time(k)];
    let filter = call.float("mask_filter_value", -10_000.0)?;
    let padding = match call.optional(at::PADDING) {
        Some(mask) => Some(padding(call, mask, extents, filter)?),
        None => None,
    };
    let mask = match (padding, call.optional(at::SCORES_BIAS)) {
        (Some(padding), Some(bias)) => Some(call.plain("Add", &[bias, padding])?),
        (padding, bias) => padding.or(bias),
    };
    let attended = Attended {
        projected,
        heads: [heads, heads],
        past,
        mask,
        causal: call.int("unidirectional", 0)? != 0,
        window: None,
        softcap: 0.0,
    };
    attended.attend(call)
}

/// Queries, keys and values where they are packed into one or two tensors.
fn separate(call: &mut Call<'_, '_>, heads: usize) -> Result<[Operand; 3], Fault> {
    let query = call.input(0)?;
    let (key, value) = (call.optional(at::KEY), call.optional(at::VALUE));
    match (&query.shape[..], key, value) {
        ([_, _, own, 3, _], None, None) if *own == heads => {
            let mut parts = unpacked(call, query, 3)?.into_iter();
            match (parts.next(), parts.next(), parts.next()) {
                (Some(q), Some(k), Some(v)) => Ok([q, k, v]),
                _ => Err("Split has no outputs".into()),
            }
        }
        ([_, _, _], Some(key), None) if matches!(key.shape[..], [_, _, own, 2, _] if own == heads) =>
        {
            let mut parts = unpacked(call, key, 2)?.into_iter();
            match (parts.next(), parts.next()) {
                (Some(k), Some(v)) => Ok([query, k, v]),
                _ => Err("Split has no outputs".into()),
            }
        }
        ([_, _, _], Some(key), Some(value))
            if key.shape.len() == value.shape.len() && matches!(key.shape.len(), 3 | 4) =>
        {
            Ok([query, key, value])
        }
        (_, key, value) => {
            let shape = |x: Option<Operand>| x.map_or("none".into(), |x| x.shape.to_string());
            Err(format!(
                "query {}, key {}, value {}: expected three tensors [batch, time, features], or \
                 keys and values [batch, {heads}, time, dim] or packed [batch, time, {heads}, 2, \
                 dim], or all packed [batch, time, {heads}, 3, dim]",
                query.shape,
                shape(key),
                shape(value)
            )
            .into())
        }
    }
}

/// \[batch, time, heads, parts, dim\] as so many of \[batch, time, heads · dim\].
fn unpacked(call: &mut Call<'_, '_>, x: Operand, parts: usize) -> Result<Vec<Operand>, Fault> {
    let [batch, time, heads, _, dim] = x.shape[..] else {
        return Err(format!("expected five axes, got shape {}", x.shape).into());
    };
    let along: Attributes = [
        ("axis".to_owned(), Attribute::Int(3)),
        ("num_outputs".to_owned(), Attribute::Int(parts as i64)),
    ]
    .into_iter()
    .collect();
    let split = call.emit("Split", &along, &[x])?;
    split
        .iter()
        .map(|part| call.reshape(part, &[batch, time, heads * dim]))
        .collect()
}

/// With their parts of the bias; keys and values of another layer, which come in heads, have theirs
/// already.
fn shifted(call: &mut Call<'_, '_>, projected: [Operand; 3]) -> Result<[Operand; 3], Fault> {
    let Some(bias) = call.optional(at::BIAS) else {
        return Ok(projected);
    };
    call.used_as(at::BIAS, Use::Shift(0));
    let width = |x: &Operand| match x.shape[..] {
        [_, heads, _, dim] => heads * dim,
        _ => x.shape.last().copied().unwrap_or(0),
    };
    let widths = [0, 1, 2].map(|part| width(&projected[part]));
    if bias.shape[..] != [widths.iter().sum::<usize>()] {
        let [q, k, v] = widths;
        return Err(format!("a bias of shape {}: expected [{q} + {k} + {v}]", bias.shape).into());
    }
    let mut start = 0;
    let mut shifted = Vec::with_capacity(3);
    for (x, width) in projected.into_iter().zip(widths) {
        let end = start + width;
        shifted.push(if x.shape.len() == 3 {
            let part = slice(call, &bias, 0, [start, end])?;
            call.plain("Add", &[x, part])?
        } else {
            x
        });
        start = end;
    }
    <[Operand; 3]>::try_from(shifted).map_err(|_| "lacks a projection".into())
}

/// What lies between two places of an axis.
fn slice(
    call: &mut Call<'_, '_>,
    x: &Operand,
    axis: i64,
    [start, end]: [usize; 2],
) -> Result<Operand, Fault> {
    let attributes = [
        ("starts", Attribute::Ints(vec![start as i64])),
        ("ends", Attribute::Ints(vec![end as i64])),
        ("axes", Attribute::Ints(vec![axis])),
    ];
    call.with("Slice", &attributes, std::slice::from_ref(x))
}

/// A mask of keys as what is added to the scores \[batch, heads, queries, keys\]: 1 is shown and 0
/// hidden, or it says where the keys of each sample end and begin.
fn padding(
    call: &mut Call<'_, '_>,
    mask: Operand,
    [batch, queries, keys]: [usize; 3],
    filter: f64,
) -> Result<Operand, Fault> {
    let shown = match mask.shape[..] {
        [count] if count == batch || count == 3 * batch + 2 => {
            ends(call, &mask, [batch, keys], false)?
        }
        [count] if count == 2 * batch => ends(call, &mask, [batch, keys], true)?,
        [own, time] if own == batch && time == keys => {
            let mask = call.reshape(&mask, &[batch, 1, 1, keys])?;
            call.plain("Greater", &[mask, Operand::int(0)])?
        }
        [own, rows, time] if own == batch && rows == queries && time == keys => {
            let mask = call.reshape(&mask, &[batch, 1, queries, keys])?;
            call.plain("Greater", &[mask, Operand::int(0)])?
        }
        [own, 1, rows, columns] if own == batch && rows >= keys && columns >= keys => {
            let mask = slice(call, &mask, 2, [keys.saturating_sub(queries), keys])?;
            let mask = slice(call, &mask, 3, [0, keys])?;
            call.plain("Greater", &[mask, Operand::int(0)])?
        }
        _ => {
            return Err(format!(
                "a mask of shape {}: expected [{batch}], [{batch}, {keys}] or [{batch}, {queries}, \
                 {keys}]",
                mask.shape
            )
            .into());
        }
    };
    call.plain(
        "Where",
        &[shown, Operand::float(0.0), Operand::float(filter)],
    )
}

/// Which keys lie before the end of their sample, and from its beginning on where that is said.
fn ends(
    call: &mut Call<'_, '_>,
    mask: &Operand,
    [batch, keys]: [usize; 2],
    with_starts: bool,
) -> Result<Operand, Fault> {
    let places = (0..keys).map(|key| key as f64).collect();
    let places = Operand::known(Kind::Int, Tensor::new([keys], places));
    let end = slice(call, mask, 0, [0, batch])?;
    let end = call.reshape(&end, &[batch, 1, 1, 1])?;
    let before = call.plain("Less", &[places.clone(), end])?;
    if !with_starts {
        return Ok(before);
    }
    let start = slice(call, mask, 0, [batch, 2 * batch])?;
    let start = call.reshape(&start, &[batch, 1, 1, 1])?;
    let after = call.plain("GreaterOrEqual", &[places, start])?;
    call.plain("And", &[before, after])
}

/// Attention whose keys and values serve groups of heads, causal unless the file says otherwise, of
/// queries and keys that may be turned by their positions. Its state is as long as its tensors.
pub(super) fn group_query_attention(call: &mut Call<'_, '_>) -> Outcome {
    let heads = [heads(call, "num_heads")?, heads(call, "kv_num_heads")?];
    for (index, what) in of_groups::UNSUPPORTED {
        refuse_input(call, index, what)?;
    }
    for name in ["smooth_softmax", "qk_output", "sliding_window_cache"] {
        call.refuse(call.int(name, 0)? > 0, name)?;
    }
    for name in ["k_quant_type", "v_quant_type"] {
        call.refuse(call.text(name, "NONE")? != "NONE", name)?;
    }
    // They concern what was refused.
    for name in ["qk_norm_epsilon", "q_norm_epsilon", "k_norm_epsilon"] {
        call.float(name, 0.0)?;
    }
    call.int("kv_cache_bit_width", 0)?;
    let past = state(call, of_groups::PAST_KEY, of_groups::PAST_VALUE)?;
    let past = past.filter(|[key, _]| key.shape[2] > 0);
    let past_time = past.as_ref().map_or(0, |[key, _]| key.shape[2]);
    let [q, k, v] = grouped(call, heads)?;
    let total = past_time + k.shape[1];
    whole_state(call, total)?;
    let [q, k] = match call.int("do_rotary", 0)? {
        0 => [q, k],
        _ => turned(call, [q, k], heads, past_time)?,
    };
    let window = call.int("local_window_size", -1)?;
    let attended = Attended {
        projected: [q, k, v],
        heads,
        past,
        mask: call.optional(of_groups::SCORES_BIAS),
        causal: call.int("causal", 1)? != 0,
        window: (window > 0).then(|| window - 1),
        softcap: call.float("softcap", 0.0)?,
    };
    attended.attend(call)
}

/// Queries, keys and values, which may lie side by side in the first input.
fn grouped(
    call: &mut Call<'_, '_>,
    [q_heads, kv_heads]: [usize; 2],
) -> Result<[Operand; 3], Fault> {
    let query = call.input(0)?;
    let &[_, _, width] = &query.shape[..] else {
        return Err(format!("a query of shape {}: expected three axes", query.shape).into());
    };
    if let (Some(key), Some(value)) = (call.optional(1), call.optional(2)) {
        if key.shape.len() != 3 || value.shape.len() != 3 {
            let shapes = format!("key {} and value {}", key.shape, value.shape);
            return Err(format!("{shapes}: expected three axes").into());
        }
        return Ok([query, key, value]);
    }
    let parts = q_heads + 2 * kv_heads;
    if !width.is_multiple_of(parts) {
        return Err(
            format!("{width} features in {parts} heads of queries, keys and values").into(),
        );
    }
    let dim = width / parts;
    let (first, second) = (q_heads * dim, (q_heads + kv_heads) * dim);
    Ok([
        slice(call, &query, 2, [0, first])?,
        slice(call, &query, 2, [first, second])?,
        slice(call, &query, 2, [second, width])?,
    ])
}

/// Refuses a state that is known to be longer or shorter than its tensors.
fn whole_state(call: &mut Call<'_, '_>, total: usize) -> Result<(), Fault> {
    let Some(lengths) = call.optional(of_groups::LENGTHS) else {
        return Ok(());
    };
    let Some(numbers) = call.session.numbers(&lengths) else {
        return Ok(());
    };
    // The file counts from 0.
    match numbers
        .data()
        .iter()
        .find(|&&last| last + 1.0 != total as f64)
    {
        Some(last) => Err(format!(
            "a sequence of {} of {total} steps is not supported",
            last + 1.0
        )
        .into()),
        None => Ok(()),
    }
}

/// Queries and keys turned by their positions, those that follow the state unless they are given.
fn turned(
    call: &mut Call<'_, '_>,
    [q, k]: [Operand; 2],
    heads: [usize; 2],
    past: usize,
) -> Result<[Operand; 2], Fault> {
    let (cosines, sines) = (
        call.input(of_groups::COSINES)?,
        call.input(of_groups::SINES)?,
    );
    let positions = match call.optional(of_groups::POSITIONS) {
        Some(positions) => positions,
        None => {
            let first = past as i64;
            Operand::ints(first..first + q.shape[1] as i64)
        }
    };
    let interleaved = call.int("rotary_interleaved", 0)? != 0;
    let pairs = cosines.shape.last().copied().unwrap_or(0);
    let mut turn = |x: Operand, heads: usize| {
        let dim = x.shape[2] / heads;
        let rotated_dim = (2 * pairs < dim).then_some(2 * pairs);
        let caches = [cosines.clone(), sines.clone()];
        rotated(
            call,
            x,
            caches,
            Some(positions.clone()),
            [Some(heads), rotated_dim],
            interleaved,
        )
    };
    Ok([turn(q, heads[0])?, turn(k, heads[1])?])
}

/// Features turned by their positions, which are given a step or begin at the one number given.
pub(super) fn rotary(call: &mut Call<'_, '_>) -> Outcome {
    call.refuse(
        call.int("is_packed_batching", 0)? != 0,
        "is_packed_batching",
    )?;
    let scale = call.float("scale", 1.0)?;
    call.refuse(
        scale != 1.0,
        &format!("scale {scale}, which onnxruntime reads and does not apply,"),
    )?;
    let (x, positions) = (call.input(0)?, call.input(1)?);
    let caches = [call.input(2)?, call.input(3)?];
    let pairs = caches[0].shape.last().copied().unwrap_or(0);
    let some = |name| -> Result<Option<usize>, Fault> {
        let value = usize::try_from(call.int(name, 0)?).unwrap_or(0);
        Ok((value > 0).then_some(value))
    };
    let (mut heads, dim) = (some("num_heads")?, some("rotary_embedding_dim")?);
    let time = match x.shape[..] {
        [_, time, width] => {
            // Without a number of heads every feature of a head is turned.
            if heads.is_none() && dim.is_none() && pairs > 0 {
                heads = Some(width / (2 * pairs));
            }
            time
        }
        [_, _, time, _] => time,
        _ => return Err(format!("expected three or four axes, got shape {}", x.shape).into()),
    };
    let positions = if positions.shape.element_count() == 1 && positions.shape.len() < 2 {
        let steps = Operand::ints(0..time as i64);
        let first = call.reshape(&positions, &[1])?;
        call.plain("Add", &[steps, first])?
    } else {
        positions
    };
    let interleaved = call.int("interleaved", 0)? != 0;
    let turned = rotated(call, x, caches, Some(positions), [heads, dim], interleaved)?;
    Ok(vec![Some(turned)])
}
