//! `[loss]` and `[optimiser]`.

use super::{hint_for_table, origin};
use crate::graph::Origin;
use crate::import::spec::error::{SpecError, SpecErrorKind as Kind};
use crate::import::spec::reader::{Field, Fields, Result};
use crate::import::spec::specification::{Loss, LossKind, Optimiser, OptimiserKind, Targets};
use toml::de::DeValue;

const LOSSES: &[(&str, LossKind)] = &[
    ("cross-entropy", LossKind::CrossEntropy),
    ("bce-with-logits", LossKind::BceWithLogits),
    ("mse", LossKind::Mse),
    ("l1", LossKind::L1),
    ("huber", LossKind::Huber { delta: 1.0 }),
    ("output", LossKind::Output),
    ("random-cotangent", LossKind::RandomCotangent),
];

/// `loss = "mse"`, or a table with a name. Without a loss a random cotangent is pulled back.
pub(super) fn read_loss(field: Option<Field<'_, '_>>) -> Result<Loss> {
    let plain = |kind, origin| Loss {
        kind,
        sum: false,
        targets: Targets::Auto,
        classes: None,
        origin,
    };
    let Some(field) = field else {
        return Ok(plain(LossKind::RandomCotangent, Origin::default()));
    };
    let place = origin("[loss]", field.span());
    if field.value.get_ref().is_str() {
        return Ok(plain(field.word(LOSSES)?, place));
    }
    let mut fields = Fields::of(field, "[loss]", "the name of a loss, or a table")?;
    let mut kind = fields.need("name", "the name of a loss")?.word(LOSSES)?;
    if let LossKind::Huber { delta } = &mut kind
        && let Some(field) = fields.get("delta")
    {
        *delta = field.number_that("a number above 0", |delta| delta > 0.0)?;
    }
    let mut loss = plain(kind, place);
    if kind.takes_target() {
        const REDUCTIONS: &[(&str, bool)] = &[("mean", false), ("sum", true)];
        let sum = fields
            .get("reduction")
            .map(|field| field.word(REDUCTIONS))
            .transpose()?;
        loss.sum = sum.unwrap_or(false);
        let targets = fields.get("targets").map(read_targets).transpose()?;
        loss.targets = targets.unwrap_or(Targets::Auto);
        loss.classes = fields
            .get("classes")
            .map(|field| field.size())
            .transpose()?;
    }
    fields.finish_with(|key| match key {
        "target" => Some("the column of the targets belongs under [input]".into()),
        _ => hint_for_table(key),
    })?;
    Ok(loss)
}

/// `"auto"`, `"random"` or a number.
fn read_targets(field: Field<'_, '_>) -> Result<Targets> {
    if matches!(
        field.value.get_ref(),
        DeValue::Integer(_) | DeValue::Float(_)
    ) {
        return Ok(Targets::Constant(field.number()?));
    }
    field.word(&[("auto", Targets::Auto), ("random", Targets::Random)])
}

pub(super) fn read_optimiser(field: Option<Field<'_, '_>>) -> Result<Optimiser> {
    let Some(field) = field else {
        return Ok(Optimiser::default());
    };
    let mut fields = Fields::of(field, "[optimiser]", "a table with name and learning_rate")?;
    let name = fields.need("name", "`sgd`, `momentum`, `adam` or `adamw`")?;
    let name = name.word(&[
        ("sgd", "sgd"),
        ("momentum", "momentum"),
        ("adam", "adam"),
        ("adamw", "adamw"),
    ])?;
    let share = |field: Option<Field<'_, '_>>, default| match field {
        Some(field) => field.number_that("a number from 0 to below 1", |x| (0.0..1.0).contains(&x)),
        None => Ok(default),
    };
    let kind = match name {
        "sgd" => match fields.get("momentum") {
            None => OptimiserKind::Sgd,
            Some(field) => OptimiserKind::Momentum {
                momentum: share(Some(field), 0.0)?,
            },
        },
        "momentum" => OptimiserKind::Momentum {
            momentum: share(fields.get("momentum"), 0.9)?,
        },
        _ => {
            // PyTorch's defaults, which are the papers'.
            let beta1 = share(fields.get("beta1"), 0.9)?;
            let beta2 = share(fields.get("beta2"), 0.999)?;
            let eps = fields.get("eps");
            let eps = eps.map(|field| field.number_that("a number above 0", |eps| eps > 0.0));
            let eps = eps.transpose()?.unwrap_or(1e-8);
            if name == "adam" {
                OptimiserKind::Adam { beta1, beta2, eps }
            } else {
                OptimiserKind::AdamW { beta1, beta2, eps }
            }
        }
    };
    let default_rate = if matches!(kind, OptimiserKind::Sgd | OptimiserKind::Momentum { .. }) {
        0.01
    } else {
        0.001
    };
    let rate = fields.get_either("learning_rate", "lr");
    let rate = rate.map(|field| field.number_that("a number above 0", |rate| rate > 0.0));
    let decay = fields.get("weight_decay");
    let decay = decay.map(|field| field.number_that("a number of at least 0", |x| x >= 0.0));
    let optimiser = Optimiser {
        kind,
        learning_rate: rate.transpose()?.unwrap_or(default_rate),
        weight_decay: decay.transpose()?.unwrap_or(0.0),
    };
    if fields.has("lr") && fields.has("learning_rate") {
        let message = "`lr` and `learning_rate` are the same";
        return Err(SpecError::new(Kind::Value, message).at(fields.key_span("lr")));
    }
    fields.finish_with(hint_for_table)?;
    Ok(optimiser)
}
