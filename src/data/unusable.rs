//! Why no datasets can be made of what was read, with the counts that show it and what to do about it.

use std::fmt;

use crate::data::counts::{LineCounts, TypeCounts};

/// Why no datasets can be made. All but those of [`Unusable::is_usage`] mean that the data cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// No workload was named and the logs hold several: a question of usage, not of data.
    Ambiguous {
        /// The workloads with their records.
        workloads: Vec<(String, u64)>,
    },
    /// No document has a field where the configuration says that it stands.
    NoField {
        /// The field.
        field: &'static str,
        /// Where it should stand.
        path: String,
        /// The documents that were read.
        documents: u64,
    },
    /// There is no valid record at all.
    NoRecords {
        /// What became of the lines.
        counts: LineCounts,
    },
    /// There is no valid record of the workload, the clients and the time asked for.
    NoneSelected {
        /// The workload.
        workload: String,
        /// What became of the lines.
        counts: LineCounts,
        /// The workloads that there are, with their records.
        workloads: Vec<(String, u64)>,
    },
    /// A log of tool calls was to be read as classification.
    ToolCalls {
        /// What the records hold.
        types: TypeCounts,
    },
    /// Neither tool calls nor labels in most records.
    FreeText {
        /// What the records hold.
        types: TypeCounts,
    },
    /// Fewer records than `min_total_records`.
    TooFew {
        /// The workload.
        workload: String,
        /// What became of the lines.
        counts: LineCounts,
        /// Records left out because of `limit`.
        over_limit: usize,
        /// What is left.
        kept: usize,
        /// What is needed.
        needed: usize,
    },
    /// No training row would be left beside the eval set.
    EvalTooLarge {
        /// The workload.
        workload: String,
        /// What was asked for.
        eval_size: usize,
        /// The records that there are.
        kept: usize,
        /// Rows in no dataset, because their near-duplicates are in the eval set.
        held_back: usize,
    },
}

impl Unusable {
    /// Whether the command line, not the data, is to blame.
    pub fn is_usage(&self) -> bool {
        matches!(self, Unusable::Ambiguous { .. } | Unusable::NoField { .. })
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Unusable::Ambiguous { workloads } => {
                let first = workloads.first().map_or("NAME", |(name, _)| name);
                format!("name one: --workload {first}")
            }
            Unusable::NoField { field, .. } => {
                format!("logs.fields.{field} is a dotted path into a line, such as payload.request")
            }
            Unusable::NoRecords { counts } if counts.read == 0 => {
                "bring records in with `dfwfd load FILE --workload NAME`, or name a file with --logs".to_owned()
            }
            Unusable::NoRecords { .. } => {
                "`dfwfd split --out DIR --rejects FILE` lists every refused line with its reason; \
                docs/records.md says what each reason means"
                    .to_owned()
            }
            Unusable::NoneSelected { .. } => "look at --workload, --client, --since and --until; \
                `dfwfd logs` lists what is in the log store"
                .to_owned(),
            Unusable::ToolCalls { .. } => {
                "set evaluation_config.workload_type: tool_calling (or auto) for this workload".to_owned()
            }
            Unusable::FreeText { .. } => "labels are read from [[double brackets]]: set label_pattern to read them \
                from elsewhere, or name the workload_type in evaluation_config"
                .to_owned(),
            Unusable::TooFew { over_limit, .. } if *over_limit > 0 => {
                "raise data_split_config.limit, or lower data_split_config.min_total_records".to_owned()
            }
            Unusable::TooFew { .. } => "bring in more records, or lower data_split_config.min_total_records".to_owned(),
            Unusable::EvalTooLarge { kept, held_back, .. } => {
                let room = kept.saturating_sub(*held_back) / 2;
                format!("lower data_split_config.eval_size, for example --set data_split_config.eval_size={room}")
            }
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::NoField { field, path, documents } => {
                write!(f, "logs.fields.{field} is {path}, and none of {documents} lines has it")
            }
            Unusable::Ambiguous { workloads } => {
                write!(f, "the logs hold {} workloads and none was named: {}", workloads.len(), list(workloads))
            }
            Unusable::NoRecords { counts } => write!(f, "there is no valid record ({})", CountsClause(counts)),
            Unusable::NoneSelected { workload, counts, workloads } => {
                write!(f, "no valid record of workload {workload} passes the filter ({})", CountsClause(counts))?;
                if workloads.is_empty() { Ok(()) } else { write!(f, "; the logs hold {}", list(workloads)) }
            }
            Unusable::ToolCalls { types } => write!(
                f,
                "{} of {} records hold tool calls, and workload_type is classification",
                types.tool_calls, types.records
            ),
            Unusable::FreeText { types } => write!(
                f,
                "of {} records {} hold a label and {} hold tool calls: most are free text, which is not supported",
                types.records, types.labels, types.tool_calls
            ),
            Unusable::TooFew { workload, counts, over_limit, kept, needed } => {
                write!(
                    f,
                    "{kept} records of workload {workload} are left, and {needed} are needed ({}",
                    CountsClause(counts)
                )?;
                if *over_limit > 0 { write!(f, ", over limit {over_limit})") } else { f.write_str(")") }
            }
            Unusable::EvalTooLarge { workload, eval_size, kept, held_back } => write!(
                f,
                "an eval set of {eval_size} leaves nothing to train on: workload {workload} has {kept} records, \
                 {held_back} of them held back as near-duplicates"
            ),
        }
    }
}

impl std::error::Error for Unusable {}

/// Workloads with counts; the ten largest when there are many.
fn list(workloads: &[(String, u64)]) -> String {
    let mut sorted: Vec<_> = workloads.iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let more = sorted.len().saturating_sub(10);
    let mut shown: Vec<String> = sorted.iter().take(10).map(|(name, records)| format!("{name} ({records})")).collect();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    shown.join(", ")
}

/// LineCounts as a clause: what was read and where it went.
struct CountsClause<'a>(&'a LineCounts);

impl fmt::Display for CountsClause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LineCounts { read, rejected, other, duplicates } = self.0;
        write!(f, "read {read}, rejected {}", self.0.all_rejected())?;
        if let Some((reason, _)) = rejected.iter().max_by_key(|&(_, &lines)| lines) {
            write!(f, " (most for {reason})")?;
        }
        write!(f, ", other {other}, duplicates {duplicates}")
    }
}
