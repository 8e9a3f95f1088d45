//! Where a value forks and all of its readers, without weights, meet again in one value: a function
//! of that value which was written out, as an activation (x·σ(x)), a normalisation (x/√(mean x² + ε))
//! or the attention between queries, keys and values that are parts of one.

use super::layers::{Class, Entry};
use super::reads::{Flow, OUTSIDE, Reads};
use crate::graph::ValueId;
use std::collections::BTreeSet;

/// The most nodes of a file that such a function is looked for in.
const MOST_ENTRIES: usize = 256;

/// A function of one value, written out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Region {
    /// Its entries in order; the last one makes what others read.
    pub entries: Vec<usize>,
    /// Is it a nonlinearity of each element by itself?
    pub is_activation: bool,
    /// Does nothing else read the value?
    pub takes_all: bool,
}

/// The region that begins where `first` reads its only signal, and in which the ways that part
/// there meet: the least that has all of them, else the least; `None` where they do not meet before a
/// weight or another signal comes in.
pub(super) fn closed_region(entries: &[Entry], reads: &Reads, first: usize) -> Option<Region> {
    let [fork] = reads.flows[first].signals[..] else {
        return None;
    };
    let mut waiting: BTreeSet<usize> = [first].into();
    let mut taken: Vec<usize> = Vec::new();
    let mut made: BTreeSet<ValueId> = [fork].into();
    let mut ways = 0;
    let mut least = None;
    while let Some(entry) = waiting.pop_first() {
        let is_far = entry == OUTSIDE || taken.len() == MOST_ENTRIES;
        if is_far || entries[entry].weighted {
            return least;
        }
        let flow: &Flow = &reads.flows[entry];
        let mut missing = flow.signals.iter().filter(|value| !made.contains(value));
        if let Some(&value) = missing.next() {
            // Another way from the fork, or from elsewhere.
            let Some(maker) = reads.maker(value).filter(|maker| *maker > first) else {
                return least;
            };
            waiting.extend([maker, entry]);
            continue;
        }
        taken.push(entry);
        made.extend(&flow.outputs);
        ways += usize::from(flow.signals.contains(&fork));
        ways += flow.outputs.len().saturating_sub(1);
        if let ([output], true, true) = (&flow.outputs[..], waiting.is_empty(), ways > 1) {
            let region = closed(entries, reads, fork, taken.clone(), *output);
            if region.takes_all {
                return Some(region);
            }
            least.get_or_insert(region);
        }
        for &value in &flow.outputs {
            waiting.extend(reads.readers(value));
        }
    }
    least
}

fn closed(
    entries: &[Entry],
    reads: &Reads,
    fork: ValueId,
    mut taken: Vec<usize>,
    output: ValueId,
) -> Region {
    let elementwise = |&entry: &usize| {
        let class = entries[entry].class;
        class.is_elementwise() || class == Class::Renames
    };
    let bends = |&entry: &usize| entries[entry].class == Class::Activation;
    let is_activation = taken.iter().all(elementwise) && taken.iter().any(bends);
    let mut readers = reads.readers(fork).iter();
    let takes_all = readers.all(|reader| taken.contains(reader));
    // The half of a GELU stands first, or last.
    if let (true, &[next]) = (is_activation, reads.readers(output))
        && is_factor(entries, reads, next)
    {
        taken.push(next);
    }
    Region {
        entries: taken,
        is_activation,
        takes_all,
    }
}

/// Does the entry multiply its only signal by what is neither signal nor weight?
fn is_factor(entries: &[Entry], reads: &Reads, entry: usize) -> bool {
    let known = entries.get(entry).zip(reads.flows.get(entry));
    known.is_some_and(|(entry, flow)| {
        let one_way = flow.signals.len() == 1 && flow.outputs.len() == 1;
        !entry.weighted && one_way && matches!(&entry.op[..], "Mul" | "Div")
    })
}
