//! The checks of `dfwfd doctor`: everything that a run needs, each part looked at by itself, so that one fault does not hide
//! the next. Creates nothing, neither here nor on a platform.

mod logs;
mod machine;
mod platform;
mod state;

use std::fmt;

use crate::config::env::Environment;
use crate::config::plan::Plan;
use crate::config::secret_variables;
use crate::error::{self, Exit};
use crate::nemo::Secret;
use crate::remote_text::SHORTEST_SECRET;
use crate::report::json::{Check, CheckState};
use crate::store::Store;

pub(crate) use machine::check_gpus;
pub(crate) use state::StateDir;

/// The parts of the page, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Configuration,
    StateDirectory,
    Logs,
    Machine,
    Platform,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Section::Configuration => "configuration",
            Section::StateDirectory => "state directory",
            Section::Logs => "logs",
            Section::Machine => "machine",
            Section::Platform => "platform",
        })
    }
}

impl Section {
    fn check(self, state: CheckState, subject: &str, detail: impl Into<String>) -> Check {
        Check {
            section: self.to_string(),
            subject: subject.to_owned(),
            state,
            detail: detail.into(),
            remedy: None,
            exit_code: 0,
        }
    }

    /// Returns a check that found nothing wrong.
    pub(crate) fn ok(self, subject: &str, detail: impl Into<String>) -> Check {
        self.check(CheckState::Ok, subject, detail)
    }

    /// Returns a check that was not made, with the reason.
    pub(crate) fn skipped(self, subject: &str, reason: impl Into<String>) -> Check {
        self.check(CheckState::Skipped, subject, reason)
    }

    /// Returns a check that found something which does not stop a run.
    pub(crate) fn warning(self, subject: &str, detail: impl Into<String>, remedy: impl Into<String>) -> Check {
        Check { remedy: Some(remedy.into()), ..self.check(CheckState::Warning, subject, detail) }
    }

    /// Returns a check that found what would stop a run. The hint of the error is the remedy, else `remedy` is.
    pub(crate) fn failed(self, subject: &str, error: &anyhow::Error, remedy: &str) -> Check {
        let (exit, hint) = error::classify(error);
        // A failure without a code of its own is mended where the user decides: in a file, a flag or a folder.
        let exit = if exit == Exit::Failed { Exit::Usage } else { exit };
        Check {
            remedy: Some(hint.unwrap_or_else(|| remedy.to_owned())),
            exit_code: exit.code(),
            ..self.check(CheckState::Failed, subject, format!("{error:#}"))
        }
    }
}

/// The things that the checks of a plan look at.
pub(crate) struct Surroundings<'a> {
    pub environment: &'a Environment,
    /// `None`: nothing has run yet, or the database cannot be opened.
    pub store: Option<&'a Store>,
    /// The key of a remote judge.
    pub judge_key: Option<&'a Secret>,
    /// The key of a remote embedding model.
    pub embedding_key: Option<&'a Secret>,
}

/// Checks what a plan needs beside its files: its records, this machine, and its platform.
pub(crate) async fn check_plan(plan: &Plan, around: &Surroundings<'_>) -> Vec<Check> {
    let mut checks = logs::check(plan, around.environment).await;
    checks.push(check_gpus());
    let (budget, check) = machine::check_budget(plan);
    checks.push(check);
    checks.extend(platform::check(plan, budget.as_ref(), around).await);
    checks
}

/// Tells which variables with the secrets of a plan are set, and where. Never shows a value.
pub(crate) fn check_variables(plan: &Plan, environment: &Environment) -> Vec<Check> {
    let part = Section::Configuration;
    let check = |name: String| {
        let subject = format!("variable {name}");
        match environment.get(&name) {
            Some(value) if value.trim().chars().count() < SHORTEST_SECRET => part.warning(
                &subject,
                format!("has fewer than {SHORTEST_SECRET} characters, too few to be told from ordinary words"),
                "use a longer secret: this one is not hidden where a service repeats it",
            ),
            Some(_) if environment.is_from_file(&name) => part.ok(&subject, "is set, in the .env file"),
            Some(_) => part.ok(&subject, "is set"),
            // A configuration without a variable that it needs is refused before.
            None => part.skipped(&subject, "is not set, and this configuration does not need it"),
        }
    };
    secret_variables(plan).into_iter().map(check).collect()
}

/// Returns the exit code of the worst check.
pub(crate) fn exit(checks: &[Check]) -> Exit {
    let worst = [Exit::Usage, Exit::Service, Exit::Data];
    worst.into_iter().find(|exit| checks.iter().any(|check| check.exit_code == exit.code())).unwrap_or(Exit::Done)
}
