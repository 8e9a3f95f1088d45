//! A model as a network to be checked.

use super::analysis::analyse;
use super::batch_norms;
use super::course::Course;
use super::error::{OnnxError, quoted};
use super::inputs::{self, InputPlan, Planned};
use super::layering;
use super::loss::{self, Decided, Judged, TargetPlan};
use super::model::{Flat, flatten};
use super::notes::{Noted, notes};
use super::objective::{add_loss, choose_output, target_of};
use super::operators::{check_operators, reads_of};
use super::options::{OnnxLoss, OnnxOptions, OnnxTarget};
use super::reader;
use super::reinit;
use super::session::Session;
use super::sizes::{BATCH, Sizes};
use super::straight_through;
use super::tensors::Kind;
use super::tied::tie;
use super::value::{Operand, Source};
use super::weights::{Said, TensorStatus, TensorVerdict, listed, repair};
use crate::graph::{CotangentKind, Graph, Objective, ValueId};
use crate::import::spec::{Dtype, Optimiser, default_limit};
use crate::import::{ImportError, MadeUpInput, Subject};
use crate::num::Tensor;
use crate::ops::Mode;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Trained numbers from which on one seed is drawn unless more are asked for.
const LARGE: usize = 50_000_000;

/// A model read from an ONNX file, ready to be built and run.
#[derive(Clone, Debug)]
pub struct OnnxNetwork {
    path: PathBuf,
    graph: Graph,
    inputs: Vec<InputPlan>,
    target: Option<TargetPlan>,
    decided: Decided,
    has_given_loss: bool,
    draws: Vec<reinit::Draw>,
    notes: Vec<String>,
    seeds: Vec<u64>,
    dtype: Dtype,
    mode: Mode,
    /// Samples in a batch of the graph, and how many such batches are run one after the other.
    batch: usize,
    tensors: Vec<TensorVerdict>,
    turns: usize,
}

impl OnnxNetwork {
    /// Reads a model and chooses what the options leave open.
    ///
    /// # Errors
    /// If the file cannot be read, has operators that are not known, or an option does not fit it.
    pub fn read(path: &Path, options: &OnnxOptions) -> Result<Self, OnnxError> {
        let limit = options.max_memory.unwrap_or_else(default_limit);
        let bytes = reader::read_bytes(path, limit).map_err(|error| error.in_file(path))?;
        Self::from_bytes(path, bytes, options)
    }

    /// The same for the bytes of a file; `path` is what messages and the report call it, and beside
    /// it lie files of external data.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_bytes(
        path: &Path,
        bytes: Vec<u8>,
        options: &OnnxOptions,
    ) -> Result<Self, OnnxError> {
        let limit = options.max_memory.unwrap_or_else(default_limit);
        let prepare = || {
            let mut model = flatten(reader::decode(bytes, limit)?)?;
            let folder = path.parent().unwrap_or(Path::new(""));
            repair(&mut model, folder);
            tie(&mut model, folder);
            if options.mode == Mode::Train {
                model.batch_norms = batch_norms::recognise(&mut model, folder);
            }
            let prepared = prepare_at_some_size(path, &model, options, limit);
            // What an operator of another version meant may be why it was not understood.
            prepared.map_err(|error| match model.unknown_version() {
                Some(version) => error.help(version),
                None => error,
            })
        };
        prepare().map_err(|error: OnnxError| error.in_file(path))
    }
}

impl Subject for OnnxNetwork {
    fn tensors(&self) -> &[TensorVerdict] {
        &self.tensors
    }

    fn has_given_loss(&self) -> bool {
        self.has_given_loss
    }

    fn is_freshly_drawn(&self) -> bool {
        !self.draws.is_empty()
    }
    fn title(&self) -> String {
        let stem = self.path.file_stem();
        stem.map_or_else(
            || "network".into(),
            |stem| stem.to_string_lossy().into_owned(),
        )
    }

    fn seeds(&self) -> &[u64] {
        &self.seeds
    }

    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn mode(&self) -> Mode {
        self.mode
    }

    fn batch_size(&self) -> usize {
        self.batch * self.turns
    }

    fn is_exported(&self) -> bool {
        true
    }

    fn made_up_inputs(&self) -> Vec<MadeUpInput> {
        let drawn = self.inputs.iter().filter(|input| !input.is_given());
        let made_up = |input: &InputPlan| MadeUpInput {
            description: input.about(),
            is_doubtful: input.is_doubtful(),
        };
        drawn.map(made_up).collect()
    }

    fn objective(&self) -> String {
        self.decided.words().into()
    }

    fn optimiser(&self) -> Option<&Optimiser> {
        None
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }

    fn build(&self, seed: u64) -> Result<Graph, ImportError> {
        let mut graph = self.graph.clone();
        reinit::draw(&mut graph, &self.draws, seed);
        Ok(graph)
    }

    fn batch(&self, seed: u64) -> Result<Vec<Tensor<f64>>, ImportError> {
        Ok(self.batches(seed)?.swap_remove(0))
    }

    fn batches(&self, seed: u64) -> Result<Vec<Vec<Tensor<f64>>>, ImportError> {
        let mut batches: Vec<Vec<Tensor<f64>>> = vec![Vec::new(); self.turns];
        let inputs = self.inputs.iter().map(|input| input.draw(seed, self.turns));
        let target = self.target.iter();
        for drawn in inputs.chain(target.map(|target| target.draw(seed, self.turns))) {
            batches
                .iter_mut()
                .zip(drawn)
                .for_each(|(batch, tensor)| batch.push(tensor));
        }
        Ok(batches)
    }
}

/// Extents that the file leaves open are taken as usual, else as the model can take them.
fn prepare_at_some_size(
    path: &Path,
    model: &Flat,
    options: &OnnxOptions,
    limit: u64,
) -> Result<OnnxNetwork, OnnxError> {
    let mut first: Option<(Sizes, OnnxError)> = None;
    let mut seen = HashSet::new();
    for mut sizes in Sizes::tried(options, &model.graph.input) {
        if let Some((used, _)) = &first
            && !seen.insert(sizes.needed(used))
        {
            continue;
        }
        match (prepare(path, model, options, limit, &mut sizes), &first) {
            (Ok(network), _) => return Ok(network),
            (Err(error), None) => {
                seen.insert(sizes.needed(&sizes));
                first = Some((sizes, error));
            }
            (Err(_), Some(_)) => {}
        }
    }
    let Some((sizes, error)) = first else {
        return Err(OnnxError::new("was not read"));
    };
    Err(match &sizes.in_words()[..] {
        "" => error,
        chosen => error.help(format!(
            "the sizes that the file leaves open were chosen, {chosen}, and others tried: give \
             those that fit with --dim NAME=SIZE"
        )),
    })
}

fn prepare(
    path: &Path,
    model: &Flat,
    options: &OnnxOptions,
    limit: u64,
    sizes: &mut Sizes,
) -> Result<OnnxNetwork, OnnxError> {
    let judged = choose_output(model, options)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let said = Said {
        train: &options.train,
        freeze: &options.freeze,
    };
    let analysis = analyse(model, &[&judged.value], folder, said)?;
    check_operators(model, &analysis)?;
    let read = reads_of(model, &analysis, &[&judged.value]);
    let given = inputs::given(options, limit)?;
    let mut planned = inputs::plan(model, &analysis, &read, options, &given, sizes)?;
    let (mode, dropout) = (options.mode, options.dropout);
    let mut session = Session::new(model, &analysis, folder, limit, mode, dropout);
    session.estimators = straight_through::find(model, &analysis.made_by, &analysis.live);
    session.straight_through = options.straight_through;
    if options.straight_through && session.estimators.is_empty() {
        return Err(OnnxError::new(
            "has no x + (f(x) − x) to take for a straight-through estimator",
        )
        .help("leave out --straight-through"));
    }
    let values = add_inputs(&mut session, &planned.inputs, options)?;
    let converted = session
        .read_initialisers(&read)
        .and_then(|()| session.convert_all())
        .and_then(|()| session.need(&judged.value));
    converted.map_err(|error| decided_by_drawn(&session, &planned.inputs, error))?;
    for (plan, value) in planned.inputs.iter_mut().zip(values) {
        if let Some(&rows) = session.indexed.get(&value) {
            plan.indexes(rows);
        }
    }
    let course = session.course.take();
    for decision in course.decisions() {
        for plan in &mut planned.inputs {
            if let Some(numbers) = course.of_input(&plan.name)
                && decision.inputs.contains(&plan.name)
            {
                plan.decides(numbers);
            }
        }
    }
    session.course.replace(course);
    finish(path, session, planned, &judged, options, &given)
}

/// Adds the inputs to the graph.
fn add_inputs(
    session: &mut Session<'_>,
    plans: &[InputPlan],
    options: &OnnxOptions,
) -> Result<Vec<ValueId>, OnnxError> {
    let mut course = Course::new(options.reinit.is_some());
    let seed = first_seed(options);
    let mut values = Vec::with_capacity(plans.len());
    for plan in plans {
        session.charge(plan.shape.element_count() as u128 * 16)?;
        session.reserve(&plan.name);
        let value = session
            .builder
            .input(plan.name.clone(), plan.shape.clone())
            .map_err(|error| OnnxError::new(error.to_string()))?;
        session.layers.is_input(value);
        if plan.is_whole_lengths() {
            session.whole_lengths.insert(value);
        }
        if let Some(numbers) = plan.draw(seed, 1).pop() {
            course.set_input(value, &plan.name, numbers);
        }
        let operand = Operand {
            kind: plan.kind,
            shape: plan.shape.clone(),
            source: Source::Value(value),
        };
        session.define(&plan.name, operand);
        values.push(value);
    }
    session.course.replace(course);
    Ok(values)
}

/// A network that does not fit together on a course that drawn inputs decided wants those given.
fn decided_by_drawn(session: &Session<'_>, plans: &[InputPlan], error: OnnxError) -> OnnxError {
    let course = session.course.borrow();
    let drawn: Vec<String> = plans
        .iter()
        .filter(|plan| {
            let mut decisions = course.decisions().iter();
            !plan.is_given() && decisions.any(|decision| decision.inputs.contains(&plan.name))
        })
        .map(|plan| quoted(&plan.name))
        .collect();
    match &drawn[..] {
        [] => error,
        drawn => error.help(format!(
            "inputs that decide the course of the network were made up, {}: give them with --input \
             NAME=NUMBER",
            drawn.join(", ")
        )),
    }
}

fn first_seed(options: &OnnxOptions) -> u64 {
    options.seeds.first().copied().unwrap_or(0)
}

/// How many batches of the graph's size are run, one after the other, and whether that was asked
/// for or follows from what was given.
fn turns_of(planned: &Planned, options: &OnnxOptions) -> Result<(usize, bool), OnnxError> {
    let sampled = planned.inputs.iter().find(|input| !input.shape.is_empty());
    let rows = sampled.map_or(1, |input| input.shape[0]).max(1);
    let (turns, is_chosen) = match (planned.turns_given, options.batch) {
        (Some(turns), None) => (turns, true),
        (Some(turns), Some(batch)) if turns * rows == batch => (turns, true),
        (Some(turns), Some(batch)) => {
            return Err(OnnxError::new(format!(
                "is given {} samples, where a batch of {batch} is asked for",
                turns * rows
            )));
        }
        (None, Some(batch)) if batch.is_multiple_of(rows) => (batch / rows, true),
        (None, Some(batch)) => {
            return Err(OnnxError::new(format!(
                "takes batches of {rows} alone, where one of {batch} is asked for"
            ))
            .help("several are run one after the other: ask for a multiple"));
        }
        // One sample says little: which units are dead, say.
        (None, None) => {
            let mut given = planned
                .inputs
                .iter()
                .filter(|input| !input.shape.is_empty());
            let is_drawn = !given.any(InputPlan::is_given);
            let several = rows == 1 && planned.is_batch_fixed && is_drawn;
            (if several { BATCH } else { 1 }, false)
        }
    };
    let mut inputs = planned.inputs.iter();
    let Some(decides) = inputs.find(|input| input.decides_by_samples()) else {
        return Ok((turns, is_chosen));
    };
    if turns > 1 && is_chosen {
        return Err(OnnxError::new(format!(
            "takes a course that its input {} decides, and another one may take another",
            quoted(&decides.name)
        ))
        .help(format!("ask for one batch: --batch {rows}")));
    }
    Ok((1, false))
}

fn finish(
    path: &Path,
    mut session: Session<'_>,
    planned: Planned,
    judged: &Judged,
    options: &OnnxOptions,
    given: &HashMap<String, Arc<Tensor<f64>>>,
) -> Result<OnnxNetwork, OnnxError> {
    let output = session
        .find(&judged.value)
        .ok_or_else(|| OnnxError::new(format!("nothing makes {}", quoted(&judged.value))))?;
    loss::check_kind(session.model, output.kind, &judged.output)?;
    let Source::Value(value) = output.source else {
        return Err(OnnxError::new(format!(
            "output {} does not depend on the inputs",
            quoted(&judged.output)
        )));
    };
    let (mut turns, is_chosen) = turns_of(&planned, options)?;
    let inputs = planned.inputs;
    let is_token = |input: &InputPlan| {
        input.kind == Kind::Int && !input.is_lengths && !input.decides_the_course()
    };
    let reads_tokens = inputs.iter().any(is_token);
    let read = match &options.target {
        OnnxTarget::File(file) => Some(target_of(file, options)?),
        _ => given.get("target").cloned(),
    };
    let of_target = read.as_deref();
    let decided = loss::decide(options.loss, judged, &output.shape, reads_tokens, of_target)?;
    let layers = layering::assign(&session.layers, &mut session.builder, value)
        .map_err(|error| OnnxError::new(error.to_string()))?;
    session
        .name_by_layers(&layers)
        .map_err(|fault| fault.unplaced())?;
    let mut target = None;
    let objective = if decided.takes_target() {
        let plan = TargetPlan::new(
            decided,
            judged,
            &output.shape,
            &options.target,
            read.clone(),
        )?;
        turns = plan.turns(turns, is_chosen)?;
        let loss = add_loss(&mut session, decided, &output, &plan.shape);
        target = Some(plan);
        Objective::Loss(loss.map_err(|fault| fault.unplaced().at("loss"))?)
    } else if decided == Decided::Output {
        Objective::Output(value, CotangentKind::Ones)
    } else {
        Objective::Output(value, CotangentKind::Random)
    };
    if session.changes_course() {
        session
            .builder
            .leave_unneeded_out_of_layers(objective.value());
    }
    let mut notes = notes(&Noted {
        session: &session,
        inputs: &inputs,
        judged,
        decided,
        target: target.as_ref(),
        shape: &output.shape,
        turns,
        options,
    });
    let weights = std::mem::take(&mut session.weights);
    let used = weights.iter().filter(|it| it.trained && it.value.is_some());
    let used: HashSet<&str> = used.map(|weight| weight.name.as_str()).collect();
    let is_used = |name: &str| used.contains(name);
    let tensors = session.analysis.weights.verdicts(session.model, &is_used);
    notes.extend(session.model.remarks.iter().cloned());
    notes.extend(not_judged(&tensors));
    let graph = session
        .builder
        .finish(value, objective)
        .map_err(|error| OnnxError::new(error.to_string()))?;
    if graph.trainable_count() == 0 {
        let error = OnnxError::new(format!(
            "output {} depends on no weight: there is nothing to judge",
            quoted(&judged.output)
        ));
        return Err(match session.counts.contains_key("quantised weights") {
            true => error.help(
                "the model is quantised, and rounding has no gradient: export the float model",
            ),
            false => error.help("--train GLOB takes tensors as weights"),
        });
    }
    let draws = match options.reinit {
        Some(initialiser) => reinit::plan(&graph, &weights, initialiser),
        None => Vec::new(),
    };
    let seeds = match (&options.seeds[..], options.reinit) {
        ([], Some(_)) if graph.trainable_count() < LARGE => vec![0, 1, 2],
        ([], _) => vec![first_seed(options)],
        (seeds, _) => seeds.to_vec(),
    };
    let sampled = inputs.iter().find(|input| !input.shape.is_empty());
    let batch = sampled.and_then(|input| input.shape.first().copied());
    Ok(OnnxNetwork {
        path: path.to_path_buf(),
        graph,
        target,
        decided,
        has_given_loss: options.loss != OnnxLoss::Auto,
        draws,
        notes,
        seeds,
        dtype: options.dtype,
        mode: options.mode,
        batch: batch.unwrap_or(1),
        turns,
        inputs,
        tensors,
    })
}

/// What nothing is said of, in a sentence.
fn not_judged(tensors: &[TensorVerdict]) -> Option<String> {
    let undecided = tensors
        .iter()
        .filter(|tensor| tensor.status == TensorStatus::NotJudged);
    let names: Vec<String> = undecided.map(|tensor| tensor.name.clone()).collect();
    (!names.is_empty()).then(|| {
        let names = listed(&names);
        format!("not judged: {names} (--verbose says why; --train, --freeze)")
    })
}
