//! The names that a user may write for an initialiser.

use super::{FanMode, Initialiser};

/// An initialiser as a user may write it.
#[derive(Clone, Copy, Debug)]
pub struct InitialiserEntry {
    /// Its name.
    pub name: &'static str,
    /// Other names for the same.
    pub aliases: &'static [&'static str],
    /// The arguments it takes, all optional unless `required` names them.
    pub arguments: &'static [&'static str],
    /// Arguments without a default.
    pub required: &'static [&'static str],
    /// What it draws, in one line.
    pub about: &'static str,
}

/// Every initialiser, in the order that documentation lists them.
pub fn initialisers() -> &'static [InitialiserEntry] {
    ENTRIES
}

impl Initialiser {
    /// The initialiser of this name, or alias, with its usual arguments; `None` if there is none,
    /// or it has arguments without a default. `-`, `_` and case do not matter.
    pub fn by_name(name: &str) -> Option<Self> {
        let wanted = name.trim().to_lowercase().replace('_', "-");
        let entry = initialisers()
            .iter()
            .find(|entry| entry.name == wanted || entry.aliases.contains(&wanted.as_str()))?;
        let he = std::f64::consts::SQRT_2;
        let mode = FanMode::FanIn;
        Some(match entry.name {
            "pytorch" => Self::PYTORCH,
            "xavier-uniform" => Self::XavierUniform { gain: 1.0 },
            "xavier-normal" => Self::XavierNormal { gain: 1.0 },
            "he-uniform" => Self::HeUniform { gain: he, mode },
            "he-normal" => Self::HeNormal { gain: he, mode },
            "lecun-uniform" => Self::LecunUniform { gain: 1.0 },
            "lecun-normal" => Self::LecunNormal { gain: 1.0 },
            "orthogonal" => Self::Orthogonal { gain: 1.0 },
            "delta-orthogonal" => Self::DeltaOrthogonal { gain: 1.0 },
            "zeros" => Self::ZEROS,
            "ones" => Self::ONES,
            "normal" => Self::Normal {
                mean: 0.0,
                std: 1.0,
            },
            _ => return None,
        })
    }
}

const GAIN: &[&str] = &["gain", "nonlinearity", "slope"];
const GAIN_AND_MODE: &[&str] = &["gain", "nonlinearity", "slope", "mode"];

const ENTRIES: &[InitialiserEntry] = &[
    entry(
        "pytorch",
        &["default", "torch"],
        GAIN,
        "uniform on ±1/√fan_in, weight and bias: PyTorch's default for Linear and Conv",
    ),
    entry(
        "xavier-uniform",
        &["glorot-uniform", "xavier", "glorot"],
        GAIN,
        "uniform of variance gain² · 2/(fan_in + fan_out)",
    ),
    entry(
        "xavier-normal",
        &["glorot-normal"],
        GAIN,
        "normal of variance gain² · 2/(fan_in + fan_out)",
    ),
    entry(
        "he-uniform",
        &["kaiming-uniform"],
        GAIN_AND_MODE,
        "uniform of variance gain²/fan, gain √2 unless given",
    ),
    entry(
        "he-normal",
        &["kaiming-normal", "he", "kaiming"],
        GAIN_AND_MODE,
        "normal of variance gain²/fan, gain √2 unless given",
    ),
    entry(
        "lecun-uniform",
        &[],
        GAIN,
        "uniform of variance gain²/fan_in",
    ),
    entry(
        "lecun-normal",
        &["lecun"],
        GAIN,
        "normal of variance gain²/fan_in",
    ),
    entry(
        "orthogonal",
        &["orthonormal"],
        GAIN,
        "a random orthogonal matrix times gain",
    ),
    entry(
        "delta-orthogonal",
        &[],
        GAIN,
        "for convolutions: an orthogonal matrix at the kernel's centre, zero elsewhere",
    ),
    InitialiserEntry {
        required: &["value"],
        ..entry("constant", &[], &["value"], "one value everywhere")
    },
    entry("zeros", &["zero"], &[], "zeros"),
    entry("ones", &["one"], &[], "ones"),
    entry(
        "uniform",
        &[],
        &["low", "high", "bound"],
        "uniform on [low, high), or on ±bound",
    ),
    entry(
        "normal",
        &["gaussian"],
        &["mean", "std", "sigma_w", "sigma_w2", "sigma_b", "sigma_b2"],
        "normal of standard deviation std; or of variance σ_w²/fan_in, with biases N(0, σ_b²), \
         given as sigma_w or sigma_w2 and sigma_b or sigma_b2",
    ),
    entry(
        "truncated-normal",
        &["trunc-normal"],
        &["mean", "std", "low", "high"],
        "normal restricted to [low, high], by default to two standard deviations",
    ),
];

const fn entry(
    name: &'static str,
    aliases: &'static [&'static str],
    arguments: &'static [&'static str],
    about: &'static str,
) -> InitialiserEntry {
    InitialiserEntry {
        name,
        aliases,
        arguments,
        required: &[],
        about,
    }
}
