//! Normalisations with their parameters.

use super::{Planner, Slot, norm_words};
use crate::graph::Origin;
use crate::import::spec::operators;
use crate::import::spec::reader::Result;
use crate::import::spec::specification::{Norm, NormKind};
use crate::init::{Initialiser, Target};

impl Planner<'_> {
    pub(super) fn norm(&mut self, norm: &Norm, value: Slot, origin: &Origin) -> Result<Slot> {
        let shape = self.shape(value).clone();
        // Layer norm: vectors and sequences by their last axis, images whole.
        let axis = if shape.len() == 3 { 2 } else { 1 };
        let extents = match norm.kind {
            NormKind::Batch | NormKind::Group(_) | NormKind::Instance => shape.get(1..2),
            NormKind::Layer | NormKind::Rms => shape.get(axis..),
        };
        let extents = extents.unwrap_or_default().to_vec();
        let target = || Target {
            fans: crate::init::Fans::of(&extents),
            shape: extents.clone(),
            groups: 1,
        };
        let mut inputs = vec![value];
        let ones = Initialiser::ONES;
        let zeros = Initialiser::ZEROS;
        let mut parameters = vec![("weight", ones, norm.affine)];
        if norm.kind != NormKind::Rms {
            parameters.push(("bias", zeros, norm.affine));
        }
        if norm.kind == NormKind::Batch {
            parameters.push(("running_mean", zeros, false));
            parameters.push(("running_var", ones, false));
        }
        let scope = self.names.first_free(&format!("{}.norm", self.prefix()));
        let scope = scope[self.prefix().len() + 1..].to_owned();
        for (word, initialiser, trainable) in parameters {
            let word = format!("{scope}.{word}");
            inputs.push(self.parameter(&word, target(), initialiser, trainable, origin)?);
        }
        let word = norm_words(norm.kind).1;
        self.node(
            word,
            operators::norm_op(norm, axis as i64),
            &inputs,
            None,
            origin,
        )
    }
}
