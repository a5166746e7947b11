//! `dfwfd`: an ad-hoc data flywheel. docs/architecture.md is the map of these modules.

pub mod cli;
pub mod cmd;
mod config;
pub mod data;
mod doctor;
pub mod embedded;
pub mod error;
mod memory;
mod mlflow;
pub mod nemo;
mod numbers;
mod platform;
mod remote_text;
mod report;
mod retry;
mod run;
pub mod score;
mod source;
mod store;
pub mod student;
pub mod ui;
mod vocabulary;
