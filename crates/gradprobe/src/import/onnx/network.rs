//! A model as a network to be checked.

use super::analysis::{Analysis, analyse};
use super::convert::is_supported;
use super::error::{OnnxError, quoted};
use super::fault::Fault;
use super::fused;
use super::inputs::{self, InputPlan};
use super::loss::{self, Decided, Judged, TargetPlan};
use super::messages::standard_domain;
use super::model::{Flat, flatten};
use super::notes::notes;
use super::options::{OnnxLoss, OnnxOptions, OnnxTarget};
use super::reader;
use super::reinit;
use super::session::Session;
use super::sizes::Sizes;
use super::tensors::Kind;
use super::tied::tie;
use super::value::{Operand, Source};
use crate::data::read_arrays;
use crate::graph::{CotangentKind, Graph, Objective, Origin};
use crate::import::spec::{Dtype, Optimiser, default_limit};
use crate::import::{ImportError, Subject};
use crate::num::{Shape, Tensor};
use crate::ops::{Attribute, Attributes, Mode, find_op};
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
    batch: usize,
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
            tie(&mut model);
            prepare_at_some_size(path, &model, options, limit)
        };
        prepare().map_err(|error: OnnxError| error.in_file(path))
    }
}

impl Subject for OnnxNetwork {
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
        self.batch
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
        let inputs = self.inputs.iter().map(|input| input.draw(seed));
        let target = self.target.iter().map(|target| target.draw(seed));
        Ok(inputs.chain(target).collect())
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
    for mut sizes in Sizes::TRIED {
        if first.as_ref().is_some_and(|(used, _)| !used.matters(sizes)) {
            continue;
        }
        match (prepare(path, model, options, limit, &mut sizes), &first) {
            (Ok(network), _) => return Ok(network),
            (Err(error), None) => first = Some((sizes, error)),
            (Err(_), Some(_)) => {}
        }
    }
    let open = first.as_ref().map(|(sizes, _)| *sizes).unwrap_or_default();
    let error = first.map_or_else(|| OnnxError::new("was not read"), |(_, error)| error);
    Err(if open.side_is_open || open.length_is_open {
        error.help("the sizes that the file leaves open are chosen: set them with --dim NAME=SIZE")
    } else {
        error
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
    let analysis = analyse(model, &[&judged.value]);
    check_operators(model, &analysis)?;
    let read = reads_of(model, &analysis, &[&judged.value]);
    let given = inputs::given(options, limit)?;
    let plans = inputs::plan(model, &analysis, &read, options, &given, sizes)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let (mode, dropout) = (options.mode, options.dropout);
    let mut session = Session::new(model, &analysis, folder, limit, mode, dropout);
    for plan in &plans {
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
        let operand = Operand {
            kind: plan.kind,
            shape: plan.shape.clone(),
            source: Source::Value(value),
        };
        session.define(&plan.name, operand);
    }
    session.read_initialisers(&read)?;
    session.convert_all()?;
    session.need(&judged.value)?;
    finish(path, session, plans, &judged, options, &given)
}

/// Every value that a live node reads, and the outputs.
pub(super) fn reads_of<'m>(
    model: &'m Flat,
    analysis: &Analysis,
    outputs: &[&'m str],
) -> HashSet<&'m str> {
    let mut read: HashSet<&str> = outputs.iter().copied().collect();
    let live = model.nodes.iter().zip(&analysis.live);
    for (node, _) in live.filter(|(_, live)| **live) {
        collect_reads(&node.message, &mut read);
    }
    read
}

fn collect_reads<'m>(node: &'m super::messages::Node, read: &mut HashSet<&'m str>) {
    read.extend(node.input.iter().map(String::as_str));
    for graph in node
        .attribute
        .iter()
        .filter_map(|attribute| attribute.g.as_ref())
    {
        read.extend(graph.output.iter().map(|output| output.name.as_str()));
        graph.node.iter().for_each(|node| collect_reads(node, read));
    }
}

fn choose_output(model: &Flat, options: &OnnxOptions) -> Result<Judged, OnnxError> {
    let made_by: HashMap<&str, usize> = model
        .nodes
        .iter()
        .enumerate()
        .flat_map(|(index, node)| {
            let outputs = node.message.output.iter();
            outputs.map(move |name| (name.as_str(), index))
        })
        .collect();
    let outputs = || model.graph.output.iter().map(|info| info.name.as_str());
    let name = match &options.output {
        Some(asked) if made_by.contains_key(asked.as_str()) => asked.as_str(),
        Some(asked) => {
            let names: Vec<String> = outputs().map(quoted).collect();
            return Err(
                OnnxError::new(format!("makes no value {}", quoted(asked))).help(format!(
                    "its outputs are {} (`-o FILE` writes the result to a file)",
                    names.join(", ")
                )),
            );
        }
        None => outputs()
            .next()
            .ok_or_else(|| OnnxError::new("has no output"))?,
    };
    if !made_by.contains_key(name) {
        return Err(OnnxError::new(format!(
            "no node makes its output {}",
            quoted(name)
        )));
    }
    Ok(loss::judged(model, &made_by, name, options.loss))
}

/// Every operator that is not known, with the nodes, in one message.
pub(super) fn check_operators(model: &Flat, analysis: &Analysis) -> Result<(), OnnxError> {
    const MOST_NODES: usize = 3;
    const MOST_OPERATORS: usize = 40;
    let mut unknown: Vec<(String, Vec<String>)> = Vec::new();
    let mut help = None;
    let mut visit = |message: &super::messages::Node, place: String| {
        if is_supported(&message.domain, &message.op_type) {
            return;
        }
        let domain = standard_domain(&message.domain);
        help = help.or_else(|| fused::help_for(domain));
        let op = match domain {
            "" => message.op_type.clone(),
            domain => format!("{domain}.{}", message.op_type),
        };
        match unknown.iter_mut().find(|(known, _)| *known == op) {
            Some((_, places)) => places.push(place),
            None => unknown.push((op, vec![place])),
        }
    };
    for (node, _) in model
        .nodes
        .iter()
        .zip(&analysis.live)
        .filter(|(_, live)| **live)
    {
        visit_all(&node.message, &node.place(), &mut visit);
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let listed: Vec<String> = unknown
        .iter()
        .take(MOST_OPERATORS)
        .map(|(op, places)| {
            let shown: Vec<&str> = places.iter().take(MOST_NODES).map(String::as_str).collect();
            let more = places.len().saturating_sub(MOST_NODES);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            format!("{} ({}{more})", op.escape_debug(), shown.join(", "))
        })
        .collect();
    let rest = unknown.len().saturating_sub(MOST_OPERATORS);
    let rest = if rest > 0 {
        format!("; and {rest} more")
    } else {
        String::new()
    };
    let quantised = unknown
        .iter()
        .any(|(op, _)| op.to_lowercase().contains("quantize") || op.ends_with("Integer"));
    let help = help.unwrap_or(if quantised {
        "the model is quantised, and rounding has no gradient: export the float model"
    } else {
        "`gradprobe ops` lists what there is; --output judges a value before them"
    });
    Err(OnnxError::new(format!(
        "operators that are not supported: {}{rest}",
        listed.join("; ")
    ))
    .help(help))
}

fn visit_all(
    message: &super::messages::Node,
    place: &str,
    visit: &mut dyn FnMut(&super::messages::Node, String),
) {
    visit(message, place.to_owned());
    for graph in message
        .attribute
        .iter()
        .filter_map(|attribute| attribute.g.as_ref())
    {
        for inner in &graph.node {
            let place = format!("in {place}");
            visit_all(inner, &place, visit);
        }
    }
}

fn finish(
    path: &Path,
    mut session: Session<'_>,
    inputs: Vec<InputPlan>,
    judged: &Judged,
    options: &OnnxOptions,
    given: &HashMap<String, Arc<Tensor<f64>>>,
) -> Result<OnnxNetwork, OnnxError> {
    let output = session
        .find(&judged.value)
        .ok_or_else(|| OnnxError::new(format!("nothing makes {}", quoted(&judged.value))))?;
    loss::check_kind(output.kind, &judged.output)?;
    let Source::Value(value) = output.source else {
        return Err(OnnxError::new(format!(
            "output {} does not depend on the inputs",
            quoted(&judged.output)
        )));
    };
    let is_token = |input: &InputPlan| input.kind == Kind::Int && !input.is_lengths;
    let reads_tokens = inputs.iter().any(is_token);
    let read = match &options.target {
        OnnxTarget::File(file) => Some(target_of(file, options)?),
        _ => given.get("target").cloned(),
    };
    let of_target = read.as_ref().map(|target| target.shape());
    let decided = loss::decide(options.loss, judged, &output.shape, reads_tokens, of_target)?;
    session.builder.end_layer();
    let mut target = None;
    let objective = match decided.op() {
        Some(op) => {
            let plan = TargetPlan::new(decided, &output.shape, &options.target, read.as_ref())?;
            let loss = add_loss(&mut session, op, decided, &output, &plan.shape);
            target = Some(plan);
            Objective::Loss(loss.map_err(|fault| fault.unplaced().at("loss"))?)
        }
        None if decided == Decided::Output => Objective::Output(value, CotangentKind::Ones),
        None => Objective::Output(value, CotangentKind::Random),
    };
    let notes = notes(
        &session,
        &inputs,
        judged,
        decided,
        target.as_ref(),
        &output.shape,
        options,
    );
    let weights = std::mem::take(&mut session.weights);
    let graph = session
        .builder
        .finish(value, objective)
        .map_err(|error| OnnxError::new(error.to_string()))?;
    if graph.trainable_count() == 0 {
        return Err(OnnxError::new(format!(
            "output {} depends on no weight: there is nothing to judge",
            quoted(&judged.output)
        )));
    }
    let draws = match options.reinit {
        Some(initialiser) => reinit::plan(&graph, &weights, initialiser),
        None => Vec::new(),
    };
    let seeds = match (&options.seeds[..], options.reinit) {
        ([], Some(_)) if graph.trainable_count() < LARGE => vec![0, 1, 2],
        ([], Some(_)) => vec![0],
        ([], None) => vec![0],
        (seeds, _) => seeds.to_vec(),
    };
    let batch = inputs
        .first()
        .and_then(|input| input.shape.first().copied());
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
        inputs,
    })
}

/// The array of a target's file.
fn target_of(file: &Path, options: &OnnxOptions) -> Result<Arc<Tensor<f64>>, OnnxError> {
    let limit = options.max_memory.unwrap_or_else(default_limit);
    let mut arrays = read_arrays(file, limit).map_err(|error| OnnxError::new(error.to_string()))?;
    let at = arrays.iter().position(|array| array.name == "target");
    match at {
        Some(at) => Ok(Arc::new(arrays.swap_remove(at).tensor)),
        None if arrays.len() == 1 => Ok(Arc::new(arrays.swap_remove(0).tensor)),
        None => {
            let file = file.display().to_string();
            let file = file.escape_debug();
            Err(OnnxError::new(format!("`{file}` has no array `target`")))
        }
    }
}

fn add_loss(
    session: &mut Session<'_>,
    op: &str,
    decided: Decided,
    output: &Operand,
    target: &Shape,
) -> Result<crate::graph::ValueId, Fault> {
    let make = |op: &str, attributes: &Attributes| {
        let entry = find_op(op).ok_or_else(|| Fault::from(format!("the engine has no op {op}")))?;
        Ok::<_, Fault>(Arc::from((entry.from_attributes)(attributes)?))
    };
    let mut value = session.value(output)?;
    if decided == Decided::CrossEntropy(true) {
        let axis = [("axis".to_owned(), Attribute::Int(2))]
            .into_iter()
            .collect();
        let name = session.free_name("tokens");
        let flatten = make("Flatten", &axis)?;
        value = session
            .builder
            .node_with(name, flatten, &[value], None, Origin::default())?[0];
    }
    let name = session.free_name("target");
    let target = session.builder.input(name, target.clone())?;
    let name = session.free_name("loss");
    let loss = make(op, &Attributes::new())?;
    let outputs =
        session
            .builder
            .node_with(name, loss, &[value, target], None, Origin::default())?;
    Ok(outputs[0])
}
