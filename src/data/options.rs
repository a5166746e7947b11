//! What the configuration decides about records and datasets: option types only, no behaviour.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::data::record::Record;

/// Which records become datasets, and by what rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetRequest {
    /// Where the records come from.
    pub input: LogSource,
    /// Where the fields of a record stand in documents of another shape; the local log store has none.
    #[serde(default)]
    pub fields: Fields,
    /// Which of them.
    pub filter: Filter,
    /// What kind of task the workload is.
    pub workload_type: TypeChoice,
    /// How the label of a record is read.
    pub labels: LabelRules,
    /// How the kept records are divided.
    pub split: SplitRules,
}

/// Where records come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogSource {
    /// The local log store below this folder (`logs/` of the state directory).
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
    pub fn word(&self) -> &'static str {
        match self {
            LogSource::Local(_) => "local",
            LogSource::Files(_) => "jsonl",
            LogSource::Stdin => "stdin",
            LogSource::Elasticsearch(_) => "elasticsearch",
        }
    }
}

/// Where an index is and which environment variables open it: names only, no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexAt {
    /// Base URL of the server.
    pub url: String,
    /// The index.
    pub index: String,
    /// The variable with an encoded API key; `None`: the usual one, if it is set.
    pub api_key_env: Option<String>,
    /// The variable with a user name for basic authentication.
    pub username_env: Option<String>,
    /// The variable with its password.
    pub password_env: Option<String>,
    /// A PEM file with the certificate authority of the server, absolute.
    pub ca_cert: Option<PathBuf>,
    /// Whether the certificate of the server is looked at.
    #[serde(default = "yes")]
    pub verify: bool,
    /// Milliseconds that one call may take.
    #[serde(default = "two_minutes")]
    pub timeout_ms: u64,
    /// Where the fields of a record stand in its documents: what the request has.
    #[serde(default)]
    pub fields: Fields,
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

/// Where the five fields of a record stand in a document, as dotted paths; `None`: under the field's own name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fields {
    /// Path of the time.
    pub timestamp: Option<String>,
    /// Path of the workload.
    pub workload_id: Option<String>,
    /// Path of the client.
    pub client_id: Option<String>,
    /// Path of the request.
    pub request: Option<String>,
    /// Path of the response.
    pub response: Option<String>,
}

impl Fields {
    /// Each field with its path, if it has another than its own name.
    pub fn all(&self) -> [(&'static str, Option<&str>); 5] {
        [
            ("timestamp", self.timestamp.as_deref()),
            ("workload_id", self.workload_id.as_deref()),
            ("client_id", self.client_id.as_deref()),
            ("request", self.request.as_deref()),
            ("response", self.response.as_deref()),
        ]
    }

    /// Whether every field stands where a record has it.
    pub fn are_own(&self) -> bool {
        self.all().iter().all(|(name, path)| path.is_none_or(|path| path == *name))
    }

    /// The path of the field with this name.
    pub fn path<'a>(&'a self, name: &'a str) -> &'a str {
        self.all().into_iter().find(|(field, _)| *field == name).and_then(|(_, path)| path).unwrap_or(name)
    }
}

impl std::fmt::Display for IndexAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.url, self.index)
    }
}

/// Which records: everything left `None` or empty lets all pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// The one workload; `None`: the only one there is, an error when there are several.
    pub workload: Option<String>,
    /// Client ids; empty: all.
    pub clients: Vec<String>,
    /// Epoch seconds, inclusive.
    pub since: Option<i64>,
    /// Epoch seconds, exclusive.
    pub until: Option<i64>,
}

impl Filter {
    /// Returns whether a record is one of those that are wanted.
    pub fn passes(&self, record: &Record<'_>) -> bool {
        let Filter { workload, clients, since, until } = self;
        workload.as_deref().is_none_or(|wanted| wanted == record.workload)
            && (clients.is_empty() || clients.iter().any(|client| *client == record.client))
            && since.is_none_or(|since| record.timestamp >= since)
            && until.is_none_or(|until| record.timestamp < until)
    }
}

/// What the configuration says about the kind of task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TypeChoice {
    /// Decided from the records.
    Auto,
    /// Each reply holds one label.
    Classification,
    /// Each reply holds tool calls.
    ToolCalling,
}

/// How the label of a record is read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LabelRules {
    /// The allowed labels; `None`: any.
    pub allowed: Option<Vec<String>>,
    /// A regular expression whose first group (or whole match) is the label; `None`: what stands in double or more
    /// square brackets.
    pub pattern: Option<String>,
}

/// `data_split_config`, checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitRules {
    /// Rows of the eval set, exactly.
    pub eval_size: usize,
    /// Share of the rest that becomes the validation set.
    pub val_ratio: f64,
    /// Fewer kept records than this are refused.
    pub min_total_records: usize,
    /// Seed of everything drawn.
    pub random_seed: u64,
    /// At most this many records after dedup; `None`: all.
    pub limit: Option<usize>,
    /// Turn string arguments of tool calls into objects where rows need them.
    pub parse_function_arguments: bool,
    /// Class-aware splitting.
    pub stratify_enabled: bool,
    /// A class with fewer records than this is treated as rare.
    pub min_samples_per_class: usize,
    /// Classes at or below this many records are pooled for stratification.
    pub rare_class_threshold: usize,
}
