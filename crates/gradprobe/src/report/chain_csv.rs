//! A chain's gradients as CSV: a row a gradient, layer 0 being the input's.

use crate::diagnose::chain::Examination;
use crate::num::Dtype;
use std::io::{self, Write};

/// Writes a row for every gradient of some chains, each examined in `dtypes`.
///
/// The columns: activation, depth, x, layer, w, b, sign, log10_abs (empty for a zero), exact, then
/// for every type its gradient and the cause of a zero, then at_kink. Infinities and NaN are `inf`,
/// `-inf` and `nan`.
///
/// # Errors
/// If the writer fails.
pub fn write_chain_csv(
    out: &mut dyn Write,
    dtypes: &[Dtype],
    runs: impl Iterator<Item = Examination>,
) -> io::Result<()> {
    write!(out, "activation,depth,x,layer,w,b,sign,log10_abs,exact")?;
    for dtype in dtypes {
        write!(out, ",{dtype},{dtype}_zero_cause")?;
    }
    writeln!(out, ",at_kink")?;
    for run in runs {
        for layer in 0..=run.chain.depth() {
            write_row(out, &run, layer)?;
        }
    }
    Ok(())
}

fn write_row(out: &mut dyn Write, run: &Examination, layer: usize) -> io::Result<()> {
    let chain = &run.chain;
    let exact = run.exact.gradient(layer);
    let (label, depth, x) = (chain.activation().label(), chain.depth(), chain.x());
    write!(out, "{label},{depth},{x:?},{layer},")?;
    if layer > 0 {
        let (weight, bias) = (chain.weights().of(layer), chain.biases().of(layer));
        write!(out, "{weight:?},{bias:?},")?;
    } else {
        write!(out, ",,")?;
    }
    let known = exact.digits() > 0;
    if known {
        write!(out, "{},", exact.value.sign())?;
    } else {
        write!(out, ",")?;
    }
    if known && !exact.value.is_zero() && !exact.value.out_of_range() {
        write!(out, "{:?}", exact.value.log10_abs())?;
    }
    write!(out, ",{}", exact.to_decimal())?;
    for column in &run.columns {
        let value = column.float.gradient(layer);
        let cause = column.zero_cause(layer).map_or("", |cause| cause.name());
        if value.is_finite() {
            write!(out, ",{value:?},{cause}")?;
        } else {
            write!(out, ",{},{cause}", value.to_string().to_lowercase())?;
        }
    }
    writeln!(out, ",{}", run.at_kink(layer.max(1)))
}
