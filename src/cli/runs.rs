//! Arguments of the commands that start runs, show them and clean up after them.

use std::path::PathBuf;

use clap::Args;

use super::records::{Datasets, Records};
use crate::ui::Format;

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Run only this candidate of the configuration; repeatable [default: all]
    #[arg(long, value_name = "MODEL")]
    pub only: Vec<String>,
    /// Check configuration, records and platform, print the plan, and stop
    #[arg(long)]
    pub plan: bool,
    /// Run a cluster's configuration on the embedded platform, with small classifiers in place of the models
    #[arg(long)]
    pub rehearse: bool,
    /// Continue a killed, cancelled, failed or partial run with its own plan [default: the newest such run]
    #[arg(long, value_name = "RUN", num_args = 0..=1, default_missing_value = "",
          conflicts_with_all = ["logs", "workload", "clients", "since", "until", "only", "plan", "rehearse", "set", "measure_latency"])]
    pub resume: Option<String>,
    /// Wait while another run uses the state directory; without it, exit with code 75
    #[arg(long)]
    pub wait: bool,
    /// Use a NIM that is already deployed for a candidate, and never delete it
    #[arg(long)]
    pub adopt: bool,
    /// Run beside runs of other state directories on the platform, if the GPUs suffice; without it, exit with code 75
    #[arg(long)]
    pub share: bool,
    /// Stop after this time and release everything, as Ctrl-C does: 90m, 6h [default: no limit]
    #[arg(long, value_name = "TIME")]
    pub max_duration: Option<String>,
    /// Append every event of the run to this file, as JSON lines [default: not written]
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Measure latency and throughput of each model by a short load, while its NIM is deployed
    #[arg(long)]
    pub measure_latency: bool,
    /// Write metrics of the run to this file, in Prometheus' text format, whole or not at all [default: not written]
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,
    /// Also compare with labels of people, a CSV or JSONL file [default: not compared]
    #[arg(long, value_name = "FILE")]
    pub gold: Option<PathBuf>,
    #[command(flatten)]
    pub datasets: Datasets,
    #[command(flatten)]
    pub gates: Gates,
    #[command(flatten)]
    pub records: Records,
}

/// The flags that set quality gates.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Gates")]
pub struct Gates {
    /// The gates on scores.
    // The brackets of the help text would be a link of the documentation.
    #[arg(
        long,
        value_name = "[MODEL:]SCORE=VALUE",
        help = "Exit with code 5 unless a candidate reaches this score: \
        macro_f1=0.85, MODEL:accuracy=0.9 or 'recall[CLASS]=0.7'; repeatable [default: none]"
    )]
    pub min: Vec<String>,
    /// Exit with code 5 if the best model is significantly worse than the best of this earlier run [default: none]
    #[arg(long, value_name = "RUN")]
    pub baseline: Option<String>,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// Run id (a unique prefix is enough), or latest [default: list all runs]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Update the output whenever something changes, until the run ends
    #[arg(long)]
    pub watch: bool,
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct Report {
    /// Run id (a unique prefix is enough), or latest
    #[arg(value_name = "RUN", default_value = "latest")]
    pub run: String,
    /// Write the report in this form
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// Write the report to this file, atomically [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Leave out texts: rows that a model got wrong, and replies without a label
    #[arg(long)]
    pub no_texts: bool,
    /// Also compare with labels of people, a CSV or JSONL file [default: not compared]
    #[arg(long, value_name = "FILE")]
    pub gold: Option<PathBuf>,
    /// Also send the run to MLflow or to the index of runs again, as its configuration says
    #[arg(long)]
    pub publish: bool,
    #[command(flatten)]
    pub gates: Gates,
}

/// Arguments of `compare`.
#[derive(Debug, Args)]
pub struct Compare {
    /// Id of the earlier run (a unique prefix is enough)
    #[arg(value_name = "EARLIER")]
    pub earlier: String,
    /// Id of the later run (a unique prefix is enough), or latest
    #[arg(value_name = "RUN", default_value = "latest")]
    pub run: String,
}

/// Arguments of `cleanup`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("runs").args(["run", "older_than", "orphans"]))]
pub struct Cleanup {
    /// Run id (a unique prefix is enough), or latest [default: all runs that have ended]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Clean up only runs that ended longer ago than this: 30d, 12h [default: no limit]
    #[arg(long, value_name = "TIME")]
    pub older_than: Option<String>,
    /// Also delete the datasets, configurations, evaluation results and adapters of the selected runs; their records in the
    /// state directory stay
    #[arg(long, requires = "runs")]
    pub purge: bool,
    /// Also delete base models that were made from a repository, unless another run uses them
    #[arg(long, requires = "purge")]
    pub base_models: bool,
    /// Only list the resources, and release none
    #[arg(long)]
    pub dry_run: bool,
    /// List deployments and unfinished jobs that are in no ledger of this state directory instead, and release those of
    /// this user and machine. With --purge also datasets, configurations, evaluations and adapters
    #[arg(long, conflicts_with = "base_models")]
    pub orphans: bool,
    /// Release the orphans of this owner [default: this user and machine]
    #[arg(long, value_name = "USER@HOST", requires = "orphans")]
    pub owner: Option<String>,
    /// Release orphans without asking
    #[arg(long, requires = "orphans")]
    pub yes: bool,
}

/// Arguments of `cancel`.
#[derive(Debug, Args)]
pub struct Cancel {
    /// Run id (a unique prefix is enough) [default: the active run]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
}
