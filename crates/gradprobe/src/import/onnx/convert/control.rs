//! Control flow whose course is known, or decided by the batch (see `course.rs`): the branch that is taken, bodies one after the other.

use super::call::{Call, Outcome};
use crate::import::onnx::fault::Fault;
use crate::import::onnx::tensors::Kind;
use crate::import::onnx::value::Operand;
use crate::import::onnx::walk::Body;
use crate::num::{Shape, Tensor};
use crate::ops::Attribute;

/// The most times that a body is run.
const MOST_STEPS: usize = 10_000;

pub(super) fn branch(call: &mut Call<'_, '_>) -> Outcome {
    let condition = call
        .constant_scalar(0, "the condition")?
        .ok_or("lacks its condition")?;
    let bodies = [call.body("else_branch")?, call.body("then_branch")?];
    let body = &bodies[usize::from(condition != 0.0)];
    let outputs = call.session.body(body, Vec::new())?;
    Ok(outputs.into_iter().map(Some).collect())
}

pub(super) fn repeat(call: &mut Call<'_, '_>) -> Outcome {
    let trips = call.constant_scalar(0, "the trip count")?;
    let trips = trips.map_or(usize::MAX, |trips| trips.max(0.0) as usize);
    let mut goes_on = call
        .constant_scalar(1, "the condition")?
        .is_none_or(|x| x != 0.0);
    let body = call.body("body")?;
    let mut state: Vec<Operand> = call.inputs.iter().skip(2).flatten().cloned().collect();
    let carried = state.len();
    let mut scanned: Vec<Vec<Operand>> =
        vec![Vec::new(); body.output_count().saturating_sub(carried + 1)];
    let mut step = 0;
    while goes_on && step < trips {
        if step >= MOST_STEPS {
            return Err(format!("runs its body more than {MOST_STEPS} times").into());
        }
        let mut inputs = vec![Operand::int(step as i64), truth(true)];
        inputs.append(&mut state);
        let mut outputs = call.session.body(&body, inputs)?.into_iter();
        let condition = outputs.next().ok_or("its body has no condition")?;
        let what = "whether its body runs again";
        let place = call.node.place();
        let numbers = call.session.deciding_numbers(&condition, &place, what)?;
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
    let body = call.body("body")?;
    let scanning = Scanning::read(call, &body)?;
    if call.opset() >= 9 {
        let inputs = call.all();
        let outputs = scanning.run(call, &body, inputs)?;
        return Ok(outputs.into_iter().map(Some).collect());
    }
    // Opset 8 has the samples along the first axis of everything, and their lengths before all.
    call.refuse(call.optional(0).is_some(), "sequence_lens")?;
    let inputs: Vec<Operand> = call.inputs.iter().skip(1).flatten().cloned().collect();
    let samples = inputs
        .first()
        .and_then(|input| input.shape.first().copied());
    let samples = samples.ok_or("has no sequence")?;
    if samples > MOST_STEPS {
        return Err(format!("runs for more than {MOST_STEPS} samples").into());
    }
    let mut by_output: Vec<Vec<Operand>> = vec![Vec::new(); body.output_count()];
    for sample in 0..samples {
        let mut own = Vec::with_capacity(inputs.len());
        for input in &inputs {
            own.push(picked(call, input, sample, 0)?);
        }
        let outputs = scanning.run(call, &body, own)?;
        for (list, output) in by_output.iter_mut().zip(outputs) {
            list.push(output);
        }
    }
    let mut outputs = Vec::with_capacity(by_output.len());
    for list in by_output {
        outputs.push(Some(stacked(call, list, 0)?));
    }
    Ok(outputs)
}

/// x at a place of an axis, without the axis.
fn picked(call: &mut Call<'_, '_>, x: &Operand, place: usize, axis: i64) -> Result<Operand, Fault> {
    let pair = [x.clone(), Operand::int(place as i64)];
    call.with("Gather", &[("axis", Attribute::Int(axis))], &pair)
}

/// Along which axes a Scan walks, and which way.
struct Scanning {
    sequences: usize,
    input_axes: Vec<i64>,
    backwards: Vec<i64>,
    output_axes: Vec<i64>,
    prepended: Vec<i64>,
}

impl Scanning {
    fn read(call: &Call<'_, '_>, body: &Body) -> Result<Self, Fault> {
        let sequences = usize::try_from(call.int("num_scan_inputs", 1)?).unwrap_or(0);
        let list = |name: &'static str| -> Result<Vec<i64>, Fault> {
            Ok(call.ints(name)?.unwrap_or_default())
        };
        let backwards = match call.ints("directions")? {
            Some(directions) => directions,
            None => list("scan_input_directions")?,
        };
        call.refuse(sequences > body.input_count(), "more sequences than inputs")?;
        Ok(Self {
            sequences,
            input_axes: list("scan_input_axes")?,
            backwards,
            output_axes: list("scan_output_axes")?,
            prepended: list("scan_output_directions")?,
        })
    }

    /// The states after the last step, then what the steps made.
    fn run(
        &self,
        call: &mut Call<'_, '_>,
        body: &Body,
        inputs: Vec<Operand>,
    ) -> Result<Vec<Operand>, Fault> {
        let carried = inputs
            .len()
            .checked_sub(self.sequences)
            .ok_or("has fewer inputs than num_scan_inputs")?;
        let made = body.output_count().saturating_sub(carried);
        let of = |list: &[i64], index: usize| list.get(index).copied().unwrap_or(0);
        let first = inputs.get(carried).ok_or("has no sequence")?;
        let axis = call.axis(of(&self.input_axes, 0), first.shape.len())?;
        let steps = first.shape.get(axis).copied().unwrap_or(0);
        if steps > MOST_STEPS {
            return Err(format!("runs its body more than {MOST_STEPS} times").into());
        }
        let mut state = inputs[..carried].to_vec();
        let mut scanned: Vec<Vec<Operand>> = vec![Vec::new(); made];
        for step in 0..steps {
            let mut given = std::mem::take(&mut state);
            for (index, sequence) in inputs[carried..].iter().enumerate() {
                let reversed = of(&self.backwards, index) == 1;
                let at = if reversed { steps - 1 - step } else { step };
                given.push(picked(call, sequence, at, of(&self.input_axes, index))?);
            }
            let mut outputs = call.session.body(body, given)?.into_iter();
            state = outputs.by_ref().take(carried).collect();
            for (list, output) in scanned.iter_mut().zip(outputs) {
                list.push(output);
            }
        }
        let mut outputs = state;
        for (index, mut list) in scanned.into_iter().enumerate() {
            if of(&self.prepended, index) == 1 {
                list.reverse();
            }
            outputs.push(stacked(call, list, of(&self.output_axes, index))?);
        }
        Ok(outputs)
    }
}
