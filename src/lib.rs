//! `dfwfd`: an ad-hoc data flywheel. docs/architecture.md is the map of these modules.

pub mod cli;
pub mod cmd;
pub mod config;
pub mod data;
pub mod embedded;
pub mod error;
pub mod nemo;
pub mod platform;
pub mod report;
mod retry;
pub mod run;
pub mod score;
pub mod source;
pub mod store;
pub mod student;
pub mod ui;
pub mod vocabulary;
