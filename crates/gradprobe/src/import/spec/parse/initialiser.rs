//! Initialisers: `"he-normal"`, `{ name = "he-normal", mode = "fan_out" }`.

use crate::import::spec::error::{SpecError, SpecErrorKind as Kind};
use crate::import::spec::reader::{
    Field, Fields, Result, listed, nearest, normalised, quoted, suggestion,
};
use crate::init::{
    FanMode, Initialiser, InitialiserEntry, NONLINEARITIES, calculate_gain, initialisers,
};

/// How a layer's parameters are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct WeightInit {
    /// The weight.
    pub weight: Initialiser,
    /// The bias, unless the layer says otherwise.
    pub bias: Initialiser,
}

impl Default for WeightInit {
    fn default() -> Self {
        Self {
            weight: Initialiser::PYTORCH,
            bias: Initialiser::PYTORCH,
        }
    }
}

/// Reads an initialiser; biases are zero unless it says otherwise, or is PyTorch's.
pub(super) fn read(field: Field<'_, '_>) -> Result<WeightInit> {
    let place = format!("`{}`", field.key);
    let Some(table) = field.table() else {
        let entry = find(field)?;
        if let Some(required) = entry.required.first() {
            let (key, name) = (field.key, entry.name);
            let message = format!("`{name}` needs `{required}`");
            return Err(SpecError::new(Kind::Missing, message)
                .at(field.span())
                .help(format!(
                    "write {key} = {{ name = \"{name}\", {required} = … }}"
                )));
        }
        let empty = toml::de::DeTable::new();
        return make(entry, Fields::new(place, field.span(), &empty)?);
    };
    let mut fields = Fields::new(place, field.span(), table)?;
    let entry = find(fields.need("name", "the name of an initialiser")?)?;
    make(entry, fields)
}

fn find(field: Field<'_, '_>) -> Result<&'static InitialiserEntry> {
    let written = field.text("the name of an initialiser")?;
    let wanted = normalised(written.trim()).to_lowercase();
    let has_name = |entry: &&InitialiserEntry| {
        entry.name == wanted || entry.aliases.contains(&wanted.as_str())
    };
    initialisers().iter().find(has_name).ok_or_else(|| {
        let all = initialisers()
            .iter()
            .flat_map(|entry| std::iter::once(entry.name).chain(entry.aliases.iter().copied()));
        let help = match nearest(written, all) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!(
                "expected {}",
                listed(initialisers().iter().map(|entry| entry.name))
            ),
        };
        SpecError::new(
            Kind::Value,
            format!("unknown initialiser {}", quoted(written)),
        )
        .at(field.span())
        .label("unknown initialiser")
        .help(help)
    })
}

/// Asks for every argument the initialiser has, so that the others are complained of.
fn make(entry: &'static InitialiserEntry, mut fields: Fields<'_, '_>) -> Result<WeightInit> {
    fields.place = format!("initialiser `{}`", entry.name);
    let he = std::f64::consts::SQRT_2;
    let mut bias = Initialiser::ZEROS;
    let weight = match entry.name {
        "pytorch" => {
            let gain = read_gain(&mut fields, 1.0)?;
            bias = Initialiser::PYTORCH;
            Initialiser::Pytorch { gain }
        }
        "xavier-uniform" => Initialiser::XavierUniform {
            gain: read_gain(&mut fields, 1.0)?,
        },
        "xavier-normal" => Initialiser::XavierNormal {
            gain: read_gain(&mut fields, 1.0)?,
        },
        "he-uniform" => Initialiser::HeUniform {
            gain: read_gain(&mut fields, he)?,
            mode: read_mode(&mut fields)?,
        },
        "he-normal" => Initialiser::HeNormal {
            gain: read_gain(&mut fields, he)?,
            mode: read_mode(&mut fields)?,
        },
        "lecun-uniform" => Initialiser::LecunUniform {
            gain: read_gain(&mut fields, 1.0)?,
        },
        "lecun-normal" => Initialiser::LecunNormal {
            gain: read_gain(&mut fields, 1.0)?,
        },
        "orthogonal" => Initialiser::Orthogonal {
            gain: read_gain(&mut fields, 1.0)?,
        },
        "delta-orthogonal" => Initialiser::DeltaOrthogonal {
            gain: read_gain(&mut fields, 1.0)?,
        },
        "constant" => Initialiser::Constant {
            value: fields.need("value", "a number")?.number()?,
        },
        "zeros" => Initialiser::ZEROS,
        "ones" => Initialiser::ONES,
        "uniform" => read_uniform(&mut fields)?,
        "normal" => {
            let (weight, of_bias) = read_normal(&mut fields)?;
            bias = of_bias;
            weight
        }
        _ => read_truncated(&mut fields)?,
    };
    fields.finish()?;
    Ok(WeightInit { weight, bias })
}

fn optional(fields: &mut Fields<'_, '_>, key: &'static str) -> Result<Option<f64>> {
    fields.get(key).map(|field| field.number()).transpose()
}

/// A number that cannot be negative.
fn magnitude(fields: &mut Fields<'_, '_>, key: &'static str) -> Result<Option<f64>> {
    let field = fields.get(key);
    let read = |field: Field<'_, '_>| field.number_that("a number of at least 0", |x| x >= 0.0);
    field.map(read).transpose()
}

/// Two keys that say the same thing in different ways.
fn exclude(fields: &Fields<'_, '_>, one: &str, other: &str) -> Result<()> {
    if fields.has(one) && fields.has(other) {
        let message = format!(
            "`{one}` and `{other}` exclude each other in {}",
            fields.place
        );
        return Err(SpecError::new(Kind::Value, message).at(fields.key_span(other)));
    }
    Ok(())
}

/// `gain = 1.5`, `gain = "tanh"`, `nonlinearity = "leaky-relu", slope = 0.2`.
fn read_gain(fields: &mut Fields<'_, '_>, default: f64) -> Result<f64> {
    exclude(fields, "gain", "nonlinearity")?;
    let gain = fields.get("gain");
    let nonlinearity = fields.get("nonlinearity");
    let slope = optional(fields, "slope")?;
    let named = match (gain, nonlinearity) {
        (Some(field), _) if field.value.get_ref().is_str() => Some(field),
        (Some(field), _) => return field.number_that("a gain of at least 0", |gain| gain >= 0.0),
        (None, named) => named,
    };
    let Some(field) = named else {
        let of_slope = slope.and_then(|slope| calculate_gain("leaky-relu", Some(slope)));
        return Ok(of_slope.unwrap_or(default));
    };
    let written = field.text("a number or the name of a nonlinearity")?;
    let wanted = normalised(written).to_lowercase();
    calculate_gain(&wanted, slope).ok_or_else(|| {
        let message = format!("no customary gain for {}", quoted(written));
        SpecError::new(Kind::Value, message)
            .at(field.span())
            .label("no gain of this name")
            .help(suggestion(written, NONLINEARITIES.iter().copied()))
    })
}

fn read_mode(fields: &mut Fields<'_, '_>) -> Result<FanMode> {
    const MODES: &[(&str, FanMode)] = &[("fan-in", FanMode::FanIn), ("fan-out", FanMode::FanOut)];
    let mode = fields
        .get("mode")
        .map(|field| field.word(MODES))
        .transpose()?;
    Ok(mode.unwrap_or_default())
}

fn read_uniform(fields: &mut Fields<'_, '_>) -> Result<Initialiser> {
    exclude(fields, "low", "bound")?;
    exclude(fields, "high", "bound")?;
    if let Some(bound) = magnitude(fields, "bound")? {
        return Ok(Initialiser::Uniform {
            low: -bound,
            high: bound,
        });
    }
    let low = optional(fields, "low")?.unwrap_or(0.0);
    let high = optional(fields, "high")?.unwrap_or(1.0);
    ordered(fields, low, high)?;
    Ok(Initialiser::Uniform { low, high })
}

/// `low` must be below `high`, and their difference a number.
fn ordered(fields: &Fields<'_, '_>, low: f64, high: f64) -> Result<()> {
    if low < high && (high - low).is_finite() {
        return Ok(());
    }
    let message = format!("low = {low} is not below high = {high} in {}", fields.place);
    let span = fields.key_span(if fields.has("low") { "low" } else { "high" });
    Err(SpecError::new(Kind::Value, message).at(span))
}

/// The weight's and the bias's initialiser. σ_w and σ_b are mean-field theory's: the weight's
/// variance is σ_w²/fan_in, the bias's σ_b². The papers give some of them squared: `sigma_w2` is
/// the square of `sigma_w`.
fn read_normal(fields: &mut Fields<'_, '_>) -> Result<(Initialiser, Initialiser)> {
    exclude(fields, "sigma_w", "sigma_w2")?;
    exclude(fields, "sigma_b", "sigma_b2")?;
    for fixed in ["mean", "std"] {
        exclude(fields, fixed, "sigma_w")?;
        exclude(fields, fixed, "sigma_w2")?;
    }
    let sigma_w = magnitude(fields, "sigma_w")?;
    let sigma_w = sigma_w.or(magnitude(fields, "sigma_w2")?.map(f64::sqrt));
    let sigma_b = magnitude(fields, "sigma_b")?;
    let sigma_b = sigma_b.or(magnitude(fields, "sigma_b2")?.map(f64::sqrt));
    let mean = optional(fields, "mean")?.unwrap_or(0.0);
    let std = magnitude(fields, "std")?.unwrap_or(1.0);
    let weight = match sigma_w {
        Some(gain) => Initialiser::LecunNormal { gain },
        None => Initialiser::Normal { mean, std },
    };
    let bias = sigma_b.map_or(Initialiser::ZEROS, |std| Initialiser::Normal {
        mean: 0.0,
        std,
    });
    Ok((weight, bias))
}

fn read_truncated(fields: &mut Fields<'_, '_>) -> Result<Initialiser> {
    let mean = optional(fields, "mean")?.unwrap_or(0.0);
    let std = fields.get("std");
    let std = std.map(|field| field.number_that("a number above 0", |std| std > 0.0));
    let std = std.transpose()?.unwrap_or(1.0);
    let low = optional(fields, "low")?.unwrap_or(mean - 2.0 * std);
    let high = optional(fields, "high")?.unwrap_or(mean + 2.0 * std);
    ordered(fields, low, high)?;
    Ok(Initialiser::TruncatedNormal {
        mean,
        std,
        low,
        high,
    })
}
