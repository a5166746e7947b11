//! Checks the documentation against the program: links, command lines, runnable blocks with their output, the table of exit
//! codes. Runs the files of examples/ as their readers would.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy knows test functions, not what they share")]

#[path = "../harness/mod.rs"]
mod harness;

mod ci;
mod cli;
mod codes;
mod commands;
mod comments;
mod dashboards;
mod examples;
mod links;
mod markdown;
mod run;
mod shell;
mod unattended;
