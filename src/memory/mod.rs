//! The memory that tables of records may take (`--memory`).

#[cfg_attr(not(target_os = "linux"), path = "no_tables.rs")]
mod tables;

pub(crate) use tables::{limit_tables, was_exceeded};
