//! Exit codes, and what an error says to its reader beyond its chain: which code it ends with and what to type next.

use std::fmt;

use crate::config::Problems;
use crate::nemo::ApiError;
use crate::platform::Unset;
use crate::run::End;
use crate::run::check::Obstacle;
use crate::run::cx::TooLong;
use crate::run::lock::Locked;
use crate::run::stop::Interrupted;
use crate::source::ElasticError;
use crate::source::dataset::Unusable;
use crate::source::input::InputError;
use crate::source::load::UnclearTable;
use crate::store::StoreError;
use crate::vocabulary::RunState;

/// The exit codes of product section 7, in the order in which the stronger wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Exit {
    /// Done.
    Done,
    /// Failed for a reason that has no code of its own.
    Failed,
    /// Usage or configuration.
    Usage,
    /// A service is unreachable or refuses.
    Service,
    /// Finished, some candidates failed.
    Partial,
    /// A gate was missed.
    Gate,
    /// The data cannot be used.
    Data,
    /// Another run holds the lock.
    Locked,
    /// Cancelled.
    Cancelled,
    /// What a command that was run ended with.
    Child(u8),
}

impl Exit {
    /// The number the process ends with.
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

/// An error that knows its exit code and what to type next. Put it at the bottom of a chain and add context above it.
#[derive(Debug)]
pub struct Fault {
    /// The code that the process ends with.
    pub exit: Exit,
    /// What is wrong.
    pub message: String,
    /// What to type next.
    pub hint: Option<String>,
}

impl Fault {
    /// An error with this code and message, without a hint.
    pub fn new(exit: Exit, message: impl Into<String>) -> Fault {
        Fault { exit, message: message.into(), hint: None }
    }

    /// The same with something to type next.
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

/// The exit code of an error, and what to type next: decided on the types in its chain, never on its text.
pub fn classify(error: &anyhow::Error) -> (Exit, Option<String>) {
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return (fault.exit, fault.hint.clone());
    }
    if error.is::<Interrupted>() {
        return (Exit::Cancelled, Some("`dfwfd run --resume` continues the run".to_owned()));
    }
    if let Some(problems) = error.downcast_ref::<Problems>() {
        return (Exit::Usage, problems.hint());
    }
    if let Some(locked) = error.downcast_ref::<Locked>() {
        let run = locked.run.as_deref().map(|run| format!(" {run}")).unwrap_or_default();
        return (Exit::Locked, Some(format!("wait for it with --wait, or stop it: dfwfd cancel{run}")));
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
    if error.is::<UnclearTable>() {
        return (Exit::Usage, Some("`dfwfd load --help` lists the options for CSV and TSV".to_owned()));
    }
    if let Some(api) = error.downcast_ref::<ApiError>() {
        if api.is_refused() {
            let hint = "set nmp_config.api_key_env to the name of a variable with a valid key";
            return (Exit::Service, Some(hint.to_owned()));
        }
        if api.is_unreachable() {
            return (Exit::Service, Some("check the base URLs under nmp_config and that the cluster is up".to_owned()));
        }
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
        return (Exit::Usage, Some("set it in the environment or in a .env beside the configuration file".to_owned()));
    }
    if let Some(StoreError::Newer { .. }) = error.downcast_ref::<StoreError>() {
        return (Exit::Failed, Some("use the newer dfwfd, or another --state-dir".to_owned()));
    }
    if let Some(long) = error.downcast_ref::<TooLong>() {
        return (Exit::Failed, Some(format!("raise limits.{} if it may take longer", long.key)));
    }
    (Exit::Failed, None)
}

fn obstacle_exit(obstacle: &Obstacle) -> (Exit, Option<String>) {
    let (exit, hint) = match obstacle {
        Obstacle::AllBusy => (Exit::Service, "wait for a GPU, or set `gpus` to the budget that you want".to_owned()),
        Obstacle::TooSmall { .. } => {
            (Exit::Usage, "raise `gpus`, or lower the GPUs of the candidate or the judge".to_owned())
        }
        Obstacle::NoStudent { .. } => (Exit::Usage, "--rehearse lets its students stand in for any model".to_owned()),
        Obstacle::NoTarget { enabled, .. } => (
            Exit::Usage,
            match enabled.len() {
                0 => "no target is enabled: ask the administrator of the customizer".to_owned(),
                _ => format!("set customizer_configs.target to one of: {}", enabled.join(", ")),
            },
        ),
        Obstacle::Judge { error, .. } if error.is_refused() => {
            (Exit::Service, "set LLM_JUDGE_API_KEY to a key that the judge takes".to_owned())
        }
        Obstacle::Judge { .. } => (
            Exit::Service,
            "check llm_judge_config.url and model_name, or set evaluation_config.tool_eval_type: tool-calling-metric"
                .to_owned(),
        ),
        Obstacle::Operator { .. } => {
            (Exit::Usage, "--adopt uses it and never deletes it; or take it down first".to_owned())
        }
        Obstacle::Others { .. } => {
            (Exit::Locked, "wait for it, or run beside it with --share when both fit".to_owned())
        }
    };
    (exit, Some(hint))
}

/// Exit codes of errors, the stronger first.
const STRENGTH: [Exit; 5] = [Exit::Usage, Exit::Locked, Exit::Service, Exit::Data, Exit::Failed];

/// The exit code of a run that has ended.
pub fn of_run(end: &End) -> Exit {
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
