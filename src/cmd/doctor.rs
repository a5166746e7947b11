//! `dfwfd doctor`: checks everything that a run needs, and says what to do about each fault.

use std::pin::pin;
use std::time::Duration;

use crate::cli::{Doctor, Global};
use crate::config::plan::Plan;
use crate::config::{self, Need, Problems};
use crate::doctor::{self, Section, StateDir, Surroundings};
use crate::error::Exit;
use crate::nemo::Secret;
use crate::report::json::{Check, DoctorReport, SCHEMA};
use crate::report::lists;
use crate::ui::Ui;

/// The time after which a reader wants to know what takes so long.
const SLOW: Duration = Duration::from_secs(2);

/// Checks and prints the list. The worst check decides the exit code.
pub(super) async fn run(global: &Global, args: &Doctor, ui: &Ui) -> anyhow::Result<Exit> {
    let invocation = super::last_run::resolve(super::invocation_for(global, &args.records, Need::Candidates), ui)?;
    let loaded = config::load(&invocation);
    let level = loaded.as_ref().map_or_else(|_| Default::default(), |plan| plan.log_level);
    super::trace::start(global.verbose, level, ui);
    let mut checks = configuration(&loaded);
    let environment = config::environment(&invocation);
    if let Ok(plan) = &loaded {
        checks.extend(doctor::check_variables(plan, &environment));
    }
    let dir = loaded.as_ref().map_or_else(|_| config::state_dir(&invocation), |plan| plan.state_dir.clone());
    let state = StateDir::check(&dir);
    checks.extend(state.checks);
    match &loaded {
        Ok(plan) => {
            let key = config::judge_key(plan, &global.set, &environment).map(Secret::new);
            let embedding = config::embedding_key(plan, &global.set, &environment).map(Secret::new);
            let around = Surroundings {
                environment: &environment,
                store: state.store.as_ref(),
                judge_key: key.as_ref(),
                embedding_key: embedding.as_ref(),
            };
            checks.extend(told_if_slow(doctor::check_plan(plan, &around), ui).await);
        }
        Err(_) => {
            let why = "the configuration cannot be read";
            checks.push(Section::Logs.skipped("source", why));
            checks.push(doctor::check_gpus());
            checks.push(Section::Platform.skipped("services", why));
        }
    }
    let exit = doctor::exit(&checks);
    let report = DoctorReport { schema: SCHEMA, exit_code: exit.code(), checks };
    ui.json(&report);
    ui.result(&lists::doctor(&report, ui.width(), ui.color()));
    Ok(exit)
}

/// Waits for checks, and tells so if they take long: a service that does not answer has 10 s for each call.
async fn told_if_slow<T>(checks: impl Future<Output = T>, ui: &Ui) -> T {
    let mut checks = pin!(checks);
    match tokio::time::timeout(SLOW, &mut checks).await {
        Ok(checks) => checks,
        Err(_) => {
            ui.note("waiting for services that have not answered yet");
            checks.await
        }
    }
}

fn configuration(loaded: &Result<Plan, Problems>) -> Vec<Check> {
    let part = Section::Configuration;
    let plan = match loaded {
        Ok(plan) => plan,
        Err(problems) => {
            let error = anyhow::Error::new(problems.clone());
            return vec![part.failed("file", &error, problems.remedy())];
        }
    };
    let file =
        plan.config_file.as_ref().map_or_else(|| "no file: the defaults".to_owned(), |file| file.display().to_string());
    let mut checks = vec![part.ok("file", file)];
    let warning = |warning: &String| part.warning("file", warning, "docs/configuration.md describes every key");
    checks.extend(plan.warnings.iter().map(warning));
    checks
}
