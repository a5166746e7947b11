//! What a run came to, for people and machines: values in, text out. Writes to no stream and computes no score.

pub mod answers;
pub mod assemble;
pub mod data;
mod layout;
pub mod model;
pub mod plan;
pub mod runs;
#[cfg(test)]
mod samples;
mod serve;
pub mod table;
pub mod text;
