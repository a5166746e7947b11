//! The commands end to end: the real binary, its files, its output and its exit codes. Crashes, resuming, cleaning up and
//! signals are in tests/run/.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy knows test functions, not what they share")]

#[path = "../harness/mod.rs"]
mod harness;

mod answers;
mod broken;
mod config;
mod corrections;
mod doctor;
mod eval_sets;
mod exports;
mod feedback;
mod forms;
mod gold;
mod helix;
mod leaks;
mod load;
#[cfg(target_os = "linux")]
mod memory;
#[path = "../run/openai.rs"]
mod openai;
mod output;
mod parquet;
mod redact;
mod report;
mod review;
mod run;
mod schema;
mod serve;
mod shapes;
mod shipped;
mod split;
mod unattended;
mod values;
mod verdict;
