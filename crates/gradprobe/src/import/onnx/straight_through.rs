//! Straight-through estimators, written x + (f(x) − x) with a stop-gradient around the difference:
//! f(x) goes forward, and the gradient passes as through x. No ONNX file carries the stop-gradient,
//! so the sum that is left looks like f(x) both ways.
//!
//! Also written (f(x) + x) − x, with f(x) and the last x under the stop-gradient.

use super::messages::Node as Message;
use super::model::{Flat, reads};
use std::collections::{BTreeMap, HashMap, HashSet};

/// An estimator: the names of x, which the gradient passes to, and of f(x).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Estimator {
    pub x: String,
    pub value: String,
}

/// The straight-through estimators of a model, by the name of what the node makes that closes one.
pub(super) type Estimators = BTreeMap<String, Estimator>;

/// Finds them among the nodes that are live.
pub(super) fn find(model: &Flat, made_by: &HashMap<String, usize>, live: &[bool]) -> Estimators {
    let search = Search { model, made_by };
    let nodes = (0..model.nodes.len()).filter(|&index| live[index]);
    let found = nodes.filter_map(|index| {
        let closed = model.nodes[index].message.output.first()?;
        Some((closed.clone(), search.closed_by(index)?))
    });
    found.collect()
}

struct Search<'m> {
    model: &'m Flat,
    made_by: &'m HashMap<String, usize>,
}

impl<'m> Search<'m> {
    fn maker(&self, name: &str) -> Option<&'m Message> {
        let index = self.made_by.get(self.source(name))?;
        Some(&self.model.nodes[*index].message)
    }

    /// The value, looking through nodes that hand it on as it is.
    fn source<'a>(&'a self, name: &'a str) -> &'a str {
        let mut name = name;
        for _ in 0..self.model.nodes.len() {
            let maker = self.made_by.get(name);
            let message = maker.map(|&index| &self.model.nodes[index].message);
            match message {
                Some(message) if message.op_type == "Identity" && !message.input.is_empty() => {
                    name = &message.input[0];
                }
                _ => break,
            }
        }
        name
    }

    fn is_same(&self, one: &str, other: &str) -> bool {
        self.source(one) == self.source(other)
    }

    /// The estimator that the node is the last one of.
    fn closed_by(&self, index: usize) -> Option<Estimator> {
        let message = &self.model.nodes[index].message;
        let [first, second] = &message.input[..] else {
            return None;
        };
        match &message.op_type[..] {
            "Add" => {
                let closes = |x, difference| {
                    let inner = self
                        .maker(difference)
                        .filter(|inner| inner.op_type == "Sub")?;
                    let [value, subtracted] = &inner.input[..] else {
                        return None;
                    };
                    self.is_same(subtracted, x)
                        .then(|| self.estimator(x, value))?
                };
                closes(first, second).or_else(|| closes(second, first))
            }
            "Sub" => {
                let inner = self.maker(first).filter(|inner| inner.op_type == "Add")?;
                let [one, other] = &inner.input[..] else {
                    return None;
                };
                let closes = |value, own| {
                    self.is_same(own, second)
                        .then(|| self.estimator(second, value))?
                };
                closes(one, other).or_else(|| closes(other, one))
            }
            _ => None,
        }
    }

    fn estimator(&self, x: &str, value: &str) -> Option<Estimator> {
        self.is_made_from(value, x).then(|| Estimator {
            x: x.to_owned(),
            value: value.to_owned(),
        })
    }

    /// Is a value computed from another one, and not that itself?
    fn is_made_from(&self, value: &str, from: &str) -> bool {
        let from = self.source(from);
        let mut seen = HashSet::new();
        let mut open = vec![self.source(value).to_owned()];
        if open[0] == from {
            return false;
        }
        while let Some(name) = open.pop() {
            if name == from {
                return true;
            }
            if let Some(&index) = self.made_by.get(&name)
                && seen.insert(index)
            {
                reads(&self.model.nodes[index].message, &mut |input| {
                    open.push(input.to_owned());
                });
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::onnx::model::Node;

    /// Estimators in nodes like `s = Sub f x`.
    fn found(nodes: &[&str]) -> Vec<Option<String>> {
        let nodes: Vec<Node> = nodes
            .iter()
            .enumerate()
            .map(|(position, text)| {
                let words: Vec<&str> = text.split_whitespace().collect();
                let message = Message {
                    output: vec![words[0].into()],
                    op_type: words[2].into(),
                    input: words[3..].iter().map(|&word| word.into()).collect(),
                    ..Message::default()
                };
                Node {
                    message,
                    opset: 17,
                    position,
                }
            })
            .collect();
        let made_by = nodes
            .iter()
            .map(|node| (node.message.output[0].clone(), node.position))
            .collect();
        let model = Flat {
            nodes,
            opset: Some(17),
            ..Flat::default()
        };
        let live = vec![true; model.nodes.len()];
        let estimators = find(&model, &made_by, &live);
        let nodes = model.nodes.iter();
        let passes = |node: &Node| {
            let found = estimators.get(&node.message.output[0])?;
            assert_eq!(found.value, "f");
            Some(found.x.clone())
        };
        nodes.map(passes).collect()
    }

    #[test]
    fn every_way_to_write_an_estimator_is_recognised() {
        let last = |nodes: &[&str]| found(nodes).pop().flatten();
        let x = Some("x".to_owned());
        assert_eq!(last(&["f = Sign x", "d = Sub f x", "y = Add x d"]), x);
        assert_eq!(last(&["f = Sign x", "d = Sub f x", "y = Add d x"]), x);
        assert_eq!(last(&["f = Sign x", "s = Add f x", "y = Sub s x"]), x);
        assert_eq!(last(&["f = Sign x", "s = Add x f", "y = Sub s x"]), x);
        let through = [
            "i = Identity x",
            "f = Round i",
            "d = Sub f i",
            "e = Identity d",
        ];
        let whole = [&through[..], &["y = Add x e"]].concat();
        assert_eq!(last(&whole), x);
    }

    #[test]
    fn other_sums_are_none() {
        let none = |nodes: &[&str]| assert!(found(nodes).iter().all(Option::is_none));
        // The difference of something that is not made from x.
        none(&["d = Sub f x", "y = Add x d"]);
        // Another x; the difference the other way round; a residual sum.
        none(&["f = Sign x", "d = Sub f x", "y = Add z d"]);
        none(&["f = Sign x", "d = Sub x f", "y = Add x d"]);
        none(&["f = Relu x", "y = Add x f"]);
        none(&["d = Sub x x", "y = Add x d"]);
    }
}
