//! The eval set with examples in its prompts: made once from the datasets of the run, then held on the platform.

use anyhow::Context as _;

use super::context::RunContext;
use super::event::Step;
use super::outcome::{EXAMPLES, MANIFEST};
use super::{datasets, deploy, embed};
use crate::config::plan::IclPlan;
use crate::data::label::LabelReader;
use crate::numbers::{count, counted};
use crate::source::dataset::Manifest;
use crate::source::dataset::examples::{self, ExampleCounts, Pool};

/// The end of the name of the eval set with examples.
pub(crate) const ICL: &str = "icl";

/// Makes the eval set with examples, unless an earlier process has made it, and holds it on the platform.
///
/// # Errors
/// When a file cannot be read or written, or the platform does not take it.
pub(super) async fn make_and_hold(run: &RunContext) -> anyhow::Result<()> {
    let Some(icl) = &run.plan.icl else { return Ok(()) };
    let work = async {
        let counts = match run.store.fact(&run.id, EXAMPLES)? {
            Some(counts) => counts,
            None => {
                let counts = make(run, icl).await?;
                run.store.remember(&run.id, EXAMPLES, &counts)?;
                counts
            }
        };
        datasets::hold(run, ICL, &[(&run.dir.join(examples::ICL), datasets::EVAL_FILE)]).await?;
        Ok(counts)
    };
    let counts = run.step(None, Step::Examples, work, |counts| Some(in_words(counts))).await?;
    if icl.embedding.is_some() {
        // The candidates need its GPUs. An earlier process may have ended before it gave them back.
        deploy::undeploy_embedding(run).await?;
    }
    if counts.too_few > 0 {
        run.warn(format!(
            "{} of {} eval rows have room for fewer than {} examples (icl_config.min_examples): raise \
             icl_config.max_context_length",
            counts.too_few, counts.rows, icl.rules.min_examples
        ))?;
    }
    Ok(())
}

fn in_words(counts: &ExampleCounts) -> String {
    let (given, without) = (counted(counts.rows - counts.without, "row"), counted(counts.without, "row"));
    format!("{} in {given}, {without} without", count(counts.examples))
}

async fn make(run: &RunContext, icl: &IclPlan) -> anyhow::Result<ExampleCounts> {
    let manifest: Manifest = run.store.fact(&run.id, MANIFEST)?.context("the manifest of this run is missing")?;
    let reader = LabelReader::new(&run.plan.data.labels).map_err(anyhow::Error::msg)?;
    let (dir, rules) = (run.dir.clone(), icl.rules.clone());
    let read = tokio::task::spawn_blocking(move || Pool::read(&dir, &rules, &reader, &manifest).map(Box::new));
    let pool = read.await.context("the task that reads the training set ended early")??;
    run.stop.check()?;
    let (dir, rules) = (run.dir.clone(), icl.rules.clone());
    let near = match &icl.embedding {
        Some(embedding) => Some(embed::questions(run, embedding, &pool).await?),
        None => None,
    };
    let least = run.plan.data.split.near_duplicate_threshold;
    let write = tokio::task::spawn_blocking(move || examples::write(&dir, &rules, &pool, near.as_ref(), least));
    write.await.context("the task that writes the examples ended early")?
}
