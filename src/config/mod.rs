//! The configuration: flywheel.yaml, flags and environment become one checked plan.
//!
//! `locate` finds the file, `yaml` reads it into a tree of `node`s, `overrides` changes the tree, `check` compares it with the
//! `schema`, and `resolve` makes a [`plan::Plan`] of it, with the `defaults` filled in, or lists every problem. Nothing here
//! talks to a platform or reads a record.

mod candidates;
mod check;
mod defaults;
pub(crate) mod env;
mod icl;
mod judge;
mod locate;
pub(crate) mod mlflow;
mod node;
mod overrides;
mod placeholders;
pub(crate) mod plan;
mod platform;
pub(crate) mod problem;
mod reader;
mod records;
mod resolve;
mod schema;
mod secret_variables;
mod service;
mod teacher;
pub(crate) mod templates;
mod time;
mod values;
mod yaml;

use std::path::{Path, PathBuf};

use env::Environment;
pub(crate) use icl::embedding_key;
pub(crate) use judge::judge_key;
use node::ConfigNode;
use plan::Plan;
pub(crate) use problem::Problems;
use problem::{Location, Problem};
pub(crate) use secret_variables::{known_secrets, secret_variables, unfit_secrets};
pub(crate) use time::duration_ms;

/// Larger files are refused as something else than a configuration.
const LARGEST_FILE: u64 = 256 << 10;

/// The flags that decide what a command does with the configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Invocation {
    pub config: Option<PathBuf>,
    pub state_dir: Option<PathBuf>,
    pub set: Vec<String>,
    /// The files of `--logs`. `-` alone is standard input.
    pub logs: Vec<PathBuf>,
    pub workload: Option<String>,
    pub clients: Vec<String>,
    pub since: Option<String>,
    pub until: Option<String>,
    /// Leaves out answers that people rated as bad.
    pub without_bad: bool,
    pub only: Vec<String>,
    pub rehearse: bool,
    pub measure_latency: bool,
    /// The eval set of an earlier run.
    pub eval_set: Option<PathBuf>,
    /// The file with labels that people gave.
    pub corrections: Option<PathBuf>,
    pub need: Need,
}

/// The part of the configuration that a command needs. Other parts may be missing, but not wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Need {
    /// Only settings such as the log level.
    #[default]
    Settings,
    /// A log store to write to (`load`).
    Store,
    /// Records to read (`split`).
    Data,
    /// Records and candidates, and a platform for them (`run`).
    Candidates,
}

/// The process around an invocation. Tests set their own.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// The absolute path of the working folder.
    pub cwd: PathBuf,
    pub process: Environment,
    pub now: jiff::Timestamp,
    /// The seed for `random_seed: null`.
    pub drawn_seed: u64,
}

impl Surroundings {
    fn of_process() -> Surroundings {
        Surroundings {
            cwd: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            process: Environment::process(),
            now: jiff::Timestamp::now(),
            drawn_seed: u64::from(uuid::Uuid::new_v4().as_fields().0),
        }
    }

    #[cfg(test)]
    fn fixed() -> Surroundings {
        Surroundings {
            cwd: PathBuf::from("/"),
            process: Environment::default(),
            now: jiff::Timestamp::UNIX_EPOCH,
            drawn_seed: 7,
        }
    }
}

/// Returns the plan of an invocation, or every problem of its configuration.
pub(crate) fn load(invocation: &Invocation) -> Result<Plan, Problems> {
    load_in(invocation, &Surroundings::of_process())
}

/// Returns the absolute path of the state directory, even when the rest of the configuration is broken or missing.
pub(crate) fn state_dir(invocation: &Invocation) -> PathBuf {
    locate::state_dir(invocation, &Surroundings::of_process())
}

/// Returns the variables of the process and of the `.env` file beside the configuration.
pub(crate) fn environment(invocation: &Invocation) -> Environment {
    let surroundings = Surroundings::of_process();
    let file = locate::config_file(invocation, &surroundings);
    surroundings.process.clone().beside(file.folder(&surroundings.cwd))
}

/// Returns the names of the variables that would give a key another value than a stored plan has.
pub(crate) fn overriding(invocation: &Invocation, stored: &Plan) -> Vec<String> {
    let environment = environment(invocation);
    let differs = |name: &str, value: &str| {
        let Some(key) = name.strip_prefix(overrides::PREFIX).filter(|key| *key != "STATE_DIR") else { return false };
        let path = overrides::key_path(&key.split("__").collect::<Vec<_>>());
        stored.origins.get(&path).is_none_or(|origin| origin.value != value)
    };
    environment.iter().filter(|(name, value)| differs(name, value)).map(|(name, _)| name.to_owned()).collect()
}

fn load_in(invocation: &Invocation, surroundings: &Surroundings) -> Result<Plan, Problems> {
    let file = locate::config_file(invocation, surroundings);
    let environment = surroundings.process.clone().beside(file.folder(&surroundings.cwd));
    let mut root = match file.path() {
        None => ConfigNode::empty(),
        Some(path) => read(path, &surroundings.cwd).map_err(|problem| Problems::new(vec![problem]))?,
    };
    let mut problems = Vec::new();
    for unset in placeholders::fill(&mut root, &environment) {
        let shown = file.path().map(|path| path.strip_prefix(&surroundings.cwd).unwrap_or(path).to_owned());
        let location = shown.map_or(Location::NoFile, |shown| Location::File(shown, unset.line));
        let sentence = unset.sentence();
        problems.push(Problem::unset(location, &unset.path, sentence));
    }
    overrides::apply_variables(&mut root, environment.iter(), &mut problems);
    overrides::apply_sets(&mut root, &invocation.set, &mut problems);
    let tree = resolve::ConfigTree { file: &file, root: &root, problems, environment: &environment };
    let plan = resolve::plan(tree, invocation, surroundings)?;
    let unfit = if invocation.need == Need::Settings { Vec::new() } else { unfit_secrets(&plan, &environment) };
    if unfit.is_empty() {
        return Ok(plan);
    }
    let wrong = "has a line break or another control character inside; a secret is one line of text";
    Err(Problems::new(unfit.into_iter().map(|name| Problem::other(Location::Variable(name), "", wrong)).collect()))
}

fn read(path: &Path, cwd: &Path) -> Result<ConfigNode, Problem> {
    let shown = path.strip_prefix(cwd).unwrap_or(path).to_owned();
    let problem = |line, sentence: String| Problem::other(Location::File(shown.clone(), line), "", sentence);
    let unreadable = |error: std::io::Error| problem(None, format!("cannot read the file: {error}"));
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > LARGEST_FILE {
        return Err(problem(None, format!("the file has {size} bytes; a configuration has at most {LARGEST_FILE}")));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        problem(Some(line), "not UTF-8 text from this line on".to_owned())
    })?;
    yaml::read(&text).map_err(|error| problem(error.line, format!("not YAML: {}", error.message)))
}

#[cfg(test)]
mod tests;
