//! A run against a platform that survives it: killed at every platform call, resumed, cleaned up, stopped by signals, on
//! one GPU, under every scripted fault. Everything goes through the real binary and the real embedded server in a second process.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a test that cannot go on says so"
)]

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../harness/recorder.rs"]
mod recorder;

mod control;
mod crash;
mod drift;
mod faults;
mod gateways;
mod icl;
mod judge;
mod kills;
mod latency;
mod lifecycle;
#[cfg(target_os = "linux")]
mod makespan;
mod matrix;
mod mlflow;
mod openai;
mod orphans;
mod reasons;
mod release;
mod resume;
mod rows;
mod run_index;
mod secrets;
mod signals;
mod silence;
#[cfg(target_os = "linux")]
mod soak;
mod text;
