//! One row an operator: how ONNX's operator becomes ops of the engine.
//!
//! Most rows only name the engine's op and the attributes it takes over; the others are functions
//! in the file of their family, which may add several ops.

mod arithmetic;
mod attention;
mod call;
mod constants;
mod control;
mod dropout;
mod elementwise;
mod indexing;
mod linear;
mod losses;
mod multi_head_attention;
mod normalisation;
mod pooling;
mod quantised;
mod random;
mod rearrange;
mod recurrent;
mod recurrent_steps;
mod reduction;
mod sampling;
mod sequences;
mod signal;
mod table;
mod tabular;

pub use table::{OnnxOp, coverage};

use super::fault::Fault;
use super::model::Node;
use super::session::Session;
use super::value::Operand;
use call::{Call, Outcome, one};
use std::cell::RefCell;
use table::find;

/// How an operator is converted.
#[derive(Clone, Copy)]
enum Rule {
    /// The engine's op, all inputs, no attributes.
    Same(&'static str),
    /// The engine's op, all inputs, these attributes.
    Pass(&'static str, &'static [&'static str]),
    /// An activation by its name.
    Activation(&'static str),
    /// A function; beside it, the engine's ops that it uses, for the table.
    By(&'static str, fn(&mut Call<'_, '_>) -> Outcome),
}

/// Is the operator one that holds bodies, which belong to layers of their own?
pub(super) fn is_control_flow(node: &Node) -> bool {
    node.is_standard() && matches!(&node.message.op_type[..], "If" | "Loop" | "Scan")
}

/// Is there a row for the operator?
pub(super) fn is_supported(domain: &str, op: &str) -> bool {
    find(domain, op).is_some()
}

/// Converts a node.
pub(super) fn convert(
    session: &mut Session<'_>,
    node: &Node,
    inputs: Vec<Option<Operand>>,
) -> Result<Vec<Option<Operand>>, Fault> {
    let op = &node.message.op_type[..];
    let row = find(&node.message.domain, op)
        .ok_or_else(|| format!("{} is not supported", op.escape_debug()))?;
    let mut call = Call {
        session,
        node,
        inputs,
        asked: RefCell::default(),
    };
    let outputs = apply(&mut call, row.rule)?;
    call.finish()?;
    Ok(outputs)
}

fn apply(call: &mut Call<'_, '_>, rule: Rule) -> Outcome {
    match rule {
        Rule::Same(engine) => {
            let inputs = call.all();
            one(call.plain(engine, &inputs)?)
        }
        Rule::Pass(engine, names) => {
            let attributes = call.pass(names)?;
            let inputs = call.all();
            let outputs = call.emit(engine, &attributes, &inputs)?;
            Ok(outputs.into_iter().map(Some).collect())
        }
        Rule::Activation(name) => {
            let input = call.input(0)?;
            one(call.activation(name, &input)?)
        }
        Rule::By(_, convert) => convert(call),
    }
}
