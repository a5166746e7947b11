//! Records and datasets, pure and synchronous: bytes in, values out.

pub mod canonical;
pub mod label;
pub mod options;
pub mod record;
pub mod rules;
pub mod shape;
pub mod timestamp;
