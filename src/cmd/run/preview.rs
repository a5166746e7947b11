//! `run --plan`: shows what a run would do.

use anyhow::Context as _;

use super::platform_check;
use crate::cli::{Global, Run};
use crate::cmd::credentials_of;
use crate::cmd::state_dir::existing_store;
use crate::config::plan::{JudgePlan, Plan};
use crate::report::plan::PlanReport;
use crate::run::check::{self, CheckOptions};
use crate::run::gpus::{Budget, GpuPool};
use crate::run::judge::{self, JudgeWithKey};
use crate::run::signals::Stop;
use crate::run::{datasets, dead_runs, estimate, rehearsal, schedule};
use crate::ui::Ui;

/// Checks a plan and shows it. Makes the datasets as the run would, to see whether the records suffice, and deletes them.
pub(super) async fn show(plan: &Plan, global: &Global, args: &Run, ui: &Ui, stop: &Stop) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let built = datasets::build(&plan.data, &credentials_of(plan), folder.path(), stop).await;
    let keys = platform_check::service_keys(plan, global)?;
    let judge = match &built {
        Ok(manifest) => plan.judge_of(manifest.workload_type),
        Err(_) => judge::known_from_plan(plan),
    };
    let judge = judge.map(|judge| JudgeWithKey { judge, key: keys.judge.as_ref() });
    let budget = Budget::of(plan)?;
    let platform = platform_check::connect(plan, &budget)?;
    let store = existing_store(&plan.state_dir)?;
    let own = store.as_ref().map(dead_runs::own_resources).transpose()?.unwrap_or_default();
    let embedding = plan.embedding().map(|plan| (plan, keys.embedding.as_ref()));
    let options = CheckOptions { own: &own, adopt: args.adopt, share: args.share, embedding };
    let findings = check::check(plan, &platform.nemo, &budget, &options, judge).await;
    let findings = findings.context("cannot run this plan")?;
    let built = built?;
    let rehearsal = rehearsal::is_rehearsal(platform.kind, &plan.candidates);
    let expected = estimate::of(store.as_ref(), platform.kind, rehearsal, &plan.candidates)?;
    let pool = GpuPool::of(plan, budget.gpus);
    pool.reserve(plan.judge_of(built.workload_type).filter(|_| budget.gpus.is_some()).map_or(0, JudgePlan::gpus));
    let mut report = PlanReport::new(plan, &budget, &findings, &built);
    if expected.iter().all(|estimate| estimate.measured) {
        let planned = schedule::plan(&pool, &plan.candidates, &expected);
        let spans: Vec<_> = planned.iter().map(|planned| (planned.training, planned.nim)).collect();
        report = report.with_schedule(&spans);
    }
    ui.warn_of_plan(&findings.warnings);
    ui.json(&report);
    ui.result(&report.text(ui.width(), ui.color()));
    ui.hint("nothing was created; the same command without --plan starts the run");
    Ok(())
}
