//! Control flow whose course is known: the branch that is taken, bodies one after the other.

use super::call::{Call, Outcome};
use crate::import::onnx::session::Fault;
use crate::import::onnx::tensors::Kind;
use crate::import::onnx::value::Operand;
use crate::num::{Shape, Tensor};
use crate::ops::Attribute;

/// The most times that a body is run.
const MOST_STEPS: usize = 10_000;

pub(super) fn branch(call: &mut Call<'_, '_>) -> Outcome {
    let condition = call
        .constant_scalar(0, "the condition")?
        .ok_or("lacks its condition")?;
    let bodies = [call.graph("else_branch")?, call.graph("then_branch")?];
    let body = &bodies[usize::from(condition != 0.0)];
    let opset = call.opset();
    let outputs = call.session.body(body, opset, Vec::new())?;
    Ok(outputs.into_iter().map(Some).collect())
}

pub(super) fn repeat(call: &mut Call<'_, '_>) -> Outcome {
    let trips = call.constant_scalar(0, "the trip count")?;
    let trips = trips.map_or(usize::MAX, |trips| trips.max(0.0) as usize);
    let mut goes_on = call
        .constant_scalar(1, "the condition")?
        .is_none_or(|x| x != 0.0);
    let body = call.graph("body")?;
    let opset = call.opset();
    let mut state: Vec<Operand> = call.inputs.iter().skip(2).flatten().cloned().collect();
    let carried = state.len();
    let mut scanned: Vec<Vec<Operand>> =
        vec![Vec::new(); body.output.len().saturating_sub(carried + 1)];
    let mut step = 0;
    while goes_on && step < trips {
        if step >= MOST_STEPS {
            return Err(format!("runs its body more than {MOST_STEPS} times").into());
        }
        let mut inputs = vec![Operand::int(step as i64), truth(true)];
        inputs.append(&mut state);
        let mut outputs = call.session.body(&body, opset, inputs)?.into_iter();
        let condition = outputs.next().ok_or("its body has no condition")?;
        let numbers = call.session.numbers(&condition);
        let numbers = numbers.ok_or(
            "whether its body runs again depends on the network's data; it has to be constant",
        )?;
        goes_on = numbers.data().first().is_none_or(|&x| x != 0.0);
        state = outputs.by_ref().take(carried).collect();
        for (list, output) in scanned.iter_mut().zip(outputs) {
            list.push(output);
        }
        step += 1;
    }
    let mut outputs: Vec<Option<Operand>> = state.into_iter().map(Some).collect();
    for list in scanned {
        outputs.push(Some(stacked(call, list, 0)?));
    }
    Ok(outputs)
}

fn truth(value: bool) -> Operand {
    let data = vec![f64::from(u8::from(value))];
    Operand::known(Kind::Bool, Tensor::new(Shape::default(), data))
}

/// What each step made, along a new axis.
fn stacked(call: &mut Call<'_, '_>, steps: Vec<Operand>, axis: i64) -> Result<Operand, Fault> {
    if steps.is_empty() {
        return Err("runs its body not once; outputs without elements are not supported".into());
    }
    let mut parts = Vec::with_capacity(steps.len());
    for step in steps {
        let axes = Attribute::Ints(vec![axis]);
        parts.push(call.with("Unsqueeze", &[("axes", axes)], &[step])?);
    }
    call.with("Concat", &[("axis", Attribute::Int(axis))], &parts)
}

pub(super) fn scan(call: &mut Call<'_, '_>) -> Outcome {
    call.refuse(call.opset() < 9, "the Scan of opset 8")?;
    let body = call.graph("body")?;
    let opset = call.opset();
    let sequences = usize::try_from(call.int("num_scan_inputs", 1)?).unwrap_or(0);
    let inputs = call.all();
    let carried = inputs
        .len()
        .checked_sub(sequences)
        .ok_or("has fewer inputs than num_scan_inputs")?;
    let made = body.output.len().saturating_sub(carried);
    let list = |name: &'static str, len: usize| -> Result<Vec<i64>, Fault> {
        Ok(call.ints(name)?.unwrap_or_else(|| vec![0; len]))
    };
    let input_axes = list("scan_input_axes", sequences)?;
    let backwards = list("scan_input_directions", sequences)?;
    let output_axes = list("scan_output_axes", made)?;
    let prepended = list("scan_output_directions", made)?;
    let first = inputs.get(carried).ok_or("has no sequence")?;
    let axis = call.axis(input_axes.first().copied().unwrap_or(0), first.shape.len())?;
    let steps = first.shape.get(axis).copied().unwrap_or(0);
    if steps > MOST_STEPS {
        return Err(format!("runs its body more than {MOST_STEPS} times").into());
    }
    let mut state = inputs[..carried].to_vec();
    let mut scanned: Vec<Vec<Operand>> = vec![Vec::new(); made];
    for step in 0..steps {
        let mut given = std::mem::take(&mut state);
        for (index, sequence) in inputs[carried..].iter().enumerate() {
            let reversed = backwards.get(index) == Some(&1);
            let at = if reversed { steps - 1 - step } else { step };
            let axis = Attribute::Int(input_axes.get(index).copied().unwrap_or(0));
            let pair = [sequence.clone(), Operand::int(at as i64)];
            given.push(call.with("Gather", &[("axis", axis)], &pair)?);
        }
        let mut outputs = call.session.body(&body, opset, given)?.into_iter();
        state = outputs.by_ref().take(carried).collect();
        for (list, output) in scanned.iter_mut().zip(outputs) {
            list.push(output);
        }
    }
    let mut outputs: Vec<Option<Operand>> = state.into_iter().map(Some).collect();
    for (index, mut list) in scanned.into_iter().enumerate() {
        if prepended.get(index) == Some(&1) {
            list.reverse();
        }
        let axis = output_axes.get(index).copied().unwrap_or(0);
        outputs.push(Some(stacked(call, list, axis)?));
    }
    Ok(outputs)
}
