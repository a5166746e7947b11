//! Records and datasets, pure and synchronous: bytes in, values out.

pub mod options;
