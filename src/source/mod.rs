//! Where records come from and where datasets go.

pub mod lines;
pub mod load;
pub mod local;
