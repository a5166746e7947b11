//! The records that a run would read: that they are there and can be opened. Their contents are `run --plan`'s to judge.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Section;
use crate::config::env::Environment;
use crate::config::plan::Plan;
use crate::data::options::LogSource;
use crate::error::{Exit, Fault};
use crate::report::json::Check;
use crate::report::text::counted;
use crate::source::credentials::Credentials;
use crate::source::elastic::inspect;
use crate::source::local::LocalStore;
use crate::source::personal_sample::{self, Sample};

const PART: Section = Section::Logs;

/// Checks the source of the records of a plan.
pub(super) async fn check(plan: &Plan, environment: &Environment) -> Vec<Check> {
    let mut checks = check_source(plan, environment).await;
    if plan.data.redact.is_none() {
        checks.extend(check_texts(&plan.data.input));
    }
    checks
}

/// Warns about texts that look personal. Files that cannot be read have a check of their own.
fn check_texts(input: &LogSource) -> Option<Check> {
    let stored: Vec<PathBuf>;
    let paths = match input {
        LogSource::Files(paths) => paths,
        LogSource::Local(dir) => {
            stored = LocalStore::at(dir).read().ok()?.files.iter().map(|file| file.to_path_buf()).collect();
            &stored
        }
        LogSource::Stdin | LogSource::Elasticsearch(_) => return None,
    };
    let sample = Sample::of_files(paths.iter().map(PathBuf::as_path)).ok()?;
    Some(personal(sample.finding(personal_sample::first_lines)?))
}

fn personal(finding: String) -> Check {
    PART.warning("personal data", finding, "redact: all in the configuration masks such values (docs/records.md)")
}

async fn check_source(plan: &Plan, environment: &Environment) -> Vec<Check> {
    match &plan.data.input {
        LogSource::Local(dir) => vec![check_store(&LocalStore::at(dir))],
        LogSource::Files(paths) => paths.iter().map(|path| check_file(path)).collect(),
        LogSource::Stdin => vec![PART.skipped("source", "standard input is read by the run alone")],
        LogSource::Elasticsearch(at) => {
            let credentials = Credentials::find(&plan.data.input, |name| environment.get(name));
            let (at, filter, for_personal) = (at.clone(), plan.data.filter.clone(), plan.data.redact.is_none());
            let look = move || inspect::describe(&at, &credentials, &filter, for_personal);
            let looked = tokio::task::spawn_blocking(look).await;
            match looked.context("the task that asks the log store ended").and_then(|looked| looked) {
                Ok(looked) => {
                    let personal = looked.personal.map(personal);
                    [PART.ok("index", looked.words)].into_iter().chain(personal).collect()
                }
                Err(error) => vec![PART.failed("index", &error, "check the section logs of the configuration")],
            }
        }
    }
}

fn check_store(store: &LocalStore) -> Check {
    let subject = "log store";
    let bytes = store.read().and_then(|reading| {
        let sizes = reading.files.iter().map(|file| Ok(file.metadata()?.len()));
        let sizes: std::io::Result<Vec<u64>> = sizes.collect();
        sizes.with_context(|| format!("cannot read the log store {}", store.dir().display()))
    });
    match bytes {
        Ok(sizes) if sizes.iter().sum::<u64>() == 0 => {
            let empty = Fault::new(Exit::Data, format!("the log store {} holds no record", store.dir().display()));
            PART.failed(subject, &empty.hint("dfwfd load FILE brings records into it").into(), "")
        }
        Ok(sizes) => {
            let workloads = counted(sizes.len() as u64, "workload");
            PART.ok(subject, format!("{}: {workloads}, {}", store.dir().display(), size(sizes.iter().sum())))
        }
        Err(error) => PART.failed(subject, &error, "check its permissions"),
    }
}

fn check_file(path: &Path) -> Check {
    let subject = "file";
    match File::open(path).and_then(|file| file.metadata()) {
        Ok(found) if found.len() == 0 && found.is_file() => {
            let empty = Fault::new(Exit::Data, format!("{} is empty", path.display()));
            PART.failed(subject, &empty.into(), "name a file with records in logs.path or with --logs")
        }
        Ok(found) => PART.ok(subject, format!("{}, {}", path.display(), size(found.len()))),
        Err(error) => {
            let error = anyhow::Error::from(error).context(format!("cannot open {}", path.display()));
            PART.failed(subject, &error, "correct logs.path, or name the file with --logs")
        }
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => counted(bytes, "byte"),
        1024..0x10_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}
