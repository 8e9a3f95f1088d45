//! What live nodes are and read: values, and operators that are not supported.

use super::analysis::Analysis;
use super::convert::is_supported;
use super::error::OnnxError;
use super::fused;
use super::messages::standard_domain;
use super::model::Flat;
use std::collections::HashSet;

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
