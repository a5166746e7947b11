//! The command line: clap types for every subcommand and flag. Their doc comments are the help texts. No behaviour lives here,
//! and no default that belongs to the configuration.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::ui::{ColorChoice, Format};

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

/// Find out which small model could replace a large one: a data flywheel for LLM logs, driven through NVIDIA NeMo.
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
    /// Configuration file [env: DFWFD_CONFIG] [default: flywheel.yaml here or in the nearest folder above]
    #[arg(long, global = true, value_name = "FILE", env = "DFWFD_CONFIG", hide_env = true)]
    pub config: Option<PathBuf>,
    /// Folder for the database, the log store and the runs [env: DFWFD_STATE_DIR] [default: .dfwfd beside the configuration file]
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
    /// Format of the result on stdout
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring logs into the log store; loading the same record again adds nothing
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
    /// Release what crashed, cancelled or old runs still hold on the platform
    #[command(after_help = examples!("docs/how-it-works.md": "dfwfd cleanup", "dfwfd cleanup --dry-run",
        "dfwfd cleanup k3xq7w2a --purge"))]
    Cleanup(Cleanup),
    /// Ask a running run to stop and release everything it holds
    #[command(after_help = examples!("docs/how-it-works.md": "dfwfd cancel"))]
    Cancel(Cancel),
    /// List the workloads in the log store with clients, labels and dates; delete records
    #[command(after_help = examples!("docs/records.md": "dfwfd logs", "dfwfd logs --delete --workload old_experiment",
        "dfwfd logs --delete --until 2025-01-01"))]
    Logs(Logs),
    /// Serve the embedded NeMo-compatible platform on a port, for other clients and CI
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

/// The flags that select records.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Records")]
pub struct Records {
    /// Read these log files, or - for stdin [default: the source in the configuration]
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub logs: Vec<PathBuf>,
    /// Take the records of this workload [default: the only one in the logs]
    #[arg(long, value_name = "W")]
    pub workload: Option<String>,
    /// Take only records of this client; repeatable [default: all]
    #[arg(long = "client", value_name = "C")]
    pub clients: Vec<String>,
    /// Take only records from this time on: 2025-06-01, 2025-06-01T12:30:00Z, or 7d for seven days ago [default: no limit]
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Take only records before this time, written as for --since [default: no limit]
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

/// Arguments of `load`.
#[derive(Debug, Args)]
pub struct Load {
    /// Log files (JSONL, chat rows, CSV, TSV), or - for stdin
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Workload of rows without one [default: such rows are rejected]
    #[arg(long, value_name = "W")]
    pub workload: Option<String>,
    /// Client of rows without one [default: empty]
    #[arg(long, value_name = "C")]
    pub client: Option<String>,
    /// Time of rows without one: 2025-06-01, 2025-06-01T12:30:00Z or epoch seconds [default: 0]
    #[arg(long, value_name = "TIME")]
    pub timestamp: Option<String>,
    /// Format of the files
    #[arg(long, value_enum, default_value_t = InputFormat::Auto)]
    pub input: InputFormat,
    /// CSV column with the text [default: a column named text, headline, title or similar]
    #[arg(long, value_name = "NAME")]
    pub text_column: Option<String>,
    /// CSV column with the label [default: a column named label, class, category or similar]
    #[arg(long, value_name = "NAME")]
    pub label_column: Option<String>,
    /// System prompt of CSV rows [default: a prompt that asks for one of the labels in the file]
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// User message of CSV rows; {text} is replaced by the text [default: "{text}"]
    #[arg(long, value_name = "TEMPLATE")]
    pub prompt: Option<String>,
    /// Write rejected rows to this file, with file, line and reason [default: not written]
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
    /// Exit with code 6 if any row is rejected
    #[arg(long)]
    pub strict: bool,
}

/// The format of the files of `load`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InputFormat {
    /// Detect it by name and content
    Auto,
    /// Log records or chat rows, one JSON object per line
    Jsonl,
    /// Comma-separated values with a header line
    Csv,
    /// Tab-separated values with a header line
    Tsv,
}

/// Arguments of `split`.
#[derive(Debug, Args)]
pub struct Split {
    /// Folder for the datasets and the manifest; must be empty or not exist yet
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Write rejected lines to this file, with file, line and reason [default: not written]
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
    /// Exit with code 6 if any line is rejected
    #[arg(long)]
    pub strict: bool,
    #[command(flatten)]
    pub records: Records,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Run only this candidate of the configuration; repeatable [default: all]
    #[arg(long, value_name = "MODEL")]
    pub only: Vec<String>,
    /// Check configuration and platform, print the plan, and stop
    #[arg(long)]
    pub plan: bool,
    /// Run a cluster's configuration on the embedded platform, whose small classifiers stand in for the models
    #[arg(long)]
    pub rehearse: bool,
    /// Continue a killed, cancelled, failed or partial run with its own plan [default: the newest such run]
    #[arg(long, value_name = "RUN", num_args = 0..=1, default_missing_value = "",
          conflicts_with_all = ["logs", "workload", "clients", "since", "until", "only", "plan", "rehearse", "set"])]
    pub resume: Option<String>,
    /// If another run uses the same state directory, wait for it to end; without this flag, exit with code 75
    #[arg(long)]
    pub wait: bool,
    /// Use a NIM that is already deployed for a candidate, and never delete it
    #[arg(long)]
    pub adopt: bool,
    /// If runs of other state directories use the same platform, run beside them where the GPUs suffice; without this flag,
    /// exit with code 75
    #[arg(long)]
    pub share: bool,
    /// Append every event of the run to this file, as JSON lines [default: not written]
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    #[command(flatten)]
    pub records: Records,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// Run id, a unique prefix of one, or latest [default: all runs, as a list]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Update the output whenever something changes, until the run ends
    #[arg(long)]
    pub watch: bool,
}

/// Arguments of `cleanup`.
#[derive(Debug, Args)]
pub struct Cleanup {
    /// Run id, a unique prefix of one, or latest [default: every run whose process has ended]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Also delete the datasets, configurations, evaluation results and adapters of the run
    #[arg(long, requires = "run")]
    pub purge: bool,
    /// Only list what would be released
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `cancel`.
#[derive(Debug, Args)]
pub struct Cancel {
    /// Run id or a unique prefix of one [default: the run in progress]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
}

/// Arguments of `logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// Delete the records that --workload, --since and --until select
    #[arg(long)]
    pub delete: bool,
    /// Select only this workload [default: all]
    #[arg(long, value_name = "W")]
    pub workload: Option<String>,
    /// Take only records from this time on: 2025-06-01, 2025-06-01T12:30:00Z, or 7d for seven days ago [default: no limit]
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Take only records before this time, written as for --since [default: no limit]
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Port on 127.0.0.1; 0 picks a free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub port: u16,
    /// Also write the printed variables to this file, whole or not at all [default: not written]
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// Number of virtual GPUs
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub gpus: u32,
    /// How clients upload files to the Data Store
    #[arg(long, value_enum, default_value_t = UploadMode::Regular)]
    pub upload_mode: UploadMode,
    /// What makes jobs advance
    #[arg(long, value_enum, default_value_t = Clock::Real)]
    pub clock: Clock,
    /// Offer /control for tests, to hold calls and to inspect the state
    #[arg(long)]
    pub control: bool,
    /// Make calls fail, such as 'POST /nemo/v1/customization/jobs: status=503 times=2'; repeatable [default: none]
    #[arg(long = "fault", value_name = "SPEC")]
    pub faults: Vec<String>,
    /// Keep the state in this folder across restarts [default: in memory]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Run this command against the platform and exit with its code [default: serve until stopped]
    #[arg(last = true, value_name = "CMD")]
    pub run: Vec<String>,
}

/// How clients upload files to the Data Store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum UploadMode {
    /// Inside the commit
    Regular,
    /// Over git-LFS
    Lfs,
}

/// The clock of the embedded platform's jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Clock {
    /// Time
    Real,
    /// Each read of a status, by one step
    Polls,
    /// Simulated time, which POST /control/advance moves to the next change; needs --control
    Simulated,
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Write a configuration for NeMo Helix instead of the embedded platform
    #[arg(long)]
    pub nemo: bool,
    /// Write a configuration for a cluster of NeMo microservices 25.x
    #[arg(long, conflicts_with = "nemo")]
    pub nemo_v1: bool,
    /// Also write sample logs, whose workload is news_classifier
    #[arg(long)]
    pub sample: bool,
    /// Replace existing files
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// Shell to print the script for
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
