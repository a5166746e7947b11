//! The checked plan of one invocation: what everything else reads, and what is stored with a run so that resume and
//! cleanup never read today's file. Holds no secret: only the names of environment variables.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::data::intake::WorkloadType;
use crate::data::options::DatasetRequest;

/// Everything that decides what a command does, resolved and checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The configuration file that was read, absolute.
    pub config_file: Option<PathBuf>,
    /// The state directory, absolute.
    pub state_dir: PathBuf,
    /// The platform and how to reach it.
    pub platform: PlatformPlan,
    /// Whether a configuration meant for a cluster runs against the embedded platform (`--rehearse`).
    pub rehearse: bool,
    /// Which records, and how they become datasets.
    pub data: DatasetRequest,
    /// The candidate models, in the order of the file.
    pub candidates: Vec<Candidate>,
    /// Who judges tool calls (`llm_judge_config`), when `tool_eval_type` asks for a judge; not asked when the records turn
    /// out to be something else.
    #[serde(default)]
    pub judge: Option<Judge>,
    /// What every customization job trains with.
    pub training: Training,
    /// The GPU budget that the file or `--set` asks for; `None`: found at run time (product default).
    pub gpus: Option<u32>,
    /// How long to wait for what.
    pub limits: Limits,
    /// Where each value that matters came from, by key path, in display order of `--plan`.
    pub origins: BTreeMap<String, Origin>,
    /// How much to say on stderr, before `-v` and `-q` shift it (`logging_config.level`).
    pub log_level: LogLevel,
    /// Accepted but noteworthy: keys whose feature is not built, readable `.env` files, literal keys.
    pub warnings: Vec<String>,
}

/// The platform and how to reach it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlatformPlan {
    /// A cluster, or the server inside this process.
    pub kind: PlatformKind,
    /// Base URL of Entity Store, Customizer, Evaluator and Deployment Management; no trailing slash; empty when embedded.
    pub nemo_base_url: String,
    /// Base URL of the NIM proxy; no trailing slash; empty when embedded.
    pub nim_base_url: String,
    /// Base URL of the Data Store; no trailing slash; empty when embedded.
    pub datastore_base_url: String,
    /// The namespace in which everything of a run is created.
    pub namespace: String,
    /// Name of the environment variable with a bearer token for the services; `None`: no token.
    pub api_key_env: Option<String>,
    /// A PEM file with the certificate authority of the services, absolute.
    pub ca_cert: Option<PathBuf>,
    /// Extra request headers; a value may hold `${NAME}`, filled from the environment at connect time.
    pub headers: BTreeMap<String, String>,
    /// At most this many candidates hold a NIM at once (`nim_parallelism`); `None`: as many as the GPU budget allows.
    pub nim_parallelism: Option<u32>,
}

/// Where NeMo is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlatformKind {
    /// A cluster, reached over the three base URLs.
    Nemo,
    /// The NeMo-compatible server inside this process.
    Embedded,
}

/// One candidate model (`nims[]`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The id that the NIM serves, such as `meta/llama-3.2-1b-instruct`.
    pub model_name: String,
    /// Tokens of context the NIM is deployed with.
    pub context_length: u32,
    /// GPUs of the NIM.
    pub gpus: u32,
    /// Volume size of the NIM, such as `25Gi`.
    pub pvc_size: Option<String>,
    /// Image tag, as written.
    pub tag: Option<String>,
    /// Image registry and path before the model name, such as `nvcr.io/nim`.
    pub registry_base: Option<String>,
    /// How to train it; `None`: it is evaluated as it is.
    pub customizer: Option<CustomizerPlan>,
}

/// `customizer_configs` of a candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CustomizerPlan {
    /// Customization target, such as `meta/llama-3.2-1b-instruct@2.0`.
    pub target: String,
    /// GPUs per node.
    pub gpus: u32,
    /// Nodes.
    pub num_nodes: u32,
    /// Tensor parallel size.
    pub tensor_parallel_size: u32,
    /// Data parallel size, when given.
    pub data_parallel_size: Option<u32>,
    /// Sequence parallelism.
    pub use_sequence_parallel: bool,
    /// Rows per GPU and step.
    pub micro_batch_size: u32,
    /// Such as `bf16-mixed`.
    pub training_precision: Option<String>,
    /// Longer rows are truncated by the customizer.
    pub max_seq_length: u32,
}

impl Plan {
    /// The judge that is asked about records of this kind.
    pub fn judge_of(&self, workload: WorkloadType) -> Option<&Judge> {
        self.judge.as_ref().filter(|_| workload == WorkloadType::ToolCalling)
    }
}

impl Candidate {
    /// GPUs of its training job; 0 when it is not trained.
    pub fn training_gpus(&self) -> u32 {
        self.customizer.as_ref().map_or(0, |customizer| customizer.gpus.saturating_mul(customizer.num_nodes.max(1)))
    }

    /// GPUs without which it cannot run: NIM and training one after the other.
    pub fn least_gpus(&self) -> u32 {
        self.gpus.max(self.training_gpus())
    }
}

/// The model that judges tool calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judge {
    /// The model that is asked.
    pub model_name: String,
    /// Where it is.
    pub place: JudgePlace,
}

/// Where a judge is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JudgePlace {
    /// A NIM that the run deploys.
    Local(LocalJudge),
    /// An endpoint that is there already, which the Evaluator calls.
    Remote {
        /// The address that takes chat requests, or the base that it is below.
        url: String,
        /// Where its key is.
        key: JudgeKey,
    },
}

/// The NIM of a judge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LocalJudge {
    /// GPUs, for the whole run; 0 for one that stands in for a remote judge.
    pub gpus: u32,
    /// Volume size, such as `25Gi`.
    pub pvc_size: Option<String>,
    /// Image tag, as written.
    pub tag: Option<String>,
    /// Image registry and path before the model name.
    pub registry_base: Option<String>,
}

/// Where the key of a judge is; never the key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JudgeKey {
    /// In the first of these environment variables that is set; without one no key is sent.
    Variables(Vec<String>),
    /// In plain text in the configuration.
    Written,
}

impl Judge {
    /// GPUs that it takes for the whole run.
    pub fn gpus(&self) -> u32 {
        match &self.place {
            JudgePlace::Local(local) => local.gpus,
            JudgePlace::Remote { .. } => 0,
        }
    }
}

/// `training_config` and `lora_config`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// `sft`.
    pub training_type: String,
    /// `lora`.
    pub finetuning_type: String,
    /// Passes over the training rows.
    pub epochs: u32,
    /// Rows per optimizer step.
    pub batch_size: u32,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// LoRA rank.
    pub adapter_dim: u32,
    /// LoRA dropout.
    pub adapter_dropout: f64,
    /// Pack several rows into one sequence.
    pub sequence_packing_enabled: bool,
}

/// How long to wait for what, in milliseconds (`limits`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// A deployment from its create to being served.
    pub deploy_ms: u64,
    /// A customization job.
    pub train_ms: u64,
    /// An evaluation job.
    pub evaluate_ms: u64,
    /// An adapter from the end of its job to being served.
    pub adapter_ms: u64,
    /// Giving everything back at an exit.
    pub release_ms: u64,
    /// How long an unanswered create may still appear.
    pub settle_ms: u64,
}

/// `logging_config.level`, most quiet first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// `ERROR` and `CRITICAL`: only what went wrong.
    Error,
    /// `WARNING`: and what is worth a look.
    Warning,
    /// `INFO`, the default: and each step.
    #[default]
    Info,
    /// `DEBUG`: and every request.
    Debug,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// The value as shown by `--plan`; a secret is masked.
    pub value: String,
    /// Flag, environment, file or default.
    pub from: Source,
}

/// The kind of place a value came from, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A command-line flag, `--set` included.
    Flag,
    /// An environment variable.
    Environment,
    /// The configuration file.
    File,
    /// The built-in default.
    Default,
}
