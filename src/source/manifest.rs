//! The manifest of a dataset folder: counts, classes, inputs and files. Stored beside the datasets, and the source of the
//! tables of `split` and the reports.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::data_warnings::{self, ClassRows};
use crate::data::corpus::Corpus;
use crate::data::counts::TypeCounts;
use crate::data::groups::GroupCause;
use crate::data::options::{DatasetRequest, LabelRules};
use crate::data::redact::RedactionCounts;
use crate::data::reject::Reject;
use crate::data::split::Split;
use crate::data::workload_type::WorkloadType;

/// Name of the manifest in a dataset folder. It is written last, so a folder with one is complete.
pub(crate) const MANIFEST: &str = "manifest.json";

/// The manifest. `read` = `rejected` + `other` + `duplicates` + `over_limit` + `kept`, and `kept` = `eval` + `train` +
/// `validation` + `held_back`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) workload: String,
    pub(crate) workload_type: WorkloadType,
    /// `jsonl`, `stdin`, `local` or `elasticsearch`.
    pub(crate) source: String,
    /// Lines.
    pub(crate) read: u64,
    /// Refused lines by reason.
    pub(crate) rejected: BTreeMap<Reject, u64>,
    /// Valid records of another workload, client or time.
    pub(crate) other: u64,
    /// Records whose messages and tools a newer record has.
    pub(crate) duplicates: u64,
    /// Records left out by `limit`.
    pub(crate) over_limit: u64,
    /// Records that were divided.
    pub(crate) kept: u64,
    pub(crate) eval: u64,
    /// The rows of the eval set, from 0, that belong to one group, such as turns of a conversation. Groups of one row are
    /// left out, and all of them if the eval set is that of an earlier run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) eval_groups: Vec<Vec<u32>>,
    pub(crate) train: u64,
    pub(crate) validation: u64,
    /// Records in no dataset: of the groups of eval rows, too close to them in time, or over the cap of their class.
    pub(crate) held_back: u64,
    /// Rows that near-copies beyond equal normal forms put into groups. `None`: they were not looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) near_copies: Option<NearCopyCounts>,
    /// Requests that were answered differently.
    pub(crate) conflicts: u64,
    pub(crate) seed: u64,
    /// Epoch seconds of the oldest usable record. Manifests of older versions have none.
    #[serde(default)]
    pub(crate) first: Option<i64>,
    /// Epoch seconds of the newest usable record.
    #[serde(default)]
    pub(crate) last: Option<i64>,
    /// Rows of each label (function) per dataset.
    pub(crate) classes: BTreeMap<String, ClassCounts>,
    pub(crate) files: Vec<DatasetFile>,
    pub(crate) inputs: Vec<InputFile>,
    /// Counts of the selected records, by which `auto` decides.
    pub(crate) types: TypeCounts,
    pub(crate) labels: LabelRules,
    /// Warnings about the data, to be read before a score is trusted.
    pub(crate) warnings: Vec<String>,
    /// Masked values by kind. `None`: nothing was to be masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) redacted: Option<RedactionCounts>,
    /// Labels that people gave. `None`: no file was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) corrections: Option<CorrectionCounts>,
    /// `None`: the log says nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) teacher: Option<TeacherUsage>,
    /// Eval rows by the latency of the teacher: counts by the lower bound of their step in ms. Steps are half octaves.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) teacher_latencies: BTreeMap<u64, u64>,
}

/// The labels that people gave, and what became of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CorrectionCounts {
    /// The file as it was named.
    pub(crate) path: PathBuf,
    /// BLAKE3 of its bytes, lower-case hex.
    pub(crate) blake3: String,
    /// Requests with a label.
    pub(crate) given: u64,
    /// Requests with a label that no record has.
    pub(crate) unused: u64,
    /// Records that got another label, duplicates included.
    pub(crate) records: u64,
}

impl CorrectionCounts {
    /// Warns about corrections that correct nothing.
    pub(crate) fn warning(&self) -> Option<String> {
        let CorrectionCounts { path, given, unused, .. } = self;
        (*unused > 0).then(|| format!("{unused} of {given} corrections in {} match no record", path.display()))
    }
}

/// The teacher on the rows of the eval set, as the log tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TeacherUsage {
    /// Rows with `latency_ms`.
    pub(crate) latency_rows: u64,
    /// The median latency.
    pub(crate) p50_ms: Option<f64>,
    /// The latency that 95 % of these rows kept.
    pub(crate) p95_ms: Option<f64>,
    /// Rows with `response.usage`.
    pub(crate) usage_rows: u64,
    /// Tokens of all these rows.
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
}

/// Rows that near-copies put into groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NearCopyCounts {
    /// All such rows.
    pub(crate) grouped: u64,
    /// Those that are in no training or validation set, because a near-copy of theirs is an eval row.
    pub(crate) leaks_prevented: u64,
}

/// Rows of one class per dataset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClassCounts {
    pub(crate) eval: u64,
    pub(crate) train: u64,
    pub(crate) validation: u64,
}

/// One dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DatasetFile {
    /// Path below the dataset folder.
    pub(crate) path: String,
    /// Lines.
    pub(crate) rows: u64,
    /// SHA-256 of its bytes, lower-case hex.
    pub(crate) sha256: String,
}

/// One input that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InputFile {
    /// The path as given, `-` for standard input, or URL and name of an index.
    pub(crate) path: PathBuf,
    /// Bytes.
    pub(crate) bytes: u64,
    /// Lines.
    pub(crate) lines: u64,
    /// BLAKE3 of its bytes, lower-case hex. An index has no order: the sum of the BLAKE3 of its lines modulo 2^256, each read
    /// with its lowest byte first.
    pub(crate) blake3: String,
    /// Name and version of the server of an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<String>,
}

impl Manifest {
    /// Returns the group of each of so many eval rows. `None` if each row is one of its own.
    pub(crate) fn eval_units(&self, rows: usize) -> Option<Vec<u64>> {
        if self.eval_groups.is_empty() || rows as u64 != self.eval {
            return None;
        }
        let mut units: Vec<u64> = (0..rows as u64).collect();
        for group in &self.eval_groups {
            for &place in group {
                *units.get_mut(place as usize)? = u64::from(group[0]);
            }
        }
        Some(units)
    }

    /// Makes the manifest of new datasets.
    pub(crate) fn of(
        request: &DatasetRequest,
        corpus: &Corpus,
        split: &Split,
        files: Vec<DatasetFile>,
        inputs: Vec<InputFile>,
    ) -> Manifest {
        let classes = class_counts(corpus, split);
        let paths: Vec<&Path> = inputs.iter().map(|input| input.path.as_path()).collect();
        let mut warnings = data_warnings::of(corpus, request, &paths);
        warnings.extend(data_warnings::scarce_classes(&class_rows(&classes)));
        let untrained = classes.iter().filter(|(_, counts)| counts.eval > 0 && counts.train == 0);
        let untrained: Vec<&str> = untrained.map(|(label, _)| label.as_str()).collect();
        if !untrained.is_empty() {
            warnings.push(format!("in the eval set, but not in the training set: {}", untrained.join(", ")));
        }
        Manifest {
            workload: corpus.workload.clone(),
            workload_type: corpus.workload_type,
            source: request.input.word().to_owned(),
            read: corpus.counts.read,
            rejected: corpus.counts.rejected.clone(),
            other: corpus.counts.other,
            eval_groups: if request.eval_set.is_some() { Vec::new() } else { together(corpus, &split.eval) },
            duplicates: corpus.counts.duplicates,
            over_limit: split.over_limit as u64,
            kept: split.kept() as u64,
            eval: split.eval.len() as u64,
            train: split.train.len() as u64,
            validation: split.validation.len() as u64,
            held_back: split.held_back.len() as u64,
            near_copies: request.split.near_duplicate_threshold.map(|_| near_copies(corpus, split)),
            conflicts: corpus.conflicts.len() as u64,
            seed: request.split.random_seed,
            first: corpus.window.map(|(oldest, _)| oldest),
            last: corpus.window.map(|(_, newest)| newest),
            warnings,
            classes,
            files,
            inputs,
            types: corpus.types,
            labels: request.labels.clone(),
            redacted: None,
            corrections: None,
            teacher: None,
            teacher_latencies: BTreeMap::new(),
        }
    }

    /// Returns the number of refused lines.
    pub(crate) fn all_rejected(&self) -> u64 {
        self.rejected.values().sum()
    }
}

/// Counts the rows of each label (function) per dataset.
fn class_counts(corpus: &Corpus, split: &Split) -> BTreeMap<String, ClassCounts> {
    let named = corpus.classes.iter().filter(|_| corpus.workload_type != WorkloadType::Text);
    let mut classes: BTreeMap<String, ClassCounts> =
        named.map(|label| (label.clone(), ClassCounts::default())).collect();
    let mut tally = |rows: &[u32], field: fn(&mut ClassCounts) -> &mut u64| {
        for &row in rows {
            let label = &corpus.classes[corpus.rows[row as usize].class as usize];
            if let Some(counts) = classes.get_mut(label) {
                *field(counts) += 1;
            }
        }
    };
    tally(&split.eval, |counts| &mut counts.eval);
    tally(&split.train, |counts| &mut counts.train);
    tally(&split.validation, |counts| &mut counts.validation);
    classes
}

fn class_rows(classes: &BTreeMap<String, ClassCounts>) -> Vec<ClassRows<'_>> {
    let all = |rows: &ClassCounts| rows.eval + rows.train + rows.validation;
    classes.iter().map(|(class, rows)| ClassRows { class, eval: rows.eval, all: all(rows) }).collect()
}

fn near_copies(corpus: &Corpus, split: &Split) -> NearCopyCounts {
    let is_near = |row: &&u32| corpus.rows[**row as usize].cause == GroupCause::NearCopy;
    let measured: HashSet<u64> = split.eval.iter().map(|&row| corpus.rows[row as usize].group).collect();
    let with_eval_rows = |row: &&u32| measured.contains(&corpus.rows[**row as usize].group);
    let outside = split.eval.iter().chain(&split.held_back).filter(is_near).filter(with_eval_rows).count();
    let groups = split.eval.iter().filter(is_near).map(|&row| corpus.rows[row as usize].group).collect::<HashSet<_>>();
    let grouped = corpus.rows.iter().filter(|row| row.cause == GroupCause::NearCopy).count();
    NearCopyCounts { grouped: grouped as u64, leaks_prevented: (outside - groups.len()) as u64 }
}
/// Returns the places of rows that belong to one group.
fn together(corpus: &Corpus, rows: &[u32]) -> Vec<Vec<u32>> {
    let mut by_group: HashMap<u64, Vec<u32>> = HashMap::new();
    for (place, row) in (0..).zip(rows) {
        by_group.entry(corpus.rows[*row as usize].group).or_default().push(place);
    }
    let mut groups: Vec<Vec<u32>> = by_group.into_values().filter(|places| places.len() > 1).collect();
    groups.sort_unstable();
    groups
}
