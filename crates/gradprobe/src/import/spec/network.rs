//! A specification with its data read and its layers planned: what graphs and batches are drawn
//! from.

use super::error::{SpecError, SpecErrorKind as Kind, at};
use super::objective::{PlannedTarget, plan_target};
use super::operators;
use super::plan::{Plan, PlannedParameter, Slot, Step, plan};
use super::reader::Result;
use super::specification::{
    Dtype, FileValues, LossKind, RowChoice, Specification, TargetColumn, Targets, Values,
};
use crate::data::{Column, DataError, Dataset, ReadOptions, read_table};
use crate::graph::{
    CotangentKind, Graph, GraphBuilder, GraphError, Objective, ParameterData, ValueId,
};
use crate::num::{Element, Shape, Stream, Tensor};
use crate::ops::Flatten;
use rayon::prelude::*;
use std::path::Path;
use std::sync::Arc;

/// A network to be checked: for each seed it gives a [`Graph`] with its weights and a batch.
///
/// Making one reads the data file and checks everything; what a seed then draws depends on the
/// seed and on names alone, so that a new layer leaves the weights of the others as they were.
#[derive(Clone, Debug)]
pub struct Network {
    specification: Specification,
    plan: Plan,
    data: Option<Dataset>,
    target: Option<PlannedTarget>,
}

impl Network {
    /// Reads a specification and what it mentions.
    pub fn read(path: &Path) -> std::result::Result<Self, SpecError> {
        Self::new(Specification::read(path)?)
    }

    /// Reads the data, checks that the layers fit each other and the memory.
    pub fn new(specification: Specification) -> std::result::Result<Self, SpecError> {
        match prepare(&specification) {
            Ok((plan, data, target)) => Ok(Self {
                specification,
                plan,
                data,
                target,
            }),
            Err(error) => Err(specification.source.blame(error)),
        }
    }

    /// What it was made from.
    pub fn specification(&self) -> &Specification {
        &self.specification
    }

    /// The graph with the weights of a seed.
    pub fn build(&self, seed: u64) -> std::result::Result<Graph, SpecError> {
        let blame = |error| self.specification.source.blame(error);
        self.graph(seed).map_err(|error| blame(of_graph(error)))
    }

    /// The batch of a seed: the graph's inputs in order, the target (if there is one) last.
    pub fn batch(&self, seed: u64) -> std::result::Result<Vec<Tensor<f64>>, SpecError> {
        let blame = |error| self.specification.source.blame(error);
        self.draw_batch(seed).map_err(blame)
    }

    fn graph(&self, seed: u64) -> std::result::Result<Graph, GraphError> {
        let dtype = self.specification.dtype;
        let draw = |parameter: &PlannedParameter| draw(parameter, seed, dtype);
        let drawn: Vec<ParameterData> = self.plan.parameters.par_iter().map(draw).collect();
        let mut drawn = drawn.into_iter();
        let mut builder = GraphBuilder::new();
        let input = builder.input("input", self.plan.input_shape.clone())?;
        // Kept outputs have slots too, which nothing reads.
        let mut values: Vec<ValueId> = vec![input; self.plan.slots];
        for step in &self.plan.steps {
            match step {
                Step::BeginLayer(index) => {
                    let layer = &self.plan.layers[*index];
                    let kind = layer.parts.join(" + ");
                    builder.begin_layer(&layer.name, kind, layer.origin.clone())?;
                }
                Step::Parameter(index, Slot(slot)) => {
                    let parameter = &self.plan.parameters[*index];
                    // Parameters are drawn in the order of their steps.
                    if let Some(data) = drawn.next() {
                        values[*slot] =
                            builder.parameter(&parameter.name, data, parameter.trainable)?;
                    }
                }
                Step::Node(node) => {
                    let inputs: Vec<ValueId> =
                        node.inputs.iter().map(|&Slot(slot)| values[slot]).collect();
                    let outputs = builder.node_with(
                        &node.name,
                        Arc::clone(&node.op),
                        &inputs,
                        node.role,
                        node.origin.clone(),
                    )?;
                    values[node.output.0] = outputs[0];
                }
            }
        }
        let output = values[self.plan.output.0];
        let objective = self.objective(&mut builder, output)?;
        builder.finish(output, objective)
    }

    fn objective(
        &self,
        builder: &mut GraphBuilder,
        output: ValueId,
    ) -> std::result::Result<Objective, GraphError> {
        builder.end_layer();
        let loss = &self.specification.loss;
        let (Some(target), Some(op)) = (&self.target, operators::loss_op(loss.kind, loss.sum))
        else {
            let kind = match loss.kind {
                LossKind::Output => CotangentKind::Ones,
                _ => CotangentKind::Random,
            };
            return Ok(Objective::Output(output, kind));
        };
        let origin = loss.origin.clone();
        let op = op.map_err(|source| GraphError::Node {
            node: "loss".into(),
            op: "loss",
            origin: Box::new(origin.clone()),
            source,
        })?;
        let mut output = output;
        if loss.kind == LossKind::CrossEntropy && builder.shape(output).len() == 3 {
            // Every token is a row of its own.
            output = builder.node("tokens", Flatten { axis: 2 }, &[output], origin.clone())?;
        }
        let target = builder.input("target", target.shape.clone())?;
        let outputs = builder.node_with("loss", op, &[output, target], None, origin)?;
        Ok(Objective::Loss(outputs[0]))
    }

    /// The rows of the data file, where there is one.
    pub(super) fn row_count(&self) -> Option<usize> {
        self.data.as_ref().map(Dataset::rows)
    }

    fn draw_batch(&self, seed: u64) -> Result<Vec<Tensor<f64>>> {
        let input = &self.specification.input;
        let mut rows = Vec::new();
        let row_shape = input.shape.clone();
        let inputs = match (&input.values, &self.data) {
            (Values::File(file), Some(data)) => {
                let seed = (file.rows == RowChoice::Random).then_some(seed);
                rows = data
                    .batch_rows(self.specification.batch, seed)
                    .map_err(|error| of_data(error, file))?;
                data.gather_inputs(&rows)
            }
            (Values::Synthetic(synthetic), _) => {
                let mut shape = vec![self.specification.batch];
                shape.extend(row_shape.iter().flatten());
                synthetic.draw(&shape, seed, "input")
            }
            // A file's data were read when the network was made.
            (Values::File(_), None) => Tensor::zeros(self.plan.input_shape.clone()),
        };
        let inputs = upscaled(inputs, row_shape.as_deref(), input.upscale);
        let mut batch = vec![Tensor::new(
            self.plan.input_shape.clone(),
            inputs.into_data(),
        )];
        if let Some(target) = &self.target {
            batch.push(target.draw(seed, &rows, self.data.as_ref()));
        }
        Ok(batch)
    }
}

type Prepared = (Plan, Option<Dataset>, Option<PlannedTarget>);

fn prepare(specification: &Specification) -> Result<Prepared> {
    let data = match &specification.input.values {
        Values::File(file) => Some(read_data(specification, file)?),
        Values::Synthetic(_) => None,
    };
    let row = row_shape(specification, data.as_ref())?;
    let plan = plan(specification, &row)?;
    let target = plan_target(&specification.loss, &plan.output_shape, data.as_ref())?;
    Ok((plan, data, target))
}

fn read_data(specification: &Specification, file: &FileValues) -> Result<Dataset> {
    let folder = specification.source.path.as_deref().and_then(Path::parent);
    let path = folder.map_or_else(|| file.path.clone(), |folder| folder.join(&file.path));
    let mut options = ReadOptions {
        header: file.header,
        delimiter: file.delimiter.map(|delimiter| delimiter as u8),
        ..ReadOptions::default()
    };
    if let Some(limit) = specification.max_memory {
        options.max_bytes = options.max_bytes.min(limit);
    }
    let loss = &specification.loss;
    let wants_target = loss.kind.takes_target() && loss.targets == Targets::Auto;
    let target = match &file.target {
        TargetColumn::Auto => wants_target.then_some(&Column::Last),
        TargetColumn::None => None,
        TargetColumn::Column(column) => Some(column),
    };
    let table = read_table(&path, &options);
    let data = table.and_then(|table| Dataset::new(table, target, file.standardise));
    let data = data.and_then(|data| data.check_batch(specification.batch).map(|()| data));
    data.map_err(|error| of_data(error, file))
}

/// A mistake in the data, at the place of the specification that asked for it.
fn of_data(error: DataError, file: &FileValues) -> SpecError {
    let origin = match (&error, &file.target_origin) {
        (DataError::NoColumn { .. } | DataError::NoInputs { .. }, Some(target)) => target,
        _ => &file.origin,
    };
    let help = error.help().map(str::to_owned);
    at(SpecError::new(Kind::Data, error.to_string()), origin).maybe_help(help)
}

fn of_graph(error: GraphError) -> SpecError {
    let origin = error.origin().cloned().unwrap_or_default();
    at(SpecError::new(Kind::Shape, error.to_string()), &origin)
}

/// The shape of a row as the first layer sees it.
fn row_shape(specification: &Specification, data: Option<&Dataset>) -> Result<Vec<usize>> {
    let input = &specification.input;
    let wrong = |message: String| at(SpecError::new(Kind::Shape, message), &input.origin);
    let mut shape = match (&input.shape, data) {
        (Some(shape), None) => shape.clone(),
        (None, data) => vec![data.map_or(1, Dataset::features)],
        (Some(shape), Some(data)) => {
            let holds = Shape(shape.clone()).element_count();
            if holds != data.features() {
                let columns = data.features();
                let shape = Shape(shape.clone());
                return Err(wrong(format!(
                    "shape {shape} holds {holds} numbers, but the data file has {columns} input \
                     columns"
                )));
            }
            shape.clone()
        }
    };
    if input.upscale > 1 {
        let [_, height, width] = &mut shape[..] else {
            return Err(wrong(
                "upscale needs a shape [channels, height, width]".into(),
            ));
        };
        *height *= input.upscale;
        *width *= input.upscale;
    }
    Ok(shape)
}

/// Every pixel of `[channels, height, width]` rows repeated `factor` times both ways.
fn upscaled(rows: Tensor<f64>, shape: Option<&[usize]>, factor: usize) -> Tensor<f64> {
    let (Some(&[_, _, width]), true) = (shape, factor > 1) else {
        return rows;
    };
    let mut out = Vec::with_capacity(rows.data().len() * factor * factor);
    for line in rows.data().chunks_exact(width) {
        for _ in 0..factor {
            for &pixel in line {
                out.extend(std::iter::repeat_n(pixel, factor));
            }
        }
    }
    Tensor::new([out.len()], out)
}

/// Draws a parameter from its own stream.
fn draw(parameter: &PlannedParameter, seed: u64, dtype: Dtype) -> ParameterData {
    match dtype {
        Dtype::F32 => ParameterData::F32(Arc::new(drawn(parameter, seed))),
        Dtype::F64 => ParameterData::F64(Arc::new(drawn(parameter, seed))),
    }
}

fn drawn<T: Element>(parameter: &PlannedParameter, seed: u64) -> Tensor<T> {
    let mut tensor = Tensor::zeros(parameter.shape.clone());
    let mut stream = Stream::new(seed, &parameter.name);
    let target = &parameter.target;
    let block: usize = target.shape.iter().product();
    for (number, block) in tensor.data_mut().chunks_exact_mut(block.max(1)).enumerate() {
        if let Some((_, name)) = parameter.streams.iter().find(|(at, _)| *at == number) {
            stream = Stream::new(seed, name);
        }
        let exception = parameter.exceptions.iter().find(|(at, _)| *at == number);
        let initialiser = exception.map_or(parameter.initialiser, |&(_, other)| other);
        initialiser.fill(target, &mut stream, block);
    }
    tensor
}
