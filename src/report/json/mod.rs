//! The objects that `--format json` prints (schema 1, docs/json.md). Fields may be added, never renamed. A number that
//! does not exist is null.

mod candidates;
mod commands;
mod doctor;
mod failure;
mod run;

pub(crate) use candidates::{Candidate, CandidateVerdict, Evaluation, Evaluations, Training, Usage};
pub(crate) use commands::{
    CleanupReport, LoadCounts, LoadReport, LogList, LogRow, OrphanRow, RunList, RunSummary, SplitReport,
};
pub(crate) use doctor::{Check, CheckState, DoctorReport};
pub(crate) use failure::ErrorObject;
pub(crate) use run::{Cost, Held, Judge, MeasuredTeacher, Report, Verdict};

/// The version of the contract.
pub(crate) const SCHEMA: u32 = 1;

#[cfg(test)]
mod tests;
