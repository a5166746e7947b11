//! Errors of a search server. Callers branch on the kind, never on the message.

use std::fmt;
use std::time::Duration;

/// The reason why a search server cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ElasticError {
    /// There is no connection, or it broke off.
    #[error("{request}: {why}")]
    Unreachable { request: String, why: String },
    /// The full response did not come in time.
    #[error("{request}: no full response within {} s{}", after.as_secs_f64(), tries(*times))]
    Late {
        request: String,
        /// The time limit of each try.
        after: Duration,
        /// The number of tries in a row.
        times: u32,
        /// True if `logs.elasticsearch.timeout` raises the limit.
        raisable: bool,
    },
    /// 401 or 403.
    #[error("{request}: the server refuses access ({status})")]
    Refused { request: String, status: u16 },
    /// The server answered with another error status.
    #[error("{request}: {problem}")]
    Answer { request: String, problem: ServerProblem },
    /// The response is not one of a search server.
    #[error("{request}: the response is {what}, so this is not Elasticsearch or OpenSearch")]
    Foreign { request: String, what: &'static str },
    /// The index does not exist.
    #[error("there is no index {index} on {server}")]
    NoIndex {
        index: String,
        /// Product, version and address.
        server: String,
    },
    /// The mapping of the index does not allow log records.
    #[error("cannot store log records in index {index}: {why}")]
    Mapping { index: String, why: String },
    /// The server does not give lists of objects back as they were sent.
    #[error(
        "cannot keep log records in index {index}: it has {setting}, so {field} comes back without the order of its messages"
    )]
    Scrambled {
        index: String,
        /// The setting, as `name: value`.
        setting: String,
        field: String,
    },
    /// The documents of the index are not clearly log records.
    #[error("cannot read the documents of index {index} as log records: {why}")]
    Unclear { index: String, why: String },
    /// The server lacks a part of the index.
    #[error("the health of index {index} on {server} is red: {why}")]
    Unhealthy {
        index: String,
        /// Product, version and address.
        server: String,
        why: String,
    },
    #[error("{request}: the certificate of the server is not trusted: {why}")]
    Untrusted { request: String, why: String },
    /// The server has lost the search context again and again.
    #[error("the server has lost the search context {times} times in a row without returning a record")]
    Lost { times: u32 },
    /// The caller has cancelled the reading.
    #[error("reading was cancelled")]
    Stopped,
    /// The settings do not allow a client.
    #[error("{0}")]
    Setup(String),
}

/// An error in the words of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerProblem {
    pub(crate) status: u16,
    /// Such as `search_context_missing_exception`. Empty when the server names none.
    pub(crate) kind: String,
    pub(crate) reason: String,
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
    if times > 1 { format!(" in any of {times} tries") } else { String::new() }
}

impl ElasticError {
    /// Returns what the user can do about the error.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            ElasticError::Late { raisable: true, .. } => {
                "raise logs.elasticsearch.timeout, or read the server's log to see why it is slow"
            }
            ElasticError::Unreachable { .. } | ElasticError::Late { .. } | ElasticError::Foreign { .. } => {
                "check logs.elasticsearch.url (or ELASTICSEARCH_URL; https if the server uses TLS), and that the server \
                 is running"
            }
            ElasticError::Untrusted { .. } => {
                "set logs.elasticsearch.ca_cert to the PEM file of the authority that signed the certificate, and use a \
                 host name in the certificate"
            }
            ElasticError::Refused { status: 403, .. } => {
                "give the key or user the privileges read and view_index_metadata on the index, and for dfwfd load \
                 create_index and write"
            }
            ElasticError::Refused { .. } => {
                "set ELASTICSEARCH_API_KEY, or name the variables of user and password in logs.elasticsearch.username_env \
                 and password_env"
            }
            ElasticError::Unclear { .. } => {
                "set logs.fields to the paths of the time and the other record fields in the documents"
            }
            ElasticError::Unhealthy { .. } => {
                "ask the server for GET /_cluster/allocation/explain; often a disk is full"
            }
            ElasticError::Answer { .. } | ElasticError::Lost { .. } => "read the server's log for the cause",
            ElasticError::NoIndex { .. } => {
                "create it with dfwfd load FILE, or name another index in logs.elasticsearch.index"
            }
            ElasticError::Mapping { .. } => "name a new index in logs.elasticsearch.index; dfwfd load FILE creates it",
            ElasticError::Scrambled { .. } => {
                "load the log files into a new index: dfwfd load FILE creates one that keeps request and response as they \
                 are ({\"type\": \"object\", \"enabled\": false}); index.mapping.source.mode: stored keeps whole documents"
            }
            ElasticError::Stopped => "nothing was written; run the command again",
            ElasticError::Setup(_) => "see logs.elasticsearch in docs/configuration.md",
        }
    }

    /// Returns true if the settings are wrong, not the server.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(
            self,
            ElasticError::Setup(_)
                | ElasticError::Mapping { .. }
                | ElasticError::Scrambled { .. }
                | ElasticError::Unclear { .. }
        )
    }

    /// Returns true if there is nothing to read.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, ElasticError::NoIndex { .. })
    }

    /// Returns true if a retry can succeed.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            ElasticError::Unreachable { .. } | ElasticError::Late { .. } => true,
            ElasticError::Answer { problem, .. } => matches!(problem.status, 429 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// Returns true if the server has lost the search context.
    pub(crate) fn is_lost_context(&self) -> bool {
        matches!(self, ElasticError::Answer { problem, .. } if problem.status == 404)
    }

    /// Returns true if the index does not exist.
    pub(crate) fn is_no_index(&self) -> bool {
        matches!(self, ElasticError::Answer { problem, .. } if problem.kind == "index_not_found_exception")
    }

    /// Returns true if the index exists already.
    pub(crate) fn is_existing_index(&self) -> bool {
        matches!(self, ElasticError::Answer { problem, .. } if problem.kind == "resource_already_exists_exception")
    }

    /// Returns true if the request was larger than the server accepts.
    pub(crate) fn is_too_large(&self) -> bool {
        matches!(self, ElasticError::Answer { problem, .. } if problem.status == 413)
    }
}
