//! The platform of a plan: its generation, each of its services, the namespace, the models that are to be trained, what others
//! have deployed, and the judge.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{Section, Surroundings};
use crate::config::plan::{Candidate, Plan, PlatformPlan, ServicePlace};
use crate::error::Exit;
use crate::nemo::{ApiError, Client, Deployment, ErrorKind, Service};
use crate::platform;
use crate::report::json::{Check, CheckState};
use crate::run::check::{check_judge as check_judge_answers, check_namespace, check_target, deployed_models};
use crate::run::gpus::{Budget, VIRTUAL_GPUS};
use crate::run::judge::JudgeWithKey;
use crate::run::obstacle::IF_OTHERS;
use crate::run::{dead_runs, embed, others, rehearsal};
use crate::vocabulary::{Generation, PlatformKind};

const PART: Section = Section::Platform;

/// The services of version 1, with the keys of their base URLs.
const SERVICES: [(Service, &str, &str); 6] = [
    (Service::EntityStore, "Entity Store", "nemo_base_url"),
    (Service::DataStore, "Data Store", "datastore_base_url"),
    (Service::Customizer, "Customizer", "nemo_base_url"),
    (Service::Evaluator, "Evaluator", "nemo_base_url"),
    (Service::Deployments, "Deployment Management", "nemo_base_url"),
    (Service::Nim, "NIM proxy", "nim_base_url"),
];

/// The time that a service has to show that it is there.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pause between looks at a platform that says it is not well.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

const URLS: &str = "check the base URLs in nmp_config, and that the cluster is up";

/// Checks the platform. Asks each service once and creates nothing.
pub(super) async fn check(plan: &Plan, budget: Option<&Budget>, around: &Surroundings<'_>) -> Vec<Check> {
    if let Err(unknown) = rehearsal::check_candidates(plan) {
        return vec![PART.failed("candidates", &unknown.into(), "correct nims.model_name")];
    }
    let gpus = budget.and_then(|budget| budget.gpus).unwrap_or(VIRTUAL_GPUS);
    let connect = |plan: &Plan| platform::connect(plan, around.environment, gpus);
    let platform = match connect(plan) {
        Ok(platform) => platform,
        Err(error) => return vec![PART.failed("connection", &error, URLS)],
    };
    let nemo = &platform.nemo;
    if plan.platform.kind == PlatformKind::Embedded || plan.rehearse {
        let mut checks = vec![PART.ok("generation", "the embedded platform, which starts and ends with each run")];
        checks.extend(check_judge(plan, nemo, around).await);
        checks.extend(check_embedding(plan, nemo, around).await);
        return checks;
    }
    let start = Instant::now();
    let (generation, version) = match within(nemo.version()).await {
        Ok(version) => (PART.ok("generation", after(start, &version.in_words())), Some(version)),
        Err(error) => (PART.failed("generation", &error.into(), URLS), None),
    };
    let mut checks = vec![generation];
    match version.map(|version| version.generation) {
        Some(Generation::Helix) => {
            checks.push(timed("platform", URLS, healthy(nemo)).await);
            checks.extend(check_contents(plan, nemo, around).await);
        }
        Some(Generation::V1) => checks.extend(check_services(plan, nemo, around).await),
        // The other services may still be there, and who repairs the first one wants to know.
        None => {
            let pinned = Plan {
                platform: PlatformPlan { generation: Some(Generation::V1), ..plan.platform.clone() },
                ..plan.clone()
            };
            if plan.platform.generation != Some(Generation::Helix)
                && let Ok(platform) = connect(&pinned)
            {
                checks.extend(check_services(&pinned, &platform.nemo, around).await);
            }
        }
    }
    checks.extend(check_judge(plan, nemo, around).await);
    checks.extend(check_embedding(plan, nemo, around).await);
    checks
}

fn after(start: Instant, words: &str) -> String {
    format!("{words}, in {} ms", start.elapsed().as_millis())
}

/// Awaits the first answer of a service for as long as somebody looks at a terminal.
async fn within<T>(call: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(answer) => answer,
        Err(_) => Err(ApiError::late("a first call", PATIENCE)),
    }
}

/// Looks at a platform until it says that it is well. Returns its own reason when the patience runs out.
async fn healthy(nemo: &Client) -> Result<(), ApiError> {
    let until = Instant::now() + PATIENCE - 2 * BETWEEN_LOOKS;
    loop {
        match nemo.probe(Service::EntityStore).await {
            Err(error) if matches!(error.kind, ErrorKind::Unreadable(_)) && Instant::now() < until => {
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
            answered => return answered,
        }
    }
}

/// Checks with one call that a service responds.
async fn timed(subject: &str, remedy: &str, call: impl Future<Output = Result<(), ApiError>>) -> Check {
    let start = Instant::now();
    match within(call).await {
        Ok(()) => PART.ok(subject, after(start, "responds")),
        // Any answer but its own is none.
        Err(error) => {
            let refused = error.is_refused();
            let mut check = PART.failed(subject, &error.into(), remedy);
            check.exit_code = Exit::Service.code();
            if !refused {
                check.remedy = Some(remedy.to_owned());
            }
            check
        }
    }
}

/// Checks the services of version 1, each with its own base URL, then what the platform holds.
async fn check_services(plan: &Plan, nemo: &Client, around: &Surroundings<'_>) -> Vec<Check> {
    let probes = SERVICES.map(|(service, name, key)| async move {
        let remedy = format!("check nmp_config.{key}, which has no path such as /v1, and that the service is up");
        timed(name, &remedy, nemo.probe(service)).await
    });
    // At once, because each that does not respond takes its time.
    let mut checks = futures_util::future::join_all(probes).await;
    if checks.iter().all(|check| check.state == CheckState::Ok) {
        checks.extend(check_contents(plan, nemo, around).await);
    } else {
        checks
            .push(PART.skipped("contents", "namespace, targets and deployments are checked once all services respond"));
    }
    checks
}

/// Checks the namespace, the targets and the deployments of others.
async fn check_contents(plan: &Plan, nemo: &Client, around: &Surroundings<'_>) -> Vec<Check> {
    let namespace = &plan.platform.namespace;
    if let Err(error) = check_namespace(plan, nemo).await {
        return vec![PART.failed("namespace", &error, "correct nmp_config.nmp_namespace")];
    }
    let mut checks = vec![match nemo.namespace_exists(namespace).await {
        Ok(true) => PART.ok("namespace", format!("{namespace} exists")),
        Ok(false) => PART.ok("namespace", format!("{namespace} does not exist yet; a run makes it")),
        Err(error) => PART.failed("namespace", &error.into(), URLS),
    }];
    for candidate in &plan.candidates {
        checks.push(check_candidate(candidate, &plan.platform.namespace, nemo).await);
    }
    let judge = plan.any_judge().map(|judge| JudgeWithKey { judge, key: around.judge_key });
    if let Err(error) = deployed_models(plan, judge, nemo).await {
        checks.push(PART.failed("models", &error, "correct nims"));
    }
    checks.push(match nemo.deployments().await {
        Ok(deployments) => check_others(&deployments, nemo, around).await,
        Err(error) => PART.failed("deployments", &error.into(), URLS),
    });
    checks
}

async fn check_candidate(candidate: &Candidate, namespace: &str, nemo: &Client) -> Check {
    let subject = &candidate.model_name;
    match check_target(candidate, namespace, nemo).await {
        Ok(is_there) => {
            let made = candidate.helix.repository.as_ref().filter(|_| !is_there);
            PART.ok(
                subject,
                match (made, &candidate.customizer) {
                    (Some(repository), _) => format!("is made from {repository} at the first run"),
                    (None, Some(_)) => "can be trained".to_owned(),
                    (None, None) => "is evaluated only".to_owned(),
                },
            )
        }
        Err(error) => PART.failed(subject, &error, "correct customizer_configs of the candidate"),
    }
}

/// Names what other state directories have on the platform.
async fn check_others(deployments: &[Deployment], nemo: &Client, around: &Surroundings<'_>) -> Check {
    let own: BTreeSet<String> = around.store.and_then(|store| dead_runs::own_resources(store).ok()).unwrap_or_default();
    let others: Vec<String> = match others::find(nemo, deployments, &own).await {
        Ok(others) => others.into_iter().map(|other| other.text).collect(),
        Err(error) => return PART.failed("deployments", &error.into(), URLS),
    };
    if others.is_empty() {
        return PART.ok("deployments", format!("{}, and nothing of another dfwfd", deployments.len()));
    }
    let detail = format!("another dfwfd is on this platform, so a run without --share ends: {}", others.join(", "));
    PART.warning("deployments", detail, IF_OTHERS)
}

async fn check_judge(plan: &Plan, nemo: &Client, around: &Surroundings<'_>) -> Option<Check> {
    let judge = plan.any_judge()?;
    let judge = JudgeWithKey { judge, key: around.judge_key };
    Some(match check_judge_answers(judge, nemo).await {
        Ok(None) if matches!(judge.judge.place, ServicePlace::Local(_)) => {
            PART.ok("judge", format!("{} is deployed by the run", judge.judge.model_name))
        }
        Ok(None) => PART.ok("judge", format!("{} answers", judge.judge.model_name)),
        Ok(Some(warning)) => PART.warning("judge", warning, "ask it from the cluster: curl its URL in a pod"),
        Err(obstacle) => PART.failed("judge", &obstacle.into(), "check llm_judge_config"),
    })
}

async fn check_embedding(plan: &Plan, nemo: &Client, around: &Surroundings<'_>) -> Option<Check> {
    let embedding = plan.embedding()?;
    Some(match embed::probe(embedding, around.embedding_key, nemo).await {
        Ok(()) if matches!(embedding.place, ServicePlace::Local(_)) => {
            PART.ok("embedding model", format!("{} is deployed by the run", embedding.model_name))
        }
        Ok(()) => PART.ok("embedding model", format!("{} answers", embedding.model_name)),
        Err(obstacle) => PART.failed("embedding model", &obstacle.into(), "check embedding_nim_config"),
    })
}
