//! The objects that `--format json` prints (schema 1, docs/json.md). Fields may be added, never renamed. A number that
//! does not exist is null.

mod candidates;
mod commands;
mod failure;
mod run;

pub use candidates::{Candidate, Evaluation, Evaluations, Training, Usage};
pub use commands::{CleanupReport, LoadCounts, LoadReport, LogList, LogRow, RunList, RunSummary, SplitReport};
pub use failure::ErrorObject;
pub use run::{Comparison, Headline, Held, Judge, Report, Verdict};

/// The version of the contract.
pub const SCHEMA: u32 = 1;

#[cfg(test)]
mod tests;
