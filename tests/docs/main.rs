//! The documentation held against the program: links lead somewhere, command lines parse, runnable blocks run and print
//! what the page shows, the table of exit codes is complete. And the files of examples/, run as their readers would.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy knows test functions, not what they share")]

#[path = "../harness/mod.rs"]
mod harness;

mod ci;
mod cli;
mod codes;
mod commands;
mod examples;
mod links;
mod markdown;
mod run;
mod shell;
