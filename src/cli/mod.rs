//! The command line: clap types for every subcommand and flag. Their doc comments are the help texts. No behaviour lives here,
//! and no default that belongs to the configuration.

mod parse;
mod records;
mod runs;
mod setup;

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgAction, Args, Parser, Subcommand};

use crate::ui::{ColorChoice, Format};

pub use records::{Datasets, Exporter, InputFormat, Load, Logs, Records, Split};
pub use runs::{Cancel, Cleanup, Compare, Gates, Report, Run, Status};
pub use setup::{Clock, Completions, Doctor, Init, Serve, UploadMode};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Ends a help text with examples and the page of the documentation.
macro_rules! examples {
    ($page:literal: $($line:literal),+) => {
        concat!("Examples:\n", $("  ", $line, "\n",)+ "\nDocumentation: ", $page, " in the source repository")
    };
}

/// Find out which small model can replace your large one: a data flywheel for LLM logs, on NVIDIA NeMo.
#[derive(Debug, Parser)]
#[command(name = "dfwfd", version, styles = STYLES, max_term_width = 120, after_help = examples!(
    "docs/quickstart.md": "dfwfd init --sample", "dfwfd run --workload news_classifier"))]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub global: Global,
}

/// Options that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Read this configuration file [env: DFWFD_CONFIG] [default: flywheel.yaml here or in the nearest folder above]
    #[arg(long, global = true, value_name = "FILE", env = "DFWFD_CONFIG", hide_env = true)]
    pub config: Option<PathBuf>,
    /// Keep the database, the log store and the runs in this folder [env: DFWFD_STATE_DIR] [default: .dfwfd beside the
    /// configuration file]
    #[arg(long, global = true, value_name = "DIR", env = "DFWFD_STATE_DIR", hide_env = true)]
    pub state_dir: Option<PathBuf>,
    /// Override a key of the configuration, such as nims.0.tag=1.10; repeatable [default: none]
    #[arg(long, global = true, value_name = "KEY=VALUE", action = ArgAction::Append)]
    pub set: Vec<String>,
    /// Log more to stderr: -v each step, -vv each request
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Print only warnings, errors and JSON; no progress, no tables
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Print the result on stdout in this format
    #[arg(long, global = true, value_parser = Format::common(), default_value = "human")]
    pub format: Format,
    /// Choose when to use colour
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add logs to the log store; records that are already there are skipped
    #[command(after_help = examples!("docs/records.md": "dfwfd load production.jsonl yesterday.jsonl.gz",
        "dfwfd load headlines.csv --workload news_classifier", "jq -c .call calls.json | dfwfd load -"))]
    Load(Load),
    /// Write the eval, train and validation datasets of a workload; needs no platform
    #[command(after_help = examples!("docs/records.md": "dfwfd split --workload news_classifier --out datasets/"))]
    Split(Split),
    /// Run the whole flywheel: datasets, deployment, training, evaluation, scores
    #[command(after_help = examples!("docs/how-it-works.md": "dfwfd run --workload news_classifier",
        "dfwfd run --workload news_classifier --plan", "dfwfd run --resume", "dfwfd run --config cluster.yaml --rehearse"))]
    Run(Box<Run>),
    /// List the runs, newest first, or show one in detail
    #[command(after_help = examples!("docs/quickstart.md": "dfwfd status", "dfwfd status latest", "dfwfd status --watch"))]
    Status(Status),
    /// Show a run again, as a table, JSON, Markdown, JUnit or an HTML page
    #[command(after_help = examples!("docs/reports.md": "dfwfd report",
        "dfwfd report latest --format html --output report.html", "dfwfd report k3xq7w2a --format junit --output junit.xml"))]
    Report(Report),
    /// Compare two runs: configuration, data, code, and the scores of the models in both
    #[command(after_help = examples!("docs/reports.md": "dfwfd compare k3xq7w2a latest"))]
    Compare(Compare),
    /// Release the deployments and jobs that ended runs left on the platform
    #[command(after_help = examples!("docs/how-it-works.md": "dfwfd cleanup", "dfwfd cleanup --dry-run",
        "dfwfd cleanup k3xq7w2a --purge", "dfwfd cleanup --older-than 30d --purge"))]
    Cleanup(Cleanup),
    /// Ask the active run to stop and to release its deployments and jobs
    #[command(after_help = examples!("docs/how-it-works.md": "dfwfd cancel"))]
    Cancel(Cancel),
    /// List the workloads in the log store with clients, labels and dates, or delete records
    #[command(after_help = examples!("docs/records.md": "dfwfd logs", "dfwfd logs --delete --workload old_experiment",
        "dfwfd logs --delete --until 2025-01-01"))]
    Logs(Logs),
    /// Check everything that a run needs, and say what to do about each fault
    #[command(after_help = examples!("docs/operations.md": "dfwfd doctor", "dfwfd doctor --config cluster.yaml --format json"))]
    Doctor(Doctor),
    /// Serve the embedded NeMo-compatible platform over HTTP, for other clients and CI
    #[command(after_help = examples!("docs/embedded-platform.md": "dfwfd serve --port 8900",
        "dfwfd serve -- dfwfd run --config cluster.yaml --workload news_classifier"))]
    Serve(Serve),
    /// Write a commented flywheel.yaml to start from
    #[command(after_help = examples!("docs/quickstart.md": "dfwfd init --sample", "dfwfd init --nemo",
        "dfwfd init --nemo-v1"))]
    Init(Init),
    /// Print a completion script for a shell
    #[command(after_help = examples!("docs/quickstart.md":
        "dfwfd completions bash > ~/.local/share/bash-completion/completions/dfwfd"))]
    Completions(Completions),
}
