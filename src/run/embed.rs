//! The embeddings of the questions of eval rows and of examples, by a NIM of the run or a remote endpoint.

use anyhow::Context as _;

use super::context::RunContext;
use super::deploy::{self, NimSpec};
use super::event::Step;
use super::obstacle::Obstacle;
use super::{base_model, names};
use crate::config::plan::{EmbeddingPlan, ServicePlace};
use crate::nemo::{Client, EmbeddingModel, Secret};
use crate::numbers::counted;
use crate::source::dataset::examples::{self, Embeddings, Pool};

/// Texts of one request.
const BATCH: usize = 32;

/// Asks a remote model to embed a word. A model that the run deploys is not there yet and is not asked.
///
/// # Errors
/// [`Obstacle::Embedding`].
pub(crate) async fn probe(plan: &EmbeddingPlan, key: Option<&Secret>, nemo: &Client) -> Result<(), Obstacle> {
    let ServicePlace::Remote { url, .. } = &plan.place else { return Ok(()) };
    let model = EmbeddingModel::Remote { url: url.clone(), model: plan.model_name.clone(), key: key.cloned() };
    let answered = nemo.embed(&model, plan.input_type.as_deref(), &["hello".to_owned()]).await;
    answered.map(drop).map_err(|error| Obstacle::Embedding {
        model: plan.model_name.clone(),
        url: url.clone(),
        error: Box::new(error),
    })
}

/// Embeds the questions. Deploys the model first, if it is a NIM of the run.
///
/// # Errors
/// When the model does not start or does not answer.
pub(super) async fn questions(run: &RunContext, plan: &EmbeddingPlan, pool: &Pool) -> anyhow::Result<Embeddings> {
    let model = match &plan.place {
        ServicePlace::Local(service) => {
            let spec = NimSpec::of_embedding(run, &plan.model_name, service);
            deploy::deploy(run, &spec).await.context("cannot deploy the embedding model")?;
            let named = base_model::named(&plan.model_name);
            EmbeddingModel::Served(run.read(run.nemo.base_model_id(&named)).await?)
        }
        ServicePlace::Remote { url, .. } => {
            EmbeddingModel::Remote { url: url.clone(), model: plan.model_name.clone(), key: run.embedding_key.clone() }
        }
    };
    let eval = examples::questions(&run.dir)?;
    let examples = pool.questions();
    let all = eval.len() + examples.len();
    let work = async {
        let mut done = 0;
        let mut embedded = Vec::with_capacity(all);
        for batch in eval.chunks(BATCH).chain(examples.chunks(BATCH)) {
            embedded.extend(embed(run, plan, &model, batch).await?);
            done += batch.len();
            let percent = 100.0 * done as f64 / all as f64;
            run.progress(None, Step::Embedding, Some(percent), None);
        }
        let examples = embedded.split_off(eval.len());
        Ok(Embeddings { eval: embedded, examples })
    };
    run.step(None, Step::Embedding, work, |_| Some(counted(all as u64, "question"))).await
}

/// Embeds some texts. The routes of a gateway follow the models that it lists by some seconds.
async fn embed(
    run: &RunContext,
    plan: &EmbeddingPlan,
    model: &EmbeddingModel,
    texts: &[String],
) -> anyhow::Result<Vec<Vec<f32>>> {
    let is_ours = matches!(model, EmbeddingModel::Served(_));
    let what = format!("embeddings of {}", plan.model_name);
    run.wait(&what, names::millis(run.plan.limits.deploy_ms), "deploy", || async {
        match run.nemo.embed(model, plan.input_type.as_deref(), texts).await {
            Err(error) if is_ours && matches!(error.status(), Some(404 | 424 | 502 | 503)) => Ok(None),
            answered => Ok(Some(answered?)),
        }
    })
    .await
    .with_context(|| format!("cannot embed texts with {}", plan.model_name))
}
