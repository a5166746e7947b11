//! What a run came to, for people and machines: values in, text out. Writes to no stream and computes no score.

pub mod text;
