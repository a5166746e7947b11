//! What can go wrong with a search server, by kind: what else decides on it reads the kind, never the text.

use std::fmt;
use std::time::Duration;

/// Why a search server could not be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ElasticError {
    /// No connection, or one that broke off.
    #[error("{call}: {why}")]
    Unreachable {
        /// Method and URL.
        call: String,
        /// What the connection said.
        why: String,
    },
    /// No whole answer in the time that the call may take.
    #[error("{call}: no full answer within {} s{}", after.as_secs_f64(), tries(*times))]
    Late {
        /// Method and URL.
        call: String,
        /// How long each try was waited for.
        after: Duration,
        /// How often it was tried in a row.
        times: u32,
        /// Whether `logs.elasticsearch.timeout` gives it more time.
        raisable: bool,
    },
    /// 401 or 403.
    #[error("{call}: the server refuses access ({status})")]
    Refused {
        /// Method and URL.
        call: String,
        /// The status.
        status: u16,
    },
    /// Any other status that is no success.
    #[error("{call}: {problem}")]
    Answer {
        /// Method and URL.
        call: String,
        /// What the server said.
        problem: ServerProblem,
    },
    /// An answer that is not Elasticsearch's.
    #[error("{call}: the answer is {what}; this is not Elasticsearch or OpenSearch")]
    Foreign {
        /// Method and URL.
        call: String,
        /// What came instead.
        what: &'static str,
    },
    /// The index is not there.
    #[error("there is no index {index} on {server}")]
    NoIndex {
        /// Its name.
        index: String,
        /// Name, version and address.
        server: String,
    },
    /// The mapping of the index does not admit log records.
    #[error("the index {index} cannot hold log records: {why}")]
    Mapping {
        /// Its name.
        index: String,
        /// What is in the way.
        why: String,
    },
    /// What the documents of an index hold cannot be told.
    #[error("the documents of the index {index} cannot be read as log records: {why}")]
    Unclear {
        /// Its name.
        index: String,
        /// What is in the way.
        why: String,
    },
    /// The server answers, but not all of the index is there.
    #[error("{server} has not all of the index {index}: its health is red, {why}")]
    Unhealthy {
        /// The name of the index.
        index: String,
        /// Name, version and address.
        server: String,
        /// How much of it is missing.
        why: String,
    },
    /// The certificate of the server is not trusted.
    #[error("{call}: the certificate of the server is not trusted: {why}")]
    Untrusted {
        /// Method and URL.
        call: String,
        /// What is wrong with it.
        why: String,
    },
    /// The server has dropped what it was reading from again and again.
    #[error("the server has lost the search context {times} times without handing out a record")]
    Lost {
        /// How often in a row.
        times: u32,
    },
    /// The reading was asked to end.
    #[error("the reading was asked to end")]
    Stopped,
    /// The settings do not make a client.
    #[error("{0}")]
    Setup(String),
}

/// An error as the server words it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerProblem {
    /// The HTTP status.
    pub status: u16,
    /// Such as `search_context_missing_exception`; empty when it names none.
    pub kind: String,
    /// Its sentence.
    pub reason: String,
}

impl fmt::Display for ServerProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server answered {}", self.status)?;
        match (self.kind.is_empty(), self.reason.is_empty()) {
            (false, false) => write!(f, " ({}): {}", self.kind, self.reason),
            (false, true) => write!(f, " ({})", self.kind),
            (true, false) => write!(f, ": {}", self.reason),
            (true, true) => Ok(()),
        }
    }
}

fn tries(times: u32) -> String {
    if times > 1 { format!(", in none of {times} tries; given up") } else { "; given up".to_owned() }
}

impl ElasticError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            ElasticError::Late { raisable: true, .. } => {
                "raise logs.elasticsearch.timeout if the server may take longer; its own log says what it is busy with"
            }
            ElasticError::Unreachable { .. } | ElasticError::Late { .. } | ElasticError::Foreign { .. } => {
                "check logs.elasticsearch.url (or ELASTICSEARCH_URL), with https where the server has TLS, and that the \
                 server is up"
            }
            ElasticError::Untrusted { .. } => {
                "set logs.elasticsearch.ca_cert to the PEM file of the authority that has signed it, and use a host name \
                 that it names"
            }
            ElasticError::Refused { status: 403, .. } => {
                "the key or user has to be allowed to read the index and its mapping, and for `dfwfd load` to create it \
                 and to write"
            }
            ElasticError::Refused { .. } => {
                "set ELASTICSEARCH_API_KEY, or name the variables of user and password in logs.elasticsearch.username_env \
                 and password_env"
            }
            ElasticError::Unclear { .. } => {
                "logs.fields says where the time and the other fields of a record stand in the documents"
            }
            ElasticError::Unhealthy { .. } => {
                "`GET /_cluster/allocation/explain` says what its shards wait for; often a disk is full"
            }
            ElasticError::Answer { .. } | ElasticError::Lost { .. } => "the server's own log says more",
            ElasticError::NoIndex { .. } => "`dfwfd load FILE` makes it; logs.elasticsearch.index names another",
            ElasticError::Mapping { .. } => "name another index in logs.elasticsearch.index; the first load makes it",
            ElasticError::Stopped => "nothing was written; start it again",
            ElasticError::Setup(_) => "see logs.elasticsearch in docs/configuration.md",
        }
    }

    /// Whether the settings are to blame, not the server.
    pub fn is_usage(&self) -> bool {
        matches!(self, ElasticError::Setup(_) | ElasticError::Mapping { .. } | ElasticError::Unclear { .. })
    }

    /// Whether there is nothing to read.
    pub fn is_missing(&self) -> bool {
        matches!(self, ElasticError::NoIndex { .. })
    }

    /// Whether the same call may succeed a little later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            ElasticError::Unreachable { .. } | ElasticError::Late { .. } => true,
            ElasticError::Answer { problem, .. } => matches!(problem.status, 429 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// Whether the server no longer knows what it was asked to go on with.
    pub(crate) fn is_lost_context(&self) -> bool {
        matches!(self, ElasticError::Answer { problem, .. } if problem.status == 404)
    }

    /// Whether the server says that there is no such index.
    pub(crate) fn is_no_index(&self) -> bool {
        matches!(self, ElasticError::Answer { problem, .. } if problem.kind == "index_not_found_exception")
    }

    /// Whether an index is there already.
    pub(crate) fn is_existing_index(&self) -> bool {
        matches!(self, ElasticError::Answer { problem, .. } if problem.kind == "resource_already_exists_exception")
    }

    /// Whether the request was larger than the server takes.
    pub(crate) fn is_too_large(&self) -> bool {
        matches!(self, ElasticError::Answer { problem, .. } if problem.status == 413)
    }
}
