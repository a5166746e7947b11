//! The checked plan of one invocation. Every other room reads the plan instead of the file. A run stores it, so resume and
//! cleanup never read a file that has changed since. It holds the names of environment variables, never a secret.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::data::examples::ExampleRules;
use crate::data::options::{DatasetRequest, IndexAt};
use crate::data::workload_type::WorkloadType;
use crate::vocabulary::{Generation, PlatformKind};

/// The resolved and checked configuration of one invocation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The absolute path of the configuration file.
    pub config_file: Option<PathBuf>,
    /// The absolute path of the state directory.
    pub state_dir: PathBuf,
    pub platform: PlatformPlan,
    /// The embedded platform runs a configuration that is meant for a cluster (`--rehearse`).
    pub rehearse: bool,
    /// The records to read, and how they become datasets.
    pub data: DatasetRequest,
    /// The candidate models, in the order of the file.
    pub candidates: Vec<Candidate>,
    /// The judge of tool calls (`llm_judge_config`), when `tool_eval_type` asks for one. Records of another kind are not
    /// judged.
    #[serde(default)]
    pub judge: Option<JudgePlan>,
    /// The judge of texts, if `llm_judge_config` is written.
    #[serde(default)]
    pub text_judge: Option<JudgePlan>,
    /// The evaluation with examples in the prompt (`icl_config`). `None`: not asked for.
    #[serde(default)]
    pub icl: Option<IclPlan>,
    pub training: TrainingPlan,
    /// The GPU budget that is configured. `None` leaves it to the run.
    pub gpus: Option<u32>,
    pub limits: Limits,
    #[serde(default)]
    pub verdict: VerdictPlan,
    #[serde(default)]
    pub cost: CostPlan,
    /// The MLflow server that gets the results (`mlflow_config`). `None`: none does.
    #[serde(default)]
    pub mlflow: Option<MlflowPlan>,
    /// The index that gets a document for each run (`logs.elasticsearch.runs_index`). `None`: none does.
    #[serde(default)]
    pub run_index: Option<IndexAt>,
    /// The latency is measured (`--measure-latency`), also of `teacher`.
    #[serde(default)]
    pub measure_latency: bool,
    #[serde(default)]
    pub teacher: Option<TeacherPlan>,
    /// The origin of each value by key path, in the order of `--plan`.
    pub origins: BTreeMap<String, ValueOrigin>,
    /// The verbosity of stderr (`logging_config.level`), which `-v` and `-q` shift.
    pub log_level: LogLevel,
    pub warnings: Vec<String>,
}

/// The platform and how to reach it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PlatformPlan {
    pub kind: PlatformKind,
    /// Base URL of Entity Store, Customizer, Evaluator and Deployment Management, without a trailing slash. Empty when
    /// embedded, as the two below.
    pub nemo_base_url: String,
    /// Base URL of the NIM proxy.
    pub nim_base_url: String,
    /// Base URL of the Data Store.
    pub datastore_base_url: String,
    /// The generation of the API. `None`: the platform is asked.
    #[serde(default)]
    pub generation: Option<Generation>,
    /// The namespace that holds everything a run creates.
    pub namespace: String,
    /// The variable that holds a bearer token for the services.
    pub api_key_env: Option<String>,
    /// The absolute path of a PEM file with the certificate authority of the services.
    pub ca_cert: Option<PathBuf>,
    /// Extra request headers. `${NAME}` in a value is filled from the environment when the client connects.
    pub headers: BTreeMap<String, String>,
    /// The number of candidates that may hold a NIM at once. `None` leaves it to the GPU budget.
    pub nim_parallelism: Option<u32>,
}

/// One candidate model (`nims[]`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Candidate {
    /// The id that the NIM serves, such as `meta/llama-3.2-1b-instruct`.
    pub model_name: String,
    /// The context length of the NIM in tokens.
    pub context_length: u32,
    pub gpus: u32,
    /// The volume size of the NIM, such as `25Gi`.
    pub pvc_size: Option<String>,
    pub tag: Option<String>,
    /// The image registry and path before the model name, such as `nvcr.io/nim`.
    pub registry_base: Option<String>,
    /// Where the model comes from and what serves it on Helix.
    #[serde(default)]
    pub helix: HelixModel,
    /// The training of the model. `None`: only the base model is evaluated.
    pub customizer: Option<CustomizerPlan>,
}

/// Settings of a candidate that only Helix uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct HelixModel {
    /// The model entity, `workspace/name` or a bare name. `None`: the one that is named after the model.
    pub base_model: Option<String>,
    /// The Hugging Face repository that the entity is made from if it does not exist.
    pub repository: Option<String>,
    /// The Hugging Face Hub that has the repository. `None`: huggingface.co.
    #[serde(default)]
    pub hub: Option<String>,
    /// The variable that holds the token of the repository.
    pub token_env: Option<String>,
    /// `nim` or `vllm`.
    pub engine: Option<String>,
    /// The image without its tag, in place of registry and model name.
    pub image: Option<String>,
    /// The backend of the training, `automodel` or `unsloth`. `None`: automodel.
    #[serde(default)]
    pub backend: Option<String>,
    /// The profile of the platform's scheduler for the training.
    pub execution_profile: Option<String>,
}

/// The `customizer_configs` of a candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CustomizerPlan {
    /// The customization target, such as `meta/llama-3.2-1b-instruct@2.0`. `None`: Helix, which has no targets.
    pub target: Option<String>,
    /// GPUs per node.
    pub gpus: u32,
    pub num_nodes: u32,
    pub tensor_parallel_size: u32,
    pub data_parallel_size: Option<u32>,
    pub use_sequence_parallel: bool,
    /// Rows per GPU and step.
    pub micro_batch_size: u32,
    /// Such as `bf16-mixed`.
    pub training_precision: Option<String>,
    /// The Customizer truncates longer rows.
    pub max_seq_length: u32,
}

impl PlatformPlan {
    /// Returns the base URL for chat requests on Helix, which has one for each workspace.
    pub(crate) fn gateway(&self) -> String {
        format!("{}/apis/inference-gateway/v2/workspaces/{}/openai/-", self.nemo_base_url, self.namespace)
    }
}

impl Plan {
    /// Returns the model that finds similar rows, if there is one.
    pub(crate) fn embedding(&self) -> Option<&EmbeddingPlan> {
        self.icl.as_ref()?.embedding.as_ref()
    }

    /// Returns the judge of this type of workload.
    pub(crate) fn judge_of(&self, workload: WorkloadType) -> Option<&JudgePlan> {
        match workload {
            WorkloadType::Classification => None,
            WorkloadType::ToolCalling => self.judge.as_ref(),
            WorkloadType::Text => self.text_judge.as_ref(),
        }
    }

    /// Returns the judge that the run may ask. With `workload_type: auto` the records decide whether it does.
    pub(crate) fn any_judge(&self) -> Option<&JudgePlan> {
        self.judge.as_ref().or(self.text_judge.as_ref())
    }
}

impl Candidate {
    /// Returns the GPUs of the training job, or 0 when the model is not trained.
    pub(crate) fn training_gpus(&self) -> u32 {
        self.customizer.as_ref().map_or(0, |customizer| customizer.gpus.saturating_mul(customizer.num_nodes.max(1)))
    }

    /// Returns the fewest GPUs that suffice when NIM and training take turns.
    pub(crate) fn least_gpus(&self) -> u32 {
        self.gpus.max(self.training_gpus())
    }
}

/// The model that judges tool calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct JudgePlan {
    pub model_name: String,
    pub place: ServicePlace,
}

/// The place where a judge or an embedding model runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ServicePlace {
    /// In a NIM that the run deploys.
    Local(LocalService),
    /// Behind an existing endpoint.
    Remote {
        /// The URL that takes requests, or the base URL above it.
        url: String,
        key: ServiceKey,
    },
}

/// The NIM of a judge or of an embedding model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LocalService {
    /// The GPUs of the NIM. A stand-in for a remote model takes 0.
    pub gpus: u32,
    pub pvc_size: Option<String>,
    pub tag: Option<String>,
    pub registry_base: Option<String>,
}

/// The place of an API key; never the key itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ServiceKey {
    /// In the first of these variables that is set. If none is set, no key is sent.
    Variables(Vec<String>),
    /// In plain text in the configuration.
    Written,
}

impl ServicePlace {
    fn gpus(&self) -> u32 {
        match self {
            ServicePlace::Local(local) => local.gpus,
            ServicePlace::Remote { .. } => 0,
        }
    }
}

impl JudgePlan {
    /// Returns the GPUs that the judge holds for the whole run.
    pub(crate) fn gpus(&self) -> u32 {
        self.place.gpus()
    }
}

/// The evaluation of base models with examples in the prompt (`icl_config`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct IclPlan {
    pub rules: ExampleRules,
    /// The model that finds similar rows. `None`: every row shows the same examples.
    #[serde(default)]
    pub embedding: Option<EmbeddingPlan>,
}

/// The model that embeds the questions of rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EmbeddingPlan {
    pub model_name: String,
    pub place: ServicePlace,
    /// `None`: not sent.
    pub input_type: Option<String>,
}

impl EmbeddingPlan {
    /// Returns the GPUs that the model holds while the examples are chosen, before any candidate starts.
    pub(crate) fn gpus(&self) -> u32 {
        self.place.gpus()
    }
}

/// The parameters of every customization job (`training_config` and `lora_config`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrainingPlan {
    pub training_type: String,
    pub finetuning_type: String,
    /// Passes over the training rows.
    pub epochs: u32,
    /// Rows per optimizer step.
    pub batch_size: u32,
    /// The peak learning rate.
    pub learning_rate: f64,
    /// The LoRA rank.
    pub adapter_dim: u32,
    pub adapter_dropout: f64,
    pub sequence_packing_enabled: bool,
}

/// The time limit of each step in milliseconds (`limits`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// From the creation of a deployment until its model is served.
    pub deploy_ms: u64,
    pub train_ms: u64,
    pub evaluate_ms: u64,
    /// From the end of a customization job until its adapter is served.
    pub adapter_ms: u64,
    /// For giving everything back when a run ends.
    pub release_ms: u64,
    /// The time in which a resource may still appear after a create call without an answer.
    pub settle_ms: u64,
    /// For sending the results to MLflow and to an index.
    #[serde(default = "a_minute")]
    pub publish_ms: u64,
}

fn a_minute() -> u64 {
    60_000
}

/// The MLflow server of a run. Its token or password is in the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MlflowPlan {
    /// Base URL, without a trailing slash.
    pub tracking_uri: String,
    /// The experiment is named after this and the workload.
    pub experiment_name_prefix: String,
    /// Where a new experiment keeps its artefacts. `None` leaves it to the server.
    pub artifact_location: Option<String>,
    /// Sends what users wrote, too.
    pub texts: bool,
}

/// The endpoint of the production model (`teacher`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TeacherPlan {
    pub url: String,
    pub model_name: String,
    /// The variable with the API key. `None`: no key is sent.
    pub key_env: Option<String>,
}

/// The prices (`cost`), in one currency.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct CostPlan {
    pub teacher: Option<TokenPrices>,
    /// One GPU for an hour.
    pub gpu_hour: Option<f64>,
    pub currency: String,
}

/// The prices of the teacher's tokens, per million.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TokenPrices {
    pub input_per_million: f64,
    pub output_per_million: f64,
}

/// How models are compared (`verdict`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct VerdictPlan {
    /// The difference of the headline score below which two models count as the same.
    pub margin: f64,
    /// Measures the floor too.
    pub floor: bool,
}

impl Default for VerdictPlan {
    /// Returns the values of runs that were recorded before there were such keys.
    fn default() -> VerdictPlan {
        VerdictPlan { margin: 0.02, floor: true }
    }
}

/// The levels of `logging_config.level`, quietest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    /// Errors only (`ERROR` and `CRITICAL`).
    Error,
    /// Errors and warnings.
    Warning,
    /// Also each step.
    #[default]
    Info,
    /// Also every request.
    Debug,
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ValueOrigin {
    /// The value as `--plan` shows it. Secrets are masked.
    pub value: String,
    pub from: ValueSource,
}

/// The source of a value, highest precedence first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ValueSource {
    /// A command-line flag, including `--set`.
    Flag,
    Environment,
    File,
    Default,
}
