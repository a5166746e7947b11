//! Scripted failures: how a fault is written, which call it strikes, and what it does to that call and its job.

mod connection;
mod effects;
mod kind;
mod parse;
mod script;
mod spec;
mod words;

pub(crate) use connection::{ConnectionSwitch, SwitchedListener};
pub(crate) use effects::{cut_off, run};
pub(crate) use script::{Encounter, Faults, JobFate};
pub use spec::FaultSpec;
pub use words::BadFault;
