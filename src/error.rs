//! The exit code of every error, and the hint of what to type next. docs/exit-codes.md has the codes.

use std::fmt;

use crate::config::Problems;
use crate::nemo::{ApiError, ErrorKind};
use crate::platform::{Unfit, Unset};
use crate::run::End;
use crate::run::lock::Locked;
use crate::run::obstacle::{IF_OTHERS, Obstacle};
use crate::run::signals::Interrupted;
use crate::run::wait::{TooLong, Unlisted};
use crate::source::ElasticError;
use crate::source::dataset::Unusable;
use crate::source::input::InputError;
use crate::source::load::UnclearTable;
use crate::store::StoreError;
use crate::vocabulary::RunState;

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Exit {
    Done,
    /// Failed for a reason without a code of its own.
    Failed,
    /// The command line or the configuration is wrong.
    Usage,
    /// A service is unreachable or refuses.
    Service,
    /// The run finished, but some candidates failed.
    Partial,
    /// A quality gate was missed.
    Gate,
    /// The records cannot be used.
    Data,
    /// Another run holds the lock or the platform.
    Locked,
    Cancelled,
    /// The code of the command that `serve` ran.
    Child(u8),
}

impl Exit {
    /// Returns the number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Service => 3,
            Exit::Partial => 4,
            Exit::Gate => 5,
            Exit::Data => 6,
            Exit::Locked => 75,
            Exit::Cancelled => 130,
            Exit::Child(code) => code,
        }
    }
}

/// An error with its exit code and its hint. It stands at the bottom of a chain.
#[derive(Debug)]
pub struct Fault {
    pub exit: Exit,
    pub message: String,
    /// The command or setting to try next.
    pub hint: Option<String>,
}

impl Fault {
    /// Returns an error without a hint.
    pub fn new(exit: Exit, message: impl Into<String>) -> Fault {
        Fault { exit, message: message.into(), hint: None }
    }

    /// Adds what to type next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Fault {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// Returns the exit code and the hint of an error. The types in its chain decide, never its text.
pub fn classify(error: &anyhow::Error) -> (Exit, Option<String>) {
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return (fault.exit, fault.hint.clone());
    }
    if error.is::<Interrupted>() {
        // Whoever knows the run names the one to continue.
        return (Exit::Cancelled, None);
    }
    if let Some(problems) = error.downcast_ref::<Problems>() {
        return (Exit::Usage, problems.hint());
    }
    if let Some(locked) = error.downcast_ref::<Locked>() {
        let run = locked.run.as_deref().map(|run| format!(" {run}")).unwrap_or_default();
        return (Exit::Locked, Some(format!("--wait waits until it ends; `dfwfd cancel{run}` stops it")));
    }
    if let Some(obstacle) = error.downcast_ref::<Obstacle>() {
        return obstacle_exit(obstacle);
    }
    if let Some(unusable) = error.downcast_ref::<Unusable>() {
        let exit = if unusable.is_usage() { Exit::Usage } else { Exit::Data };
        return (exit, Some(unusable.hint()));
    }
    if let Some(input) = error.downcast_ref::<InputError>() {
        let exit = match input {
            input if input.is_usage() => Exit::Usage,
            input if input.is_data() => Exit::Data,
            _ => Exit::Failed,
        };
        return (exit, input.hint());
    }
    if let Some(unclear) = error.downcast_ref::<UnclearTable>() {
        return (Exit::Usage, Some(unclear.hint()));
    }
    if let Some(known) = error.downcast_ref::<ApiError>().and_then(api_exit) {
        return known;
    }
    if let Some(elastic) = error.downcast_ref::<ElasticError>() {
        let exit = match elastic {
            elastic if elastic.is_usage() => Exit::Usage,
            elastic if elastic.is_missing() => Exit::Data,
            _ => Exit::Service,
        };
        return (exit, Some(elastic.hint().to_owned()));
    }
    if error.is::<Unset>() {
        return (
            Exit::Usage,
            Some("set it in the environment or in a .env file beside the configuration file".to_owned()),
        );
    }
    if error.is::<Unfit>() {
        return (Exit::Usage, Some("set it to one line of text".to_owned()));
    }
    if let Some(store) = error.downcast_ref::<StoreError>() {
        return (Exit::Failed, store.hint().map(str::to_owned));
    }
    (Exit::Failed, hint_of_wait(error))
}

/// Returns what to do about a wait that was too long.
fn hint_of_wait(error: &anyhow::Error) -> Option<String> {
    if let Some(unlisted) = error.downcast_ref::<Unlisted>() {
        return Some(format!(
            "check that nmp_config.nim_base_url is the NIM proxy of this platform, without a cache before it: `curl \
             NIM_BASE_URL/v1/models` must list {}",
            unlisted.model
        ));
    }
    let long = error.downcast_ref::<TooLong>()?;
    Some(format!("raise limits.{} to wait longer", long.key))
}

fn api_exit(error: &ApiError) -> Option<(Exit, Option<String>)> {
    let hint = if error.kind == ErrorKind::Untrusted {
        "set nmp_config.ca_cert to the PEM file of the authority that signed the certificate, and use a host name in it"
    } else if error.is_of_link() && error.is_unreachable() {
        "the Data Store handed out this link: have it hand out links with a host name that this machine reaches, and \
         check that both clocks are right, for a link expires"
    } else if error.status() == Some(413) {
        "raise the largest body that the proxy in front of the service takes, such as client_max_body_size of nginx"
    } else if error.is_refused() && error.is_of_proxy() {
        "ask the operator of the ingress or proxy in front of the service why it refuses; if it wants a key, set \
         nmp_config.api_key_env to the name of a variable that holds one"
    } else if error.is_refused() {
        "set nmp_config.api_key_env to the name of a variable that holds a valid key"
    } else if error.is_unreachable() {
        "check the base URLs in nmp_config, and that the cluster is up"
    } else {
        return None;
    };
    Some((Exit::Service, Some(hint.to_owned())))
}

fn hint_of_foreign_base(id: &str) -> String {
    let workspace = id.split('/').next().unwrap_or_default();
    format!(
        "set nmp_config.nmp_namespace to {workspace}, or base_model to an entity of your workspace, or \
         customization_enabled: false to only evaluate it"
    )
}

fn hint_of_same_model(candidate: Option<&str>) -> String {
    match candidate {
        Some(candidate) => format!("set base_model of {candidate} to another name, or take it out of the plan"),
        None => "give the judge or the embedding model another model_name".to_owned(),
    }
}

fn obstacle_exit(obstacle: &Obstacle) -> (Exit, Option<String>) {
    let (exit, hint) = match obstacle {
        Obstacle::AllBusy => (Exit::Service, "wait until a GPU is free, or set `gpus` to the number to use".to_owned()),
        Obstacle::TooSmall { .. } => {
            (Exit::Usage, "raise `gpus`, or lower the GPUs of the candidate or of the judge".to_owned())
        }
        Obstacle::NoStudent { .. } => (Exit::Usage, "with --rehearse a student stands in for any model".to_owned()),
        Obstacle::NoTarget { enabled, .. } => (
            Exit::Usage,
            match enabled.len() {
                0 => "ask the administrator of the Customizer to enable a target: none is".to_owned(),
                _ => format!("set customizer_configs.target to one of: {}", enabled.join(", ")),
            },
        ),
        Obstacle::NoBaseModel { .. } => (
            Exit::Usage,
            "set base_model of the candidate to a model entity, or base_model_repository to what it is made from"
                .to_owned(),
        ),
        Obstacle::ForeignBase { id, .. } => (Exit::Usage, hint_of_foreign_base(id)),
        Obstacle::SameModel { candidate, .. } => (Exit::Usage, hint_of_same_model(candidate.as_deref())),
        Obstacle::Namespace { .. } => (Exit::Usage, "set nmp_config.nmp_namespace to such a name".to_owned()),
        Obstacle::OtherModel { model, fitting, .. } => (
            Exit::Usage,
            match fitting.len() {
                0 => format!(
                    "set customizer_configs.target to a target that trains {model}; the Customizer has none enabled"
                ),
                _ => format!("set customizer_configs.target to {}", fitting.join(" or ")),
            },
        ),
        Obstacle::Judge { error, .. } if error.is_refused() => {
            (Exit::Service, "set LLM_JUDGE_API_KEY to a valid key of the judge".to_owned())
        }
        Obstacle::Judge { .. } => (
            Exit::Service,
            "check llm_judge_config.url and model_name, or set evaluation_config.tool_eval_type to tool-calling-metric"
                .to_owned(),
        ),
        Obstacle::Embedding { error, .. } if error.is_refused() => {
            (Exit::Service, "set EMB_API_KEY to a valid key of the embedding model".to_owned())
        }
        Obstacle::Embedding { .. } => (
            Exit::Service,
            "check url and model_name of icl_config.similarity_config.embedding_nim_config, or set \
             icl_config.example_selection to uniform_distribution"
                .to_owned(),
        ),
        Obstacle::Operator { .. } => {
            (Exit::Usage, "use it with --adopt, which never deletes it, or delete it first".to_owned())
        }
        Obstacle::Others { .. } => (Exit::Locked, IF_OTHERS.to_owned()),
    };
    (exit, Some(hint))
}

/// The exit codes of errors, the strongest first.
const STRENGTH: [Exit; 5] = [Exit::Usage, Exit::Locked, Exit::Service, Exit::Data, Exit::Failed];

/// Returns the exit code of a run that has ended.
pub(crate) fn of_run(end: &End) -> Exit {
    let codes = || end.errors.iter().map(|error| classify(error).0);
    match end.state {
        RunState::Completed => Exit::Done,
        RunState::Partial => Exit::Partial,
        RunState::Cancelled => Exit::Cancelled,
        // A run that has ended is neither running nor interrupted.
        RunState::Failed | RunState::Running | RunState::Interrupted => {
            STRENGTH.into_iter().find(|strong| codes().any(|code| code == *strong)).unwrap_or(Exit::Failed)
        }
    }
}
