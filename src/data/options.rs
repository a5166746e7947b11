//! The options of the configuration for records and datasets.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::data::record::Record;

/// The records that become datasets, and the rules for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DatasetRequest {
    pub(crate) input: LogSource,
    /// Paths of the fields in documents of another shape. The local log store ignores them.
    #[serde(default)]
    pub(crate) fields: Fields,
    pub(crate) filter: Filter,
    pub(crate) workload_type: TypeChoice,
    pub(crate) labels: LabelRules,
    /// Takes answers that a limit on tokens cut off.
    #[serde(default)]
    pub(crate) accept_truncated: bool,
    pub(crate) split: SplitRules,
    /// Personal data to mask. `None` leaves texts as they are.
    #[serde(default)]
    pub(crate) redact: Option<Redaction>,
    /// The eval set of an earlier run, which is measured on again. `None` makes a new one.
    #[serde(default)]
    pub(crate) eval_set: Option<PathBuf>,
    /// The file with labels that people gave. `None` leaves labels as they were logged.
    #[serde(default)]
    pub(crate) corrections: Option<PathBuf>,
}

/// Personal data to mask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Redaction {
    pub(crate) rules: RedactRules,
    /// The file with the key of placeholders, in the state directory.
    pub(crate) key_file: PathBuf,
}

/// The kinds of personal data to mask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RedactRules {
    /// Names of kinds.
    pub(crate) kinds: Vec<String>,
    /// Regular expressions by the name of their kind.
    pub(crate) patterns: BTreeMap<String, String>,
}

/// The source of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogSource {
    /// The local log store in this folder (`logs/` of the state directory).
    Local(PathBuf),
    /// JSONL files, in the order given.
    Files(Vec<PathBuf>),
    /// Standard input.
    Stdin,
    /// An index of Elasticsearch or OpenSearch.
    Elasticsearch(Box<IndexAt>),
}

impl LogSource {
    /// Returns the word for it in manifests.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            LogSource::Local(_) => "local",
            LogSource::Files(_) => "jsonl",
            LogSource::Stdin => "stdin",
            LogSource::Elasticsearch(_) => "elasticsearch",
        }
    }
}

/// The address of an index and the names of the environment variables with its credentials. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IndexAt {
    /// Base URL of the server.
    pub(crate) url: String,
    pub(crate) index: String,
    /// The variable with an encoded API key. `None` stands for the usual variable, if it is set.
    pub(crate) api_key_env: Option<String>,
    /// The variable with a user name for basic authentication.
    pub(crate) username_env: Option<String>,
    /// The variable with the password.
    pub(crate) password_env: Option<String>,
    /// Absolute path of a PEM file with the certificate authority of the server.
    pub(crate) ca_cert: Option<PathBuf>,
    /// Checks the certificate of the server.
    #[serde(default = "yes")]
    pub(crate) verify: bool,
    /// Milliseconds allowed for one call.
    #[serde(default = "two_minutes")]
    pub(crate) timeout_ms: u64,
    /// Paths of the fields in its documents, as in the request.
    #[serde(default)]
    pub(crate) fields: Fields,
}

fn yes() -> bool {
    true
}

fn two_minutes() -> u64 {
    120_000
}

impl Default for IndexAt {
    fn default() -> IndexAt {
        IndexAt {
            url: String::new(),
            index: String::new(),
            api_key_env: None,
            username_env: None,
            password_env: None,
            ca_cert: None,
            verify: true,
            timeout_ms: two_minutes(),
            fields: Fields::default(),
        }
    }
}

/// Dotted paths of the five fields of a record in a document. `None` stands for the field's own name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fields {
    pub(crate) timestamp: Option<String>,
    pub(crate) workload_id: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) request: Option<String>,
    pub(crate) response: Option<String>,
}

impl Fields {
    /// Returns each field with its path, if that is not the field's own name.
    pub(crate) fn all(&self) -> [(&'static str, Option<&str>); 5] {
        [
            ("timestamp", self.timestamp.as_deref()),
            ("workload_id", self.workload_id.as_deref()),
            ("client_id", self.client_id.as_deref()),
            ("request", self.request.as_deref()),
            ("response", self.response.as_deref()),
        ]
    }

    /// Returns true if every field has its own name as its path.
    pub(crate) fn are_own(&self) -> bool {
        self.all().iter().all(|(name, path)| path.is_none_or(|path| path == *name))
    }

    /// Returns the path of a field.
    pub(crate) fn path<'a>(&'a self, name: &'a str) -> &'a str {
        self.all().into_iter().find(|(field, _)| *field == name).and_then(|(_, path)| path).unwrap_or(name)
    }
}

impl std::fmt::Display for IndexAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.url, self.index)
    }
}

/// Selects records. A part that is `None` or empty lets all pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Filter {
    /// `None` stands for the only workload. Several are an error then.
    pub(crate) workload: Option<String>,
    pub(crate) clients: Vec<String>,
    /// Epoch seconds, inclusive.
    pub(crate) since: Option<i64>,
    /// Epoch seconds, exclusive.
    pub(crate) until: Option<i64>,
    /// Leaves out answers that people rated as bad.
    #[serde(default)]
    pub(crate) without_bad: bool,
}

impl Filter {
    /// Returns true if a record is selected, whatever people thought of its answer.
    pub(crate) fn passes(&self, record: &Record<'_>) -> bool {
        let Filter { workload, clients, since, until, without_bad: _ } = self;
        workload.as_deref().is_none_or(|wanted| wanted == record.workload)
            && (clients.is_empty() || clients.iter().any(|client| *client == record.client))
            && since.is_none_or(|since| record.timestamp >= since)
            && until.is_none_or(|until| record.timestamp < until)
    }
}

/// The workload type as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TypeChoice {
    /// The records decide.
    Auto,
    /// Each reply holds one label.
    Classification,
    /// Each reply holds tool calls.
    ToolCalling,
    /// Replies are texts.
    Text,
}

/// The rules for reading the label of a record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LabelRules {
    /// The allowed labels. `None` allows any.
    pub(crate) allowed: Option<Vec<String>>,
    /// A regular expression whose first group, or whole match, is the label. `None` reads double square brackets.
    pub(crate) pattern: Option<String>,
}

/// The checked values of `data_split_config`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SplitRules {
    /// Exact number of rows of the eval set.
    pub(crate) eval_size: usize,
    /// Share of the other rows that becomes the validation set.
    pub(crate) val_ratio: f64,
    /// The smallest number of kept records.
    pub(crate) min_total_records: usize,
    pub(crate) random_seed: u64,
    /// The largest number of records after dedup. `None` keeps all.
    pub(crate) limit: Option<usize>,
    /// The largest number of records of a client after dedup. `None` keeps all.
    #[serde(default)]
    pub(crate) limit_per_client: Option<usize>,
    /// Gives rows the arguments of tool calls in the form that each place needs.
    pub(crate) parse_function_arguments: bool,
    /// Keeps the thoughts of replies in training rows.
    #[serde(default)]
    pub(crate) train_on_thoughts: bool,
    pub(crate) stratify_enabled: bool,
    /// A class with fewer records counts as rare.
    pub(crate) min_samples_per_class: usize,
    /// Classes with at most this many records share one pool.
    pub(crate) rare_class_threshold: usize,
    /// The way in which eval rows are told from the others.
    #[serde(default)]
    pub(crate) split: SplitBy,
    /// Seconds between the newest training row and the oldest eval row of a split by time.
    #[serde(default)]
    pub(crate) embargo_s: u64,
    /// The largest number of training rows of a class. `None` keeps all.
    #[serde(default)]
    pub(crate) max_per_class: Option<usize>,
    /// Similarity from which texts are near-copies. `None` looks for none beyond equal normal forms.
    #[serde(default)]
    pub(crate) near_duplicate_threshold: Option<f64>,
}

impl SplitRules {
    /// Returns the rules that tests and benches start from.
    pub(crate) fn for_tests(eval_size: usize) -> SplitRules {
        SplitRules {
            eval_size,
            val_ratio: 0.1,
            min_total_records: 2,
            random_seed: 42,
            limit: None,
            limit_per_client: None,
            parse_function_arguments: true,
            train_on_thoughts: false,
            stratify_enabled: true,
            min_samples_per_class: 2,
            rare_class_threshold: 1,
            split: SplitBy::Random,
            embargo_s: 0,
            max_per_class: None,
            near_duplicate_threshold: None,
        }
    }
}

/// The way in which eval rows are told from the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SplitBy {
    /// They are drawn, class by class.
    #[default]
    Random,
    /// They are the newest.
    Temporal,
}
