//! What a tensor does in the graph: the operand of a product, a bias, the scale of a norm, a table,
//! or a setting of an operation that nobody trains.

use crate::import::onnx::model::{Flat, Node};
use std::collections::{HashMap, HashSet};

/// What a tensor does where it meets a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::import::onnx) enum Role {
    /// Multiplies the signal as a matrix, a kernel, a recurrent weight.
    Product,
    /// The scale of a normalisation.
    NormScale,
    /// The shift of a normalisation.
    NormShift,
    /// Rows looked up by index.
    Table,
    /// Added along the channels.
    Bias,
    /// Multiplied along the channels.
    Scale,
    /// Added to every sample alike: position embeddings.
    Embedding,
    /// Joined to the signal: a class token.
    Token,
    /// The slope of a PReLU.
    Slope,
    /// The first state of a recurrent layer.
    InitialState,
    /// Added to scores before a softmax.
    Mask,
    /// The statistics that a batch norm keeps.
    Statistics,
    /// An exponent, a limit, a size: a setting of the operation.
    Setting,
}

impl Role {
    /// What frameworks call a parameter with this role in its layer.
    pub fn parameter(self) -> &'static str {
        match self {
            Self::Bias | Self::NormShift => "bias",
            Self::Scale => "scale",
            Self::Embedding => "embedding",
            Self::Token => "token",
            Self::InitialState => "initial_state",
            _ => "weight",
        }
    }
}

/// What stands at an input of an operator, where the operator alone says it.
pub(super) fn by_operator(op: &str, input: usize) -> Option<Role> {
    Some(match (op, input) {
        ("Conv" | "ConvTranspose" | "Gemm" | "FusedConv" | "FusedGemm", 1)
        | ("Gemm" | "MatMul" | "FusedMatMul" | "TransposeMatMul", 0)
        | ("MatMul" | "FusedMatMul" | "TransposeMatMul", 1)
        | ("LSTM" | "GRU" | "RNN", 0..=2)
        | ("LSTM", 7)
        | ("Einsum", _) => Role::Product,
        ("Conv" | "ConvTranspose" | "Gemm" | "FusedConv" | "FusedGemm", 2)
        | ("LSTM" | "GRU" | "RNN", 3)
        | ("BiasGelu" | "FastGelu", 1)
        | ("MultiHeadAttention", 3)
        | ("SkipLayerNormalization", 4)
        | ("SkipSimplifiedLayerNormalization", 3) => Role::Bias,
        (
            "BatchNormalization"
            | "InstanceNormalization"
            | "GroupNormalization"
            | "LayerNormalization"
            | "RMSNormalization"
            | "SimplifiedLayerNormalization",
            1,
        )
        | ("SkipLayerNormalization" | "SkipSimplifiedLayerNormalization", 2) => Role::NormScale,
        (
            "BatchNormalization"
            | "InstanceNormalization"
            | "GroupNormalization"
            | "LayerNormalization",
            2,
        )
        | ("SkipLayerNormalization", 3) => Role::NormShift,
        ("BatchNormalization", 3 | 4) => Role::Statistics,
        ("PRelu", 1) => Role::Slope,
        ("Gather", 0) => Role::Table,
        ("EmbedLayerNormalization", 2..=4) => Role::Table,
        ("EmbedLayerNormalization", 5) => Role::NormScale,
        ("EmbedLayerNormalization", 6) => Role::NormShift,
        ("LSTM" | "GRU" | "RNN", 5 | 6) => Role::InitialState,
        ("Pow", 1)
        | ("Clip", 1 | 2)
        | ("Pad", 2)
        | ("Resize" | "Upsample", 1 | 2)
        | ("Dropout", 1)
        | ("OneHot", 2)
        | ("Range", _)
        | ("QuantizeLinear" | "DequantizeLinear", 1)
        | ("Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Equal", 1)
        | ("RotaryEmbedding", 2 | 3)
        | ("Scaler" | "MelWeightMatrix", _) => Role::Setting,
        _ => return None,
    })
}

/// Operators that hand their first input on in another form.
pub(super) fn moves(op: &str) -> bool {
    matches!(
        op,
        "Identity"
            | "Reshape"
            | "Unsqueeze"
            | "Squeeze"
            | "Transpose"
            | "Cast"
            | "CastLike"
            | "Expand"
            | "Tile"
            | "Slice"
            | "Flatten"
            | "Split"
    )
}

/// How an elementwise operator takes a constant, by the constant's extents.
fn elementwise(op: &str, dims: &[i64], signal: Flow) -> Option<Role> {
    let wide = dims.iter().filter(|&&extent| extent != 1).count();
    match (op, wide) {
        // Centred and scaled inputs: nobody trains these.
        ("Add" | "Sub" | "Mul" | "Div", 0 | 1) if !signal.is_weighted => None,
        ("Add" | "Sub", 1) => Some(Role::Bias),
        // A layer of one unit.
        ("Add", 0) if signal.is_product_of_one => Some(Role::Bias),
        ("Add", 2..) if signal.meets_softmax => Some(Role::Mask),
        ("Add", 2..) => Some(Role::Embedding),
        ("Mul", 1) => Some(Role::Scale),
        _ => None,
    }
}

/// What is known of a value that a constant meets.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    /// Did a weight or a table touch it?
    is_weighted: bool,
    /// Is it the product with a weight of one unit?
    is_product_of_one: bool,
    /// Is what the node makes read by a softmax?
    meets_softmax: bool,
}

/// The roles of tensors.
#[derive(Debug, Default)]
pub(in crate::import::onnx) struct Roles {
    by_name: HashMap<String, Role>,
}

impl Roles {
    /// Finds what each constant of the live nodes does; `extents` are those of the file's tensors,
    /// `whole` those of whole numbers.
    pub fn of(
        model: &Flat,
        live: &[bool],
        made_by: &HashMap<String, usize>,
        extents: &HashMap<&str, &[i64]>,
        whole: HashSet<&str>,
    ) -> Self {
        let nodes = || {
            let all = model.nodes.iter().zip(live);
            all.filter(|(_, live)| **live).map(|(node, _)| node)
        };
        let constant = constants(nodes(), extents);
        let weighted = weighted(nodes(), &constant);
        let units = products_of_one(nodes(), extents);
        let quantised = quantised(nodes(), &constant, whole);
        let reduced = reduced(nodes(), &constant);
        let mut softmaxed: HashSet<&str> = HashSet::new();
        let mut wanted: HashMap<&str, Role> = HashMap::new();
        let nodes: Vec<&Node> = nodes().collect();
        for node in nodes.into_iter().rev() {
            let message = &node.message;
            let op = &message.op_type[..];
            let of_output = message
                .output
                .iter()
                .find_map(|name| wanted.get(&name[..]).copied());
            let meets_softmax = message
                .output
                .iter()
                .any(|name| softmaxed.contains(&name[..]));
            if op == "Softmax" || (meets_softmax && (moves(op) || op == "Add")) {
                softmaxed.extend(message.input.first().map(String::as_str));
            }
            let is_constant = message
                .output
                .iter()
                .any(|name| constant.contains(&name[..]));
            let other = |input: usize| {
                let others = message.input.iter().enumerate();
                let mut others = others.filter(|&(at, name)| at != input && !name.is_empty());
                others.find(|(_, name)| !constant.contains(&name[..]))
            };
            for (input, name) in message.input.iter().enumerate() {
                if !constant.contains(&name[..]) {
                    continue;
                }
                let dims = extents.get(&name[..]).copied();
                let role = by_operator(op, input).or_else(|| {
                    let is_one_number = dims.is_some_and(|dims| !has_several(dims));
                    if op == "Mul" && is_constant && is_one_number {
                        // The strength of a penalty.
                        let mut others = message.input.iter().filter(|other| *other != name);
                        if others.any(|other| reduced.contains(&other[..])) {
                            return Some(Role::Setting);
                        }
                    }
                    if is_constant && scales(op) && !quantised.contains(&name[..]) {
                        let mut others = message.input.iter().filter(|other| *other != name);
                        let own = extents_of(name, extents, model, made_by);
                        let fewer = |other: &String| {
                            let whole = whole_of(other, &quantised, model, made_by);
                            let of = extents_of(whole, extents, model, made_by);
                            match (&own, &of) {
                                (Some(own), Some(of)) => count(own) < count(of),
                                _ => false,
                            }
                        };
                        if others.any(|other| quantised.contains(&other[..]) && fewer(other)) {
                            return Some(Role::Setting);
                        }
                    }
                    if is_constant || moves(op) {
                        // What a tensor is made into says what it does.
                        let passes = input == 0 || !moves(op);
                        return of_output.filter(|_| passes && dims.is_none_or(has_several));
                    }
                    let (_, signal) = other(input)?;
                    if op == "Concat" {
                        return dims.is_none_or(has_several).then_some(Role::Token);
                    }
                    let flow = Flow {
                        is_weighted: weighted.contains(&signal[..]),
                        is_product_of_one: units.contains(&signal[..]),
                        meets_softmax,
                    };
                    elementwise(op, &extents_of(name, extents, model, made_by)?, flow)
                });
                if let Some(role) = role {
                    wanted.entry(name).or_insert(role);
                }
            }
        }
        let by_name = wanted.into_iter();
        Self {
            by_name: by_name
                .map(|(name, role)| (name.to_owned(), role))
                .collect(),
        }
    }

    /// What a tensor does.
    pub fn role(&self, name: &str) -> Option<Role> {
        self.by_name.get(name).copied()
    }
}

/// Sums over parameters, and sums and powers of them: penalties.
fn reduced<'m>(
    nodes: impl Iterator<Item = &'m Node>,
    constant: &HashSet<&'m str>,
) -> HashSet<&'m str> {
    let mut reduced: HashSet<&str> = HashSet::new();
    for node in nodes {
        let message = &node.message;
        let op = &message.op_type[..];
        let mut inputs = message.input.iter();
        let is_sum = op.starts_with("Reduce")
            || (matches!(op, "Add" | "Sum" | "Pow" | "Sqrt" | "Mul")
                && message.input.iter().any(|name| reduced.contains(&name[..])));
        if is_sum && inputs.all(|name| name.is_empty() || constant.contains(&name[..])) {
            reduced.extend(message.output.iter().map(String::as_str));
        }
    }
    reduced
}

/// Operators that whole numbers and their scales and zero points are joined by.
fn scales(op: &str) -> bool {
    matches!(op, "Mul" | "Div" | "Sub" | "Add")
}

/// How many elements these extents have; a negative one is not known.
fn count(dims: &[i64]) -> i64 {
    dims.iter()
        .fold(1i64, |count, &extent| count.saturating_mul(extent.max(1)))
}

/// Values that are whole numbers of the file in another form, or times a scale: weights that were
/// quantised.
fn quantised<'m>(
    nodes: impl Iterator<Item = &'m Node>,
    constant: &HashSet<&'m str>,
    whole: HashSet<&'m str>,
) -> HashSet<&'m str> {
    let mut quantised = whole;
    for node in nodes {
        let message = &node.message;
        let op = &message.op_type[..];
        let mut inputs = message.input.iter();
        let is_of_whole = match op {
            _ if moves(op) => inputs
                .next()
                .is_some_and(|name| quantised.contains(&name[..])),
            _ if scales(op) => {
                inputs.all(|name| constant.contains(&name[..]))
                    && message
                        .input
                        .iter()
                        .any(|name| quantised.contains(&name[..]))
            }
            _ => false,
        };
        if is_of_whole {
            quantised.extend(message.output.iter().map(String::as_str));
        }
    }
    quantised
}

/// The whole numbers that a value was scaled from.
fn whole_of<'n>(
    name: &'n str,
    quantised: &HashSet<&str>,
    model: &'n Flat,
    made_by: &HashMap<String, usize>,
) -> &'n str {
    /// A zero point, a scale, and one more for groups of blocks.
    const MOST: usize = 4;
    let mut name = name;
    for _ in 0..MOST {
        let Some(&maker) = made_by.get(name) else {
            return name;
        };
        let maker = &model.nodes[maker].message;
        let mut inputs = maker.input.iter();
        match inputs.find(|name| quantised.contains(&name[..])) {
            Some(input) if scales(&maker.op_type) => name = input,
            _ => return name,
        }
    }
    name
}

fn has_several(dims: &[i64]) -> bool {
    dims.iter().any(|&extent| extent != 1)
}

/// The extents of a constant: those of the tensor, or of the one that it was moved from. How many
/// axes have more than one element is what is asked of them, which moving mostly keeps.
fn extents_of(
    name: &str,
    extents: &HashMap<&str, &[i64]>,
    model: &Flat,
    made_by: &HashMap<String, usize>,
) -> Option<Vec<i64>> {
    /// Moves of moves.
    const LONGEST: usize = 8;
    let mut name = name;
    for _ in 0..LONGEST {
        if let Some(dims) = extents.get(name) {
            return Some(dims.to_vec());
        }
        let maker = &model.nodes[*made_by.get(name)?];
        if !moves(&maker.message.op_type) {
            return None;
        }
        name = maker.message.input.first()?;
    }
    None
}

/// Every value that is made of constants alone. Of what an operator reads to know a shape it does
/// not matter where it is from.
fn constants<'m>(
    nodes: impl Iterator<Item = &'m Node>,
    extents: &HashMap<&'m str, &[i64]>,
) -> HashSet<&'m str> {
    let mut constant: HashSet<&str> = extents.keys().copied().collect();
    for node in nodes {
        let message = &node.message;
        let op = &message.op_type[..];
        let mut inputs = message.input.iter().filter(|name| !name.is_empty());
        let is_constant = match op {
            "Constant" | "ConstantOfShape" => true,
            _ if moves(op) => inputs
                .next()
                .is_some_and(|name| constant.contains(&name[..])),
            _ if message.input.is_empty() => false,
            _ => inputs.all(|name| constant.contains(&name[..])),
        };
        if is_constant {
            constant.extend(message.output.iter().map(String::as_str));
        }
    }
    constant
}

/// Every value that a weight or a table touched.
fn weighted<'m>(
    nodes: impl Iterator<Item = &'m Node>,
    constant: &HashSet<&'m str>,
) -> HashSet<&'m str> {
    let mut weighted: HashSet<&str> = HashSet::new();
    for node in nodes {
        let message = &node.message;
        let op = &message.op_type[..];
        let touched = message.input.iter().enumerate().any(|(input, name)| {
            let role = by_operator(op, input).filter(|_| constant.contains(&name[..]));
            let is_weight = role.is_some_and(|role| {
                !matches!(role, Role::Setting | Role::InitialState | Role::Statistics)
            });
            weighted.contains(&name[..]) || is_weight
        });
        if touched {
            weighted.extend(message.output.iter().map(String::as_str));
        }
    }
    weighted
}

/// Products with a weight that has one unit: what is added to them, one number, is a bias.
fn products_of_one<'m>(
    nodes: impl Iterator<Item = &'m Node>,
    extents: &HashMap<&'m str, &[i64]>,
) -> HashSet<&'m str> {
    let mut products: HashSet<&str> = HashSet::new();
    let mut made_from: HashMap<&str, &[i64]> = HashMap::new();
    for node in nodes {
        let message = &node.message;
        let dims_of = |name: Option<&String>| {
            let name = name?.as_str();
            extents.get(name).or_else(|| made_from.get(name)).copied()
        };
        let weight = dims_of(message.input.get(1));
        let one = match &message.op_type[..] {
            "MatMul" | "Gemm" => weight.is_some_and(|dims| dims.len() == 2 && dims.contains(&1)),
            "Conv" => weight.is_some_and(|dims| dims.first() == Some(&1)),
            "ConvTranspose" => weight.is_some_and(|dims| dims.get(1) == Some(&1)),
            op if moves(op) => {
                if let (Some(dims), Some(output)) =
                    (dims_of(message.input.first()), message.output.first())
                {
                    made_from.insert(output, dims);
                }
                let of = message.input.first();
                of.is_some_and(|name| products.contains(&name[..]))
            }
            _ => false,
        };
        if one {
            products.extend(message.output.first().map(String::as_str));
        }
    }
    products
}
