//! The reasons why a plan cannot run on a platform.

use crate::nemo::ApiError;

/// Why a plan cannot run on a platform.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Obstacle {
    /// NVML sees processes on all GPUs.
    #[error("no GPU of this machine is free: other processes use all of them")]
    AllBusy,
    /// A candidate or the judge needs more GPUs than the budget has.
    #[error("{model} needs {need} GPUs{}, the budget is {budget}", beside_the_judge(*beside))]
    TooSmall {
        model: String,
        need: u32,
        /// The GPUs of the judge.
        beside: u32,
        budget: u32,
    },
    /// The embedded platform has no such model.
    #[error("the embedded platform has no model {model}; it has {}", crate::student::NAMES.join(" and "))]
    NoStudent { model: String },
    /// The Customizer has no such target, or has disabled it.
    #[error("{model}: the Customizer has no enabled target {target}")]
    NoTarget {
        model: String,
        target: String,
        /// The targets that it has enabled.
        enabled: Vec<String>,
    },
    /// Helix has no entity of a base model, or none that can be trained.
    #[error("{model}: {why}")]
    NoBaseModel { model: String, why: String },
    /// Helix puts an adapter into the workspace of its base model, where this run makes nothing.
    #[error(
        "cannot train {model}: its base model {id} is of another workspace, into which NeMo Helix would put the adapter"
    )]
    ForeignBase { model: String, id: String },
    /// Helix has one entity for two models of the plan, so one would be measured as the other.
    #[error("{first} and {second} are the same model on the platform, {id}")]
    SameModel {
        first: String,
        second: String,
        id: String,
        /// The one of the two that is a candidate, and so can name another entity.
        candidate: Option<String>,
    },
    /// Helix takes no workspace of this name.
    #[error(
        "the platform takes no namespace named {name}: 2 to 63 lower-case letters, digits and -@.+_, with a letter first, no -- \
         and no - at the end"
    )]
    Namespace { name: String },
    /// The target trains another model than the candidate.
    #[error("{model}: the target {target} trains {base}, so its adapter would not be one of the candidate")]
    OtherModel {
        model: String,
        target: String,
        base: String,
        /// The enabled targets that train the candidate.
        fitting: Vec<String>,
    },
    /// A remote judge refuses or does not answer.
    #[error("cannot ask the judge {model} at {url}")]
    Judge {
        model: String,
        url: String,
        #[source]
        error: Box<ApiError>,
    },
    /// A remote embedding model refuses or does not answer.
    #[error("cannot embed texts with {model} at {url}")]
    Embedding {
        model: String,
        url: String,
        #[source]
        error: Box<ApiError>,
    },
    /// The operator has deployed a NIM for a model of the plan.
    #[error("{model} is already served: {by}")]
    Operator { model: String, by: String },
    /// Another dfwfd has deployments or trainings on the platform.
    #[error("another dfwfd run is on this platform: {}", .resources.join(", "))]
    Others {
        /// Its deployments and trainings, each with its owner.
        resources: Vec<String>,
    },
}

/// The remedies for [`Obstacle::Others`]. A deployment that nobody runs any more never ends by itself.
pub(crate) const IF_OTHERS: &str = "wait until that run ends, or run beside it with --share if the GPUs suffice for both; if no \
                                    run uses it any more, `dfwfd cleanup --orphans` lists and releases it";

fn beside_the_judge(gpus: u32) -> String {
    if gpus == 0 { String::new() } else { format!(" beside the judge's {gpus}") }
}
