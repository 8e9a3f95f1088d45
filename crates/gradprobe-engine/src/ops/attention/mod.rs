//! Attention and the rotary embedding of positions.

mod heads;
mod rotary;
mod scaled_dot_product;

pub use rotary::RotaryEmbedding;
pub use scaled_dot_product::Attention;
