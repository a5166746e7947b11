//! The command line: clap types for every subcommand and flag. No behaviour, and no defaults that belong to the
//! configuration.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::ui::{ColorChoice, Format};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Which small model could take over? An ad-hoc data flywheel for LLM logs, driven through NVIDIA NeMo.
#[derive(Debug, Parser)]
#[command(name = "dfwfd", version, styles = STYLES, max_term_width = 100, term_width = 100,
          after_help = "Example:\n  dfwfd run --workload news_classifier")]
pub struct Cli {
    #[command(subcommand)]
    /// What to do.
    pub command: Command,
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
}

/// Options that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Configuration file [default: flywheel.yaml here or in the nearest folder above]
    #[arg(long, global = true, value_name = "FILE", env = "DFWFD_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// State directory: database, log store, runs [default: .dfwfd beside the configuration file]
    #[arg(long, global = true, value_name = "DIR", env = "DFWFD_STATE_DIR", hide_env_values = true)]
    pub state_dir: Option<PathBuf>,
    /// Set one key of the configuration, such as nims.0.tag=1.10; repeatable [default: none]
    #[arg(long, global = true, value_name = "KEY=VALUE", action = ArgAction::Append)]
    pub set: Vec<String>,
    /// Say more on stderr: -v what is done, -vv every call [default: warnings only]
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Say nothing unless something is wrong; drops progress and tables [default: off]
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// What stdout carries
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// When to colour; NO_COLOR is honoured
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring logs into the local log store: validated, converted, each record once
    #[command(after_help = "Examples:\n  dfwfd load production.jsonl yesterday.jsonl.gz\n  \
        dfwfd load headlines.csv --workload news_classifier\n  jq -c .call calls.json | dfwfd load -")]
    Load(Load),
    /// Make the eval, train and validation datasets of a workload; touches no platform
    #[command(after_help = "Example:\n  dfwfd split --workload news_classifier --out datasets/")]
    Split(Split),
    /// Run the whole flywheel: datasets, deployment, training, evaluation, scores
    #[command(after_help = "Examples:\n  dfwfd run --workload news_classifier\n  \
        dfwfd run --workload news_classifier --plan\n  dfwfd run --resume\n  \
        dfwfd run --config cluster.yaml --rehearse")]
    Run(Box<Run>),
    /// List the runs, newest first, or show one in detail
    #[command(after_help = "Examples:\n  dfwfd status\n  dfwfd status latest\n  dfwfd status --watch")]
    Status(Status),
    /// Give back whatever crashed, cancelled or old runs still hold on the platform
    #[command(after_help = "Examples:\n  dfwfd cleanup\n  dfwfd cleanup --dry-run\n  \
        dfwfd cleanup k3xq7w2a --purge")]
    Cleanup(Cleanup),
    /// Ask a running run to stop and give everything back
    #[command(after_help = "Example:\n  dfwfd cancel")]
    Cancel(Cancel),
    /// Show what is in the log store: workloads and clients with counts and dates
    #[command(after_help = "Examples:\n  dfwfd logs\n  \
        dfwfd logs --delete --workload old_experiment\n  dfwfd logs --delete --until 2025-01-01")]
    Logs(Logs),
    /// Run the embedded NeMo-compatible platform on a port, for other clients and CI
    #[command(after_help = "Examples:\n  dfwfd serve --port 8900\n  \
        dfwfd serve -- dfwfd run --config cluster.yaml --workload news_classifier")]
    Serve(Serve),
    /// Write a commented flywheel.yaml
    #[command(after_help = "Examples:\n  dfwfd init --sample\n  dfwfd init --nemo")]
    Init(Init),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  dfwfd completions bash > ~/.local/share/bash-completion/completions/dfwfd")]
    Completions(Completions),
}

/// Which records a command works on.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Records")]
pub struct Records {
    /// Log files instead of the configured source, or - for stdin [default: the configured source]
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub logs: Vec<PathBuf>,
    /// The workload [default: the only one in the logs]
    #[arg(long, value_name = "W")]
    pub workload: Option<String>,
    /// Only records of this client; repeatable [default: all]
    #[arg(long = "client", value_name = "C")]
    pub clients: Vec<String>,
    /// Only records from then on: ISO 8601, a date, or 7d [default: no limit]
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only records before then: ISO 8601, a date, or 7d [default: no limit]
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

/// Arguments of `load`.
#[derive(Debug, Args)]
pub struct Load {
    /// Log files (JSONL, chat rows, CSV, TSV), or - for stdin
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Workload of rows that name none [default: such rows are rejected]
    #[arg(long, value_name = "W")]
    pub workload: Option<String>,
    /// Client of rows that name none [default: empty]
    #[arg(long, value_name = "C")]
    pub client: Option<String>,
    /// Time of rows without one: ISO 8601, a date, or epoch seconds [default: 0]
    #[arg(long, value_name = "TIME")]
    pub timestamp: Option<String>,
    /// What the files hold
    #[arg(long, value_enum, default_value_t = InputFormat::Auto)]
    pub input: InputFormat,
    /// CSV column with the text [default: text, headline, title and the like; else name it]
    #[arg(long, value_name = "NAME")]
    pub text_column: Option<String>,
    /// CSV column with the label [default: label, class, category and the like; else name it]
    #[arg(long, value_name = "NAME")]
    pub label_column: Option<String>,
    /// System prompt of CSV rows [default: a classifier's, listing the labels of the file]
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// User message of CSV rows; {text} stands for the text [default: "{text}"]
    #[arg(long, value_name = "TEMPLATE")]
    pub prompt: Option<String>,
    /// Write rejected rows there, with file, line and reason [default: not written]
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
    /// End with code 6 when any row was rejected [default: off]
    #[arg(long)]
    pub strict: bool,
}

/// What the files of `load` hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InputFormat {
    /// By name and content.
    Auto,
    /// Log records or chat rows, one JSON object a line.
    Jsonl,
    /// Comma-separated values with a header line.
    Csv,
    /// Tab-separated values with a header line.
    Tsv,
}

/// Arguments of `split`.
#[derive(Debug, Args)]
pub struct Split {
    /// Folder to write the datasets and the manifest to; must be empty or absent
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Which records.
    #[command(flatten)]
    pub records: Records,
    /// Write rejected lines there, with file, line and reason [default: not written]
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
    /// End with code 6 when any line was rejected [default: off]
    #[arg(long)]
    pub strict: bool,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Which records.
    #[command(flatten)]
    pub records: Records,
    /// Only this candidate of the configuration; repeatable [default: all]
    #[arg(long, value_name = "MODEL")]
    pub only: Vec<String>,
    /// Print the checked plan and stop [default: off]
    #[arg(long)]
    pub plan: bool,
    /// Run a cluster's configuration on the embedded platform, students standing in [default: off]
    #[arg(long)]
    pub rehearse: bool,
    /// Continue a killed or cancelled run as it was started [default: the newest such run]
    #[arg(long, value_name = "RUN", num_args = 0..=1, default_missing_value = "",
          conflicts_with_all = ["logs", "workload", "clients", "since", "until", "only", "plan", "rehearse", "set"])]
    pub resume: Option<String>,
    /// Wait for another run of this state directory to end [default: exit 75 at once]
    #[arg(long)]
    pub wait: bool,
    /// Use a NIM that is already deployed for a candidate, and never delete it [default: off]
    #[arg(long)]
    pub adopt: bool,
    /// Run beside another dfwfd run on the same platform [default: exit 75]
    #[arg(long)]
    pub share: bool,
    /// Append every event of the run to this file as JSON lines [default: not written]
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// Run id, a unique prefix of one, or latest [default: list all]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Show again whenever something changes, until the run ends [default: off]
    #[arg(long)]
    pub watch: bool,
}

/// Arguments of `cleanup`.
#[derive(Debug, Args)]
pub struct Cleanup {
    /// Run id, a unique prefix of one, or latest [default: every run whose process is gone]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Also delete datasets, configs, evaluation results and adapters of the run [default: off]
    #[arg(long, requires = "run")]
    pub purge: bool,
    /// Only say what would be given back [default: off]
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `cancel`.
#[derive(Debug, Args)]
pub struct Cancel {
    /// Run id or a unique prefix of one [default: the running run]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
}

/// Arguments of `logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// Delete the records that match --workload, --since and --until [default: off]
    #[arg(long)]
    pub delete: bool,
    /// Only this workload [default: all]
    #[arg(long, value_name = "W")]
    pub workload: Option<String>,
    /// Only records from then on: ISO 8601, a date, or 7d [default: no limit]
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only records before then: ISO 8601, a date, or 7d [default: no limit]
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub port: u16,
    /// Also write the printed settings to this file, complete or not at all [default: not written]
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// GPUs that the platform offers
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub gpus: u32,
    /// How the Data Store wants files uploaded
    #[arg(long, value_enum, default_value_t = UploadMode::Regular)]
    pub upload_mode: UploadMode,
    /// What makes jobs advance: time, or each status read by one step
    #[arg(long, value_enum, default_value_t = Clock::Real)]
    pub clock: Clock,
    /// Offer /control, to hold calls and look inside; for tests [default: off]
    #[arg(long)]
    pub control: bool,
    /// Script a failure, such as 'POST /nemo/v1/customization/jobs: status=503 times=2'; repeatable [default: none]
    #[arg(long = "fault", value_name = "SPEC")]
    pub faults: Vec<String>,
    /// Keep everything in this folder, and find it there when started again [default: in memory]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Run this command against it and end with its exit code [default: serve until stopped]
    #[arg(last = true, value_name = "CMD")]
    pub run: Vec<String>,
}

/// How the Data Store wants files uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum UploadMode {
    /// Inside the commit.
    Regular,
    /// Over git-LFS.
    Lfs,
}

/// What makes jobs advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Clock {
    /// Time.
    Real,
    /// Each status read, by one step.
    Polls,
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Write a configuration for a NeMo cluster [default: for the embedded platform]
    #[arg(long)]
    pub nemo: bool,
    /// Also write the sample logs [default: off]
    #[arg(long)]
    pub sample: bool,
    /// Replace files that exist [default: refuse]
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
