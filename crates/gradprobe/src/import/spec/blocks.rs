//! Blocks: lists of layers that are used by name.

use super::error::{SpecError, SpecErrorKind as Kind, at};
use super::reader::{Result, listed, nearest, quoted};
use super::specification::{Layer, LayerKind};
use std::collections::BTreeMap;

/// How deep blocks may be used within each other.
const DEEPEST: usize = 16;

/// How many layers each block is, once everything is written out.
pub(super) type Sizes<'a> = BTreeMap<&'a str, u64>;

type Blocks = BTreeMap<String, Vec<Layer>>;

/// Refuses a block that is not there, one within itself, and those nested too deep.
pub(super) fn check(layers: &[Layer], blocks: &Blocks) -> Result<()> {
    let mut check = Check {
        blocks,
        heights: BTreeMap::new(),
        open: Vec::new(),
    };
    for list in std::iter::once(layers).chain(blocks.values().map(|layers| &layers[..])) {
        check.height(list)?;
    }
    Ok(())
}

struct Check<'a> {
    blocks: &'a Blocks,
    /// How many blocks deep each that was looked at is.
    heights: BTreeMap<&'a str, usize>,
    /// The blocks that are being looked at, outermost first.
    open: Vec<&'a str>,
}

impl<'a> Check<'a> {
    /// How many blocks deep the deepest of the layers is.
    fn height(&mut self, layers: &'a [Layer]) -> Result<usize> {
        let mut deepest = 0;
        for layer in layers {
            let own = match &layer.kind {
                LayerKind::Repeat(repeat) => self.height(&repeat.layers)?,
                LayerKind::Residual(residual) => {
                    let branch = self.height(&residual.layers)?;
                    branch.max(self.height(residual.shortcut.layers())?)
                }
                LayerKind::Block(name) => 1 + self.block(name, layer)?,
                _ => 0,
            };
            deepest = deepest.max(own);
        }
        if deepest + self.open.len() > DEEPEST {
            let message = format!("blocks are used more than {DEEPEST} deep within each other");
            let error = SpecError::new(Kind::Value, message);
            return Err(match layers.first() {
                Some(layer) => at(error, &layer.origin),
                None => error,
            });
        }
        Ok(deepest)
    }

    fn block(&mut self, name: &'a str, user: &Layer) -> Result<usize> {
        if let Some(&height) = self.heights.get(name) {
            return Ok(height);
        }
        let wrong = |message: String| at(SpecError::new(Kind::Value, message), &user.origin);
        if self.open.contains(&name) {
            return Err(wrong(format!(
                "block {} is used within itself",
                quoted(name)
            )));
        }
        let Some((name, layers)) = self.blocks.get_key_value(name) else {
            let names = || self.blocks.keys().map(String::as_str);
            let error = wrong(format!("there is no block {}", quoted(name)));
            return Err(match nearest(name, names()) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None if self.blocks.is_empty() => {
                    error.help("write its layers under [blocks.NAME]")
                }
                None => error.help(format!("expected {}", listed(names()))),
            });
        };
        if self.open.len() >= DEEPEST {
            return Err(wrong(format!(
                "blocks are used more than {DEEPEST} deep within each other"
            )));
        }
        self.open.push(name);
        let height = self.height(layers)?;
        self.open.pop();
        self.heights.insert(name, height);
        Ok(height)
    }
}

/// How many layers each block is; the blocks were checked.
pub(super) fn sizes(blocks: &Blocks) -> Sizes<'_> {
    let mut sizes = Sizes::new();
    // A block is counted after those it uses, which are at most so deep.
    for _ in 0..=DEEPEST {
        sizes = blocks
            .iter()
            .map(|(name, layers)| (name.as_str(), count(layers, &sizes)))
            .collect();
    }
    sizes
}

/// How many entries there are once every repetition and every block is written out; saturates.
pub(super) fn count(layers: &[Layer], blocks: &Sizes<'_>) -> u64 {
    let each = layers.iter().map(|layer| match &layer.kind {
        LayerKind::Repeat(repeat) => repeat.times.saturating_mul(count(&repeat.layers, blocks)),
        LayerKind::Residual(residual) => count(&residual.layers, blocks)
            .saturating_add(count(residual.shortcut.layers(), blocks))
            .saturating_add(1),
        LayerKind::Block(name) => blocks.get(name.as_str()).copied().unwrap_or(1).max(1),
        _ => 1,
    });
    each.fold(0, u64::saturating_add)
}
