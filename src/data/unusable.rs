//! The reasons that no datasets can be made of the records, with counts and hints.

use std::fmt;
use std::path::PathBuf;

use crate::data::counts::{LineCounts, TypeCounts};
use crate::data::reject::Reject;
use crate::numbers::{count, counted};

/// The reason that no datasets can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// No workload was named, and the logs hold several.
    Ambiguous {
        /// The workloads with their records.
        workloads: Vec<(String, u64)>,
    },
    /// No document has a field at its configured path.
    NoField {
        field: &'static str,
        path: String,
        /// Number of documents that were read.
        documents: u64,
    },
    /// No line holds a valid record.
    NoRecords { counts: LineCounts },
    /// No valid record passes the filter.
    NoneSelected {
        workload: String,
        counts: LineCounts,
        /// All workloads with their records.
        workloads: Vec<(String, u64)>,
    },
    /// Most records hold tool calls, and the type is classification.
    ToolCalls { types: TypeCounts, counts: LineCounts },
    /// Fewer records than `min_total_records`.
    TooFew {
        workload: String,
        counts: LineCounts,
        /// Records left out by `limit`.
        over_limit: usize,
        kept: usize,
        needed: usize,
    },
    /// The eval set would leave nothing to train on.
    EvalTooLarge {
        workload: String,
        counts: LineCounts,
        eval_size: usize,
        kept: usize,
        /// Rows in no dataset: they belong together with eval rows.
        held_back: usize,
        /// A size that leaves rows to train on, or 0. `None` for the eval set of an earlier run.
        room: Option<usize>,
    },
    /// Some rows of the eval set of an earlier run cannot be used.
    EvalSet {
        workload: String,
        counts: LineCounts,
        /// All its rows.
        rows: u64,
        usable: u64,
    },
    /// The file with labels of people cannot be used.
    Corrections { path: PathBuf, why: String },
    /// A split by time leaves nothing to train on.
    NothingBefore {
        workload: String,
        counts: LineCounts,
        eval_size: usize,
        kept: usize,
        /// Records without a time.
        timeless: usize,
        embargo_s: u64,
        /// All records have one time.
        is_one_time: bool,
    },
}

impl Unusable {
    /// Returns what became of the lines, each as a cause of its own.
    pub(crate) fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        match self {
            Unusable::Ambiguous { .. } | Unusable::NoField { .. } | Unusable::Corrections { .. } => {}
            Unusable::NoneSelected { workload, counts, workloads } if !is_among(workload, workloads) => {
                if !workloads.is_empty() {
                    causes.push(format!("the logs hold {}", list(workloads)));
                }
                causes.extend(of_lines(&LineCounts { other: 0, ..counts.clone() }));
            }
            Unusable::EvalTooLarge { workload, counts, kept, held_back, .. } => {
                causes.push(format!("workload {workload} has {}", counted(*kept as u64, "record")));
                if *held_back > 0 {
                    let held_back = count(*held_back as u64);
                    causes.push(format!("{held_back} of them belong together with eval rows, and are held back"));
                }
                causes.extend(of_lines(counts));
            }
            Unusable::TooFew { counts, over_limit, .. } => {
                causes.extend(of_lines(counts));
                if *over_limit > 0 {
                    causes.push(format!("left out: {} over the limit", counted(*over_limit as u64, "record")));
                }
            }
            Unusable::NoRecords { counts }
            | Unusable::NoneSelected { counts, .. }
            | Unusable::ToolCalls { counts, .. }
            | Unusable::EvalSet { counts, .. }
            | Unusable::NothingBefore { counts, .. } => causes.extend(of_lines(counts)),
        }
        causes
    }

    /// Returns true if the command line or the configuration is to blame, not the data.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Unusable::Ambiguous { .. } | Unusable::NoField { .. } | Unusable::Corrections { .. })
    }

    /// Returns something to do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            Unusable::Ambiguous { workloads } => {
                let first = workloads.first().map_or("NAME", |(name, _)| name);
                format!("choose one: --workload {first}")
            }
            Unusable::NoField { field, .. } => {
                format!("set logs.fields.{field} to a dotted path into a line, such as payload.request")
            }
            Unusable::NoRecords { counts } if counts.read == 0 => {
                "load records with `dfwfd load FILE --workload NAME`, or name a file with --logs".to_owned()
            }
            Unusable::NoRecords { counts } => of_rejected(counts),
            Unusable::NoneSelected { counts, .. } if counts.all_rejected() > counts.other => of_rejected(counts),
            Unusable::TooFew { counts, kept, .. } if counts.all_rejected() > *kept as u64 => of_rejected(counts),
            Unusable::NoneSelected { .. } => {
                "check --workload, --client, --since and --until; `dfwfd logs` lists the log store".to_owned()
            }
            Unusable::ToolCalls { .. } => {
                "set evaluation_config.workload_type: tool_calling (or auto) for this workload".to_owned()
            }
            Unusable::TooFew { over_limit, .. } if *over_limit > 0 => {
                "raise data_split_config.limit or data_split_config.limit_per_client, or lower \
                 data_split_config.min_total_records"
                    .to_owned()
            }
            Unusable::TooFew { .. } => "load more records, or lower data_split_config.min_total_records".to_owned(),
            Unusable::EvalSet { .. } => {
                "use the workload, the labels and the workload type of that run, or make a new eval set".to_owned()
            }
            Unusable::Corrections { .. } => {
                "`dfwfd split --out DIR --review FILE` writes a file whose column correct is filled in (docs/records.md)"
                    .to_owned()
            }
            Unusable::NothingBefore { is_one_time: true, .. } | Unusable::NothingBefore { timeless: 1.., .. } => {
                "log the time of each request as timestamp, or set data_split_config.split: random".to_owned()
            }
            Unusable::NothingBefore { embargo_s: 1.., .. } => {
                "lower data_split_config.eval_size or data_split_config.embargo".to_owned()
            }
            Unusable::NothingBefore { .. } => {
                "lower data_split_config.eval_size, or set data_split_config.split: random".to_owned()
            }
            Unusable::EvalTooLarge { room: Some(room @ 1..), .. } => {
                format!("lower data_split_config.eval_size, for example --set data_split_config.eval_size={room}")
            }
            Unusable::EvalTooLarge { held_back: 1.., room: Some(_), .. } => {
                "load records that differ: all of these belong together".to_owned()
            }
            Unusable::EvalTooLarge { .. } => "load more records".to_owned(),
        }
    }

    /// Returns why a split by time leaves nothing to train on.
    fn nothing_before(&self) -> String {
        let Unusable::NothingBefore { eval_size, kept, timeless, embargo_s, is_one_time, .. } = self else {
            return String::new();
        };
        match (kept - timeless, is_one_time) {
            (0, _) => "none has a time".to_owned(),
            (dated, true) => format!("all {} with a time have the same time", count(dated as u64)),
            _ => format!(
                "none is older than the {} by more than the embargo of {embargo_s} s and in no group with them, and {} have \
                 no time",
                counted(*eval_size as u64, "eval row"),
                count(*timeless as u64)
            ),
        }
    }
}

/// Returns what to do about the most frequent reason of refused lines.
fn of_rejected(counts: &LineCounts) -> String {
    match counts.rejected.iter().max_by_key(|&(_, &lines)| lines) {
        Some((Reject::TruncatedAnswer, _)) => {
            "set accept_truncated: true to take answers that a limit on tokens cut off".to_owned()
        }
        _ => "`dfwfd split --out DIR --rejects FILE` lists every rejected line with its reason (docs/records.md)"
            .to_owned(),
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::NoField { field, path, documents } => {
                let lines = counted(*documents, "line");
                write!(f, "cannot find {field}: none of {lines} has {path}, the path in logs.fields.{field}")
            }
            Unusable::Ambiguous { workloads } => {
                write!(f, "cannot choose a workload: the logs hold {}", list(workloads))
            }
            Unusable::NoRecords { counts } if counts.read == 0 => {
                f.write_str("cannot make datasets: there are no records")
            }
            Unusable::NoRecords { counts } => {
                write!(f, "cannot make datasets: no valid record among {}", counted(counts.read, "line"))
            }
            Unusable::NoneSelected { workload, counts, workloads } => {
                let lines = counted(counts.read, "line");
                let selected = if is_among(workload, workloads) { " is selected" } else { "" };
                write!(f, "cannot make datasets: no record of workload {workload}{selected} among {lines}")
            }
            Unusable::ToolCalls { types, .. } => write!(
                f,
                "cannot make classification datasets: {} of {} hold tool calls",
                count(types.tool_calls),
                counted(types.records, "record")
            ),
            Unusable::TooFew { workload, kept, needed, .. } => {
                let (usable, needed) = (counted(*kept as u64, "usable record"), count(*needed as u64));
                write!(f, "cannot make datasets: workload {workload} has {usable} and needs {needed}")
            }
            Unusable::Corrections { path, why } => write!(f, "cannot read corrections from {}: {why}", path.display()),
            Unusable::EvalSet { workload, rows, usable, .. } => write!(
                f,
                "cannot use the eval set: {} of its {} are usable records of workload {workload}",
                count(*usable),
                counted(*rows, "row")
            ),
            Unusable::NothingBefore { workload, kept, .. } => {
                let records = counted(*kept as u64, "record");
                write!(f, "cannot split by time: of {records} of workload {workload}, {}", self.nothing_before())
            }
            Unusable::EvalTooLarge { eval_size, .. } => {
                let rows = counted(*eval_size as u64, "row");
                write!(f, "cannot take an eval set of {rows}: it leaves nothing to train on")
            }
        }
    }
}

impl std::error::Error for Unusable {}

fn is_among(workload: &str, workloads: &[(String, u64)]) -> bool {
    workloads.iter().any(|(name, _)| name == workload)
}

/// Lists workloads with counts, of many the ten largest.
fn list(workloads: &[(String, u64)]) -> String {
    let mut sorted: Vec<_> = workloads.iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let more = sorted.len().saturating_sub(10);
    let mut shown: Vec<String> =
        sorted.iter().take(10).map(|(name, records)| format!("{} of {name}", counted(*records, "record"))).collect();
    if more > 0 {
        shown.push(format!("{more} more workloads"));
    }
    shown.join(", ")
}

/// Returns what became of the lines that are in no dataset.
fn of_lines(counts: &LineCounts) -> Vec<String> {
    let LineCounts { read: _, rejected, other, duplicates } = counts;
    let mut causes = Vec::new();
    if let Some((most, _)) = rejected.iter().max_by_key(|&(_, &lines)| lines) {
        let mostly = if rejected.len() > 1 { "mostly " } else { "" };
        let lines = counted(counts.all_rejected(), "line");
        causes.push(format!("rejected: {lines}, {mostly}{}", most.as_str().replace('_', " ")));
    }
    if *other > 0 {
        causes.push(format!("left out: {} of another workload, client or time", counted(*other, "record")));
    }
    if *duplicates > 0 {
        causes.push(format!("left out: {}", counted(*duplicates, "duplicate")));
    }
    causes
}
