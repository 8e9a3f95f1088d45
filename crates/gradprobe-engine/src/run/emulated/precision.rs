//! The settings that a network is run in: one type for all, or two as autocast mixes them.

use crate::num::Dtype;
use std::fmt;
use std::str::FromStr;

/// The arithmetic that a network is run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Everything in one type: `model.half()`.
    Uniform(Dtype),
    /// As `torch.autocast` mixes f32 and a narrower type: parameters in f32, each op in the type
    /// that its list names.
    Autocast(Dtype),
}

impl Precision {
    /// Every setting, as lists show them.
    pub const ALL: [Self; 8] = [
        Self::Uniform(Dtype::F64),
        Self::Uniform(Dtype::F32),
        Self::Uniform(Dtype::Bf16),
        Self::Uniform(Dtype::F16),
        Self::Uniform(Dtype::E5m2),
        Self::Uniform(Dtype::E4m3),
        Self::Autocast(Dtype::Bf16),
        Self::Autocast(Dtype::F16),
    ];

    /// The narrowest type in it.
    pub fn narrow(self) -> Dtype {
        match self {
            Self::Uniform(dtype) | Self::Autocast(dtype) => dtype,
        }
    }

    /// The type that parameters are kept, and updated, in.
    pub fn master(self) -> Dtype {
        match self {
            Self::Uniform(dtype) => dtype,
            Self::Autocast(_) => Dtype::F32,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform(dtype) => write!(f, "{dtype}"),
            Self::Autocast(dtype) => write!(f, "autocast-{dtype}"),
        }
    }
}

/// A text that names no setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {}", names())]
pub struct UnknownPrecision;

fn names() -> String {
    Precision::ALL
        .map(|precision| precision.to_string())
        .join(", ")
}

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = |precision: &Self| precision.to_string() == text;
        Self::ALL.into_iter().find(named).ok_or(UnknownPrecision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_read_back_from_its_name() {
        for precision in Precision::ALL {
            assert_eq!(precision.to_string().parse(), Ok(precision));
        }
        let error = "fp16".parse::<Precision>().expect_err("no such name");
        assert!(
            error
                .to_string()
                .ends_with("e5m2, e4m3, autocast-bf16, autocast-f16")
        );
    }
}
