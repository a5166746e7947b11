//! Configuration: flywheel.yaml, flags and environment into one checked plan.
//!
//! `find` finds the file, `file` reads it into a tree of `node`s, `layers` puts overrides on top, `check` holds it
//! against the `schema`, and `resolve` (with `records`, `candidates` and `judge`) makes a [`plan::Plan`] of it or lists every
//! problem. Nothing here talks to a platform or reads a record.

pub(crate) mod candidates;
pub(crate) mod check;
pub mod env;
pub(crate) mod file;
pub(crate) mod find;
pub(crate) mod judge;
pub(crate) mod layers;
pub(crate) mod node;
pub mod plan;
pub mod problem;
pub(crate) mod records;
pub(crate) mod resolve;
pub(crate) mod schema;
pub(crate) mod settings;
pub mod templates;
pub(crate) mod time;
pub(crate) mod values;

use std::path::{Path, PathBuf};

use env::Environment;
use file::Document;
use find::Found;
pub use judge::judge_key;
use node::Node;
use plan::Plan;
pub use problem::Problems;
use problem::{Place, Problem};

/// No configuration is longer than this; a longer file is something else.
const LONGEST: u64 = 256 << 10;

/// The flags of a command that decide what it does.
#[derive(Clone, Debug, Default)]
pub struct Invocation {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
    /// Each `--set`, as given.
    pub set: Vec<String>,
    /// `--logs`; `-` alone is standard input.
    pub logs: Vec<PathBuf>,
    /// `--workload`.
    pub workload: Option<String>,
    /// Each `--client`.
    pub clients: Vec<String>,
    /// `--since`, as given.
    pub since: Option<String>,
    /// `--until`, as given.
    pub until: Option<String>,
    /// Each `--only`.
    pub only: Vec<String>,
    /// `--rehearse`.
    pub rehearse: bool,
    /// What the command needs of the configuration.
    pub need: Need,
}

/// What a command needs of the configuration: what is not needed may be missing, but not wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Need {
    /// Settings only.
    #[default]
    Settings,
    /// The log store, to write to it (`load`).
    Store,
    /// Records to read (`split`).
    Data,
    /// Records and candidates, and a platform for them (`run`).
    Candidates,
}

/// What surrounds an invocation; tests set it, a process has its own.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// The working folder, absolute.
    pub cwd: PathBuf,
    /// Variables of the process.
    pub process: Environment,
    /// The present time.
    pub now: jiff::Timestamp,
    /// The seed for a configuration that wants one drawn.
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

/// The plan of an invocation, or everything that is wrong with its configuration.
pub fn load(invocation: &Invocation) -> Result<Plan, Problems> {
    load_in(invocation, &Surroundings::of_process())
}

/// The state directory of an invocation, absolute; found even when the rest of the configuration is broken or gone.
pub fn state_dir(invocation: &Invocation) -> PathBuf {
    find::state_dir(invocation, &Surroundings::of_process())
}

/// The variables of the process and of the `.env` file beside the configuration of an invocation: where secrets are.
pub fn environment(invocation: &Invocation) -> Environment {
    let around = Surroundings::of_process();
    let found = find::config(invocation, &around);
    around.process.clone().beside(found.folder(&around.cwd))
}

/// The variables of an invocation that set keys of a plan as `--set` does, by name: a stored plan knows nothing of them.
pub fn overriding(invocation: &Invocation) -> Vec<String> {
    let environment = environment(invocation);
    let sets_a_key = |name: &&str| name.strip_prefix(layers::PREFIX).is_some_and(|key| key != "STATE_DIR");
    environment.iter().map(|(name, _)| name).filter(sets_a_key).map(str::to_owned).collect()
}

pub(crate) fn load_in(invocation: &Invocation, around: &Surroundings) -> Result<Plan, Problems> {
    let found = find::config(invocation, around);
    let environment = around.process.clone().beside(found.folder(&around.cwd));
    let document = match &found {
        Found::Nothing => None,
        Found::Named(path) | Found::Near(path) => {
            Some(read(path, &around.cwd).map_err(|problem| Problems::new(vec![problem]))?)
        }
    };
    let mut root = document.as_ref().map_or_else(Node::empty, |document| document.root.clone());
    let mut problems = Vec::new();
    layers::variables(&mut root, environment.iter(), &mut problems);
    layers::sets(&mut root, &invocation.set, &mut problems);
    let made =
        resolve::Made { found: &found, document: document.as_ref(), root: &root, problems, environment: &environment };
    resolve::plan(made, invocation, around)
}

fn read(path: &Path, cwd: &Path) -> Result<Document, Problem> {
    let shown = path.strip_prefix(cwd).unwrap_or(path).to_owned();
    let wrong = |line, sentence: String| Problem::other(Place::File(shown.clone(), line), "", sentence);
    let size = std::fs::metadata(path).map_err(|error| wrong(None, format!("the file cannot be read: {error}")))?.len();
    if size > LONGEST {
        return Err(wrong(None, format!("the file has {size} bytes; a configuration has at most {LONGEST}")));
    }
    let bytes = std::fs::read(path).map_err(|error| wrong(None, format!("the file cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        wrong(Some(line + 1), "the file is not UTF-8 text from here on".to_owned())
    })?;
    Document::read(&text).map_err(|broken| wrong(broken.line, format!("not YAML: {}", broken.message)))
}

#[cfg(test)]
mod tests;
