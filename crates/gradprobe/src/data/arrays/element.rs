//! Element types as files have them.

use half::{bf16, f16};

/// The type of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ElementType {
    F32,
    F64,
    F16,
    Bf16,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
}

impl ElementType {
    /// Bytes of an element.
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Is it one for real numbers?
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64 | Self::F16 | Self::Bf16)
    }

    /// Little-endian elements as numbers; a rest that is no whole element is left out.
    pub fn numbers(self, bytes: &[u8]) -> Vec<f64> {
        macro_rules! each {
            ($type:ty, $size:literal) => {
                bytes
                    .as_chunks::<$size>()
                    .0
                    .iter()
                    .map(|&b| <$type>::from_le_bytes(b) as f64)
                    .collect()
            };
        }
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => {
                self.singles(bytes).into_iter().map(f64::from).collect()
            }
            Self::F64 => each!(f64, 8),
            Self::I8 => each!(i8, 1),
            Self::I16 => each!(i16, 2),
            Self::I32 => each!(i32, 4),
            Self::I64 => each!(i64, 8),
            Self::U8 => each!(u8, 1),
            Self::U16 => each!(u16, 2),
            Self::U32 => each!(u32, 4),
            Self::U64 => each!(u64, 8),
            Self::Bool => bytes.iter().map(|&b| f64::from(u8::from(b != 0))).collect(),
        }
    }

    /// Elements of one of the floats up to 32 bits in single precision, which holds them all.
    pub fn singles(self, bytes: &[u8]) -> Vec<f32> {
        let halves = bytes.as_chunks::<2>().0.iter();
        match self {
            Self::F16 => halves.map(|&b| f16::from_le_bytes(b).to_f32()).collect(),
            Self::Bf16 => halves.map(|&b| bf16::from_le_bytes(b).to_f32()).collect(),
            _ => {
                let words = bytes.as_chunks::<4>().0.iter();
                words.map(|&b| f32::from_le_bytes(b)).collect()
            }
        }
    }
}
