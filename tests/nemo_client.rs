//! The NeMo client against the embedded platform: every call that a run makes, in its order, in both upload modes. The
//! two sides own their wire types apart, so a spelling that only one of them knows fails here.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy knows test functions, not the helpers of a test file")]

use std::collections::BTreeMap;
use std::path::Path;

use dfwfd::embedded::{Clock, Options, Server, UploadMode};
use dfwfd::nemo::{
    BaseUrls, Client, ClientOptions, EvaluatedRow, EvaluationKind, Hyperparameters, JobStatus, NewDataset,
    NewDeployment, NewEvaluation, NewTrainingConfig, NewTrainingJob, Removal, Secret, StoredDataset, TrainingOption,
    UploadFile,
};
use serde_json::{Value, json};

const NS: &str = "desk";
const MODEL: &str = "dfwfd/ngram-small";
const EVAL: &str = "dfwfd-abcdefgh-eval";
const TRAIN: &str = "dfwfd-abcdefgh-train";
const NIM: &str = "dfwfd-abcdefgh-nim";
const CONFIG: &str = "dfwfd-abcdefgh-config@v1";
const ADAPTER: &str = "dfwfd-abcdefgh-adapter";
/// More status reads than any job of the embedded platform needs when it moves by reads.
const READS: usize = 200;
/// The words of each class share nothing with its label, so that only a trained student can tell.
const CLASSES: [(&str, [&str; 4]); 2] = [
    ("Earnings", ["profit beat", "quarterly revenue rose", "margin widened", "net income doubled"]),
    ("Merger", ["agreed to buy", "takeover offer", "all-share deal", "bid for rival"]),
];

fn client(server: &Server) -> Client {
    let (nemo, nim, datastore) = server.base_urls();
    let options = ClientOptions {
        base_urls: BaseUrls { nemo, nim, datastore },
        bearer: None,
        hf_token: Some(Secret::new("nothing")),
        headers: Vec::new(),
        ca_cert: None,
    };
    Client::new(&options, None, NS).unwrap()
}

fn start(upload_mode: UploadMode) -> Server {
    Server::start(Options { upload_mode, clock: Clock::Polls, gpus: 2, ..Options::default() }).unwrap()
}

/// The text of row `number`, and its label.
fn row(number: usize) -> (String, &'static str) {
    let (label, phrases) = CLASSES[number % 2];
    (format!("Company {number} {} on day {}", phrases[number / 2 % 4], number * 7), label)
}

fn messages(text: &str) -> Value {
    json!([
        { "role": "system", "content": "Choose one event class:\n- Earnings\n- Merger\nAnswer as [[[class]]]." },
        { "role": "user", "content": text },
    ])
}

/// Rows as the customizer wants them.
fn training_rows(numbers: std::ops::Range<usize>) -> String {
    let rows = numbers.map(|number| {
        let (text, label) = row(number);
        let mut messages = messages(&text);
        let reply = json!({ "role": "assistant", "content": format!("[[[{label}]]]") });
        messages.as_array_mut().unwrap().push(reply);
        json!({ "messages": messages }).to_string()
    });
    rows.collect::<Vec<_>>().join("\n")
}

/// Rows as the evaluator wants them.
fn eval_rows(numbers: std::ops::Range<usize>) -> String {
    let rows = numbers.map(|number| {
        let (text, label) = row(number);
        let reply = json!({ "message": { "role": "assistant", "content": format!("[[[{label}]]]") } });
        json!({ "request": { "messages": messages(&text) }, "response": { "choices": [reply] } }).to_string()
    });
    rows.collect::<Vec<_>>().join("\n")
}

fn file(folder: &Path, path: &str, content: &str) -> UploadFile {
    let local = folder.join(path.replace('/', "-"));
    std::fs::write(&local, content).unwrap();
    UploadFile { path: path.to_owned(), local }
}

fn dataset(name: &str) -> NewDataset {
    NewDataset {
        namespace: NS.into(),
        name: name.into(),
        description: format!("{name} (me@here)"),
        project: "flywheel".into(),
    }
}

fn deployment() -> NewDeployment {
    NewDeployment {
        namespace: NS.into(),
        name: NIM.into(),
        model: MODEL.into(),
        image_name: "nvcr.io/nim/dfwfd/ngram-small".into(),
        image_tag: "1.8.3".into(),
        pvc_size: Some("25Gi".into()),
        gpu: 1,
        envs: BTreeMap::from([("NIM_GUIDED_DECODING_BACKEND".into(), "outlines".into())]),
        engine: None,
        context_length: None,
        lora_rank: 16,
        description: format!("{NIM} (me@here)"),
    }
}

fn training_option() -> TrainingOption {
    TrainingOption {
        training_type: "sft".into(),
        finetuning_type: "lora".into(),
        num_gpus: 1,
        num_nodes: 1,
        tensor_parallel_size: 1,
        data_parallel_size: None,
        use_sequence_parallel: false,
        micro_batch_size: 1,
    }
}

fn config() -> NewTrainingConfig {
    NewTrainingConfig {
        namespace: NS.into(),
        name: CONFIG.into(),
        description: format!("{CONFIG} (me@here)"),
        target: format!("{MODEL}@1.0"),
        max_seq_length: 4096,
        training_precision: Some("bf16-mixed".into()),
        option: training_option(),
    }
}

fn training() -> NewTrainingJob {
    NewTrainingJob {
        namespace: NS.into(),
        description: "dfwfd-abcdefgh-training (me@here)".into(),
        config: CONFIG.into(),
        dataset: TRAIN.into(),
        adapter: ADAPTER.into(),
        model: MODEL.into(),
        max_seq_length: 1024,
        training_precision: None,
        option: training_option(),
        backend: None,
        execution_profile: None,
        hyperparameters: Hyperparameters {
            training_type: "sft".into(),
            finetuning_type: "lora".into(),
            epochs: 2,
            batch_size: 16,
            learning_rate: 1e-4,
            adapter_dim: 16,
            adapter_dropout: 0.1,
            sequence_packing_enabled: true,
            seed: Some(42),
        },
    }
}

fn evaluation(model: &str, kind: &str) -> NewEvaluation {
    NewEvaluation {
        judge: None,
        kind: EvaluationKind::Classification,
        namespace: NS.into(),
        description: format!("dfwfd-abcdefgh-{kind} (me@here)"),
        model: model.into(),
        dataset: EVAL.into(),
        file: "eval_data.jsonl".into(),
        temperature: None,
    }
}

/// Uploads and registers both datasets.
async fn fill(client: &Client, folder: &Path) {
    client.ensure_namespace(NS).await.unwrap();
    client.ensure_namespace(NS).await.unwrap();
    let (train, validation) = (training_rows(0..200), training_rows(200..230));
    let eval = [file(folder, "eval_data.jsonl", &eval_rows(300..340))];
    let train = [
        file(folder, "training/train_data.jsonl", &train),
        file(folder, "validation/val_data.jsonl", &validation),
        file(folder, "notes/empty.txt", ""),
    ];
    for (name, files) in [(EVAL, &eval[..]), (TRAIN, &train[..])] {
        let dataset = dataset(name);
        assert_eq!(client.dataset(&dataset).await.unwrap(), StoredDataset::Absent);
        for _ in 0..2 {
            client.create_dataset(&dataset, files).await.unwrap();
            let StoredDataset::Files(stored) = client.dataset(&dataset).await.unwrap() else { panic!("{name}") };
            let stored: BTreeMap<String, u64> = stored.into_iter().map(|file| (file.path, file.size)).collect();
            let expected = files.iter().map(|file| (file.path.clone(), std::fs::metadata(&file.local).unwrap().len()));
            assert_eq!(stored, expected.collect());
        }
        let other = NewDataset { project: "other".into(), ..dataset };
        assert!(matches!(client.dataset(&other).await.unwrap(), StoredDataset::Different(_)));
    }
}

/// Deploys the NIM and waits until its model is served.
async fn deploy(client: &Client) {
    assert_eq!(client.deployment(NS, NIM).await.unwrap(), None);
    assert_eq!(client.deployments().await.unwrap(), []);
    let made = client.create_deployment(&deployment()).await.unwrap();
    assert!(!made.status.is_terminal(), "{:?}", made.status);
    let error = client.create_deployment(&deployment()).await.unwrap_err();
    assert!(error.already_exists() && !error.may_have_been_accepted(), "{error}");
    assert_eq!(error.status(), Some(500));
    let mut reads = 0;
    let ready = loop {
        let there = client.deployment(NS, NIM).await.unwrap().unwrap();
        if there.status == JobStatus::Done {
            break there;
        }
        reads += 1;
        assert!(reads < READS, "{:?}", there.status);
    };
    assert_eq!(deployment().differs_from(&ready), None);
    assert_eq!((ready.model.as_deref(), ready.gpu), (Some(MODEL), Some(1)));
    assert_eq!(ready.description.as_deref(), Some(deployment().description.as_str()));
    assert!(ready.created_at_ms.is_some());
    assert_eq!(client.deployments().await.unwrap().len(), 1);
    served(client, MODEL).await;
}

/// Waits until the NIM proxy lists a model.
async fn served(client: &Client, model: &str) {
    for _ in 0..READS {
        match client.served_models().await {
            Ok(models) if models.iter().any(|id| id == model) => return,
            Ok(_) => {}
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
    panic!("{model} is never served");
}

/// Evaluates a model, and gives its token F1 and its rows.
async fn evaluate(client: &Client, model: &str, kind: &str) -> (f64, Vec<EvaluatedRow>) {
    let new = evaluation(model, kind);
    assert_eq!(client.find_evaluation_job(&new.description).await.unwrap(), None);
    let made = client.create_evaluation_job(&new).await.unwrap();
    assert_eq!(made.namespace.as_deref(), Some(NS));
    let found = client.find_evaluation_job(&new.description).await.unwrap().unwrap();
    assert_eq!(found.id, made.id);
    let mut reads = 0;
    let done = loop {
        let job = client.evaluation_job(&made.id).await.unwrap().unwrap();
        if job.status.is_terminal() {
            break job;
        }
        reads += 1;
        assert!(reads < READS, "{job:?}");
    };
    assert_eq!((done.status, done.progress, done.samples_processed), (JobStatus::Done, Some(100.0), Some(40)));
    let results = client.evaluation_scores(&made.id).await.unwrap();
    let rows = client.evaluated_rows(&made.id).await.unwrap();
    assert_eq!(rows.len(), 40);
    let mean = |metric: &str, score: &str| rows.iter().map(|row| row.scores[metric][score]).sum::<f64>() / 40.0;
    let f1 = results.token_f1().unwrap();
    assert!((mean("f1", "f1_score") - f1).abs() < 1e-9);
    let exact = results.score("string-check", &["string-check"]).unwrap();
    assert!((mean("string-check", "string-check") - exact).abs() < 1e-9);
    (f1, rows)
}

/// Trains an adapter and waits until it is served; gives the job's id and the adapter's name.
async fn train(client: &Client) -> (String, String) {
    assert_eq!(client.training_config(NS, CONFIG).await.unwrap(), None);
    let made = client.create_training_config(&config()).await.unwrap();
    assert_eq!(config().differs_from(&made), None);
    assert!(client.create_training_config(&config()).await.unwrap_err().already_exists());
    let there = client.training_config(NS, CONFIG).await.unwrap().unwrap();
    assert_eq!((config().differs_from(&there), there.description), (None, Some(config().description)));
    let mut longer = config();
    longer.max_seq_length = 8192;
    assert_eq!(longer.differs_from(&made).unwrap(), "max_seq_length: ours is 8192, the platform has 4096");

    let new = training();
    assert_eq!(client.find_training_job(&new.description).await.unwrap(), None);
    let made = client.create_training_job(&new).await.unwrap();
    let adapter = format!("{NS}/{ADAPTER}@{}", made.id);
    assert_eq!((made.namespace.as_deref(), made.output_model.as_deref()), (Some(NS), Some(adapter.as_str())));
    let found = client.find_training_job(&new.description).await.unwrap().unwrap();
    assert_eq!(found.id, made.id);
    let mut reads = 0;
    let done = loop {
        let status = client.training_status(&made.id).await.unwrap();
        if status.status.is_terminal() {
            break status;
        }
        reads += 1;
        assert!(reads < READS, "{status:?}");
    };
    assert_eq!((done.status, done.percentage), (JobStatus::Done, Some(100.0)));
    assert_eq!(done.epochs_completed, Some(2));
    assert!(done.losses.iter().any(|point| point.train.is_some()), "{:?}", done.losses);
    assert!(done.losses.iter().any(|point| point.validation.is_some()), "{:?}", done.losses);
    assert!(done.losses.is_sorted_by(|a, b| a.step < b.step));
    assert_eq!(client.training_job(&made.id).await.unwrap().unwrap().status, JobStatus::Done);
    served(client, &adapter).await;
    assert_eq!(client.served_adapter(NS, ADAPTER, &made.id).await.unwrap(), adapter);
    assert!(client.adapter_exists(NS, ADAPTER, &made.id).await.unwrap());
    (made.id, adapter)
}

/// Jobs that are cancelled before they end; cancelling what has ended, or is not there, is no error.
async fn cancel(client: &Client) {
    let job = client.create_training_job(&training()).await.unwrap().id;
    client.cancel_training_job(&job).await.unwrap();
    let mut reads = 0;
    while client.training_status(&job).await.unwrap().status != JobStatus::Cancelled {
        reads += 1;
        assert!(reads < READS);
    }
    client.cancel_training_job(&job).await.unwrap();
    let job = client.create_evaluation_job(&evaluation(MODEL, "cancelled")).await.unwrap().id;
    client.cancel_evaluation_job(&job).await.unwrap();
    let mut reads = 0;
    while client.evaluation_job(&job).await.unwrap().unwrap().status != JobStatus::Cancelled {
        reads += 1;
        assert!(reads < READS);
    }
    client.cancel_evaluation_job(&job).await.unwrap();
    assert_eq!(client.delete_evaluation_job(&job).await.unwrap(), Removal::Removed);
    client.cancel_evaluation_job(&job).await.unwrap();
    client.cancel_training_job("cust-none").await.unwrap();
}

/// Everything is deleted, and deleting it again finds nothing.
async fn clear(client: &Client, job: &str) {
    for expected in [Removal::Removed, Removal::Absent] {
        assert_eq!(client.delete_deployment(NS, NIM).await.unwrap(), expected);
        assert_eq!(client.delete_training_config(NS, CONFIG).await.unwrap(), expected);
        assert_eq!(client.delete_adapter(NS, ADAPTER, &[job]).await.unwrap(), expected);
        for name in [EVAL, TRAIN] {
            assert_eq!(client.delete_dataset(NS, name).await.unwrap(), expected);
        }
    }
    assert_eq!(client.deployment(NS, NIM).await.unwrap(), None);
    assert_eq!(client.deployments().await.unwrap(), []);
    assert_eq!(client.dataset(&dataset(EVAL)).await.unwrap(), StoredDataset::Absent);
    assert!(!client.adapter_exists(NS, ADAPTER, job).await.unwrap());
    let mut reads = 0;
    while !client.served_models().await.unwrap().is_empty() {
        reads += 1;
        assert!(reads < READS);
    }
}

async fn flywheel(mode: UploadMode) {
    let server = start(mode);
    let folder = tempfile::tempdir().unwrap();
    let client = client(&server);
    assert_eq!(client.embedded_instance(), None);
    client.check_api().await.unwrap();
    assert_eq!(client.embedded_instance().as_deref(), Some(server.instance()));
    for &service in client.services().await.unwrap() {
        client.probe(service).await.unwrap();
    }
    let targets = client.training_targets().await.unwrap();
    assert!(targets.iter().any(|target| target.enabled && target.base_model.as_deref() == Some(MODEL)), "{targets:?}");

    fill(&client, folder.path()).await;
    deploy(&client).await;
    let (base, rows) = evaluate(&client, MODEL, "base").await;
    assert_eq!(rows[0].item["request"]["messages"], messages(&row(300).0));
    let (job, adapter) = train(&client).await;
    let (customized, rows) = evaluate(&client, &adapter, "customized").await;
    assert!(customized > base + 0.2 && customized > 0.9, "{base} {customized}");
    for row in &rows {
        let said = row.output_text.as_deref().unwrap();
        let truth = row.item["response"]["choices"][0]["message"]["content"].as_str().unwrap();
        assert_eq!(row.scores["string-check"]["string-check"] == 1.0, said == truth, "{said} {truth}");
        assert!(row.prompt_tokens.unwrap() > 0 && row.completion_tokens.unwrap() > 0);
    }
    cancel(&client).await;
    clear(&client, &job).await;
}

#[tokio::test]
async fn a_whole_flywheel_with_regular_uploads() {
    flywheel(UploadMode::Regular).await;
}

#[tokio::test]
async fn a_whole_flywheel_with_lfs_uploads() {
    flywheel(UploadMode::Lfs).await;
}

#[tokio::test]
async fn refusals_keep_the_services_words() {
    let server = start(UploadMode::Regular);
    let client = client(&server);
    client.ensure_namespace(NS).await.unwrap();
    let error = client.create_training_job(&training()).await.unwrap_err();
    assert!(matches!(error.status(), Some(404 | 422)) && !error.may_have_been_accepted(), "{error}");
    assert!(error.to_string().contains(CONFIG), "{error}");
    let error = client.create_evaluation_job(&evaluation(MODEL, "base")).await.unwrap_err();
    assert!(error.to_string().contains("is not present on datastore"), "{error}");
    assert!(!error.is_unreachable() && !error.may_have_been_accepted());
    assert_eq!(client.evaluation_job("eval-none").await.unwrap(), None);
    assert_eq!(client.training_job("cust-none").await.unwrap(), None);
    assert!(client.training_status("cust-none").await.unwrap_err().is_not_found());
    assert!(client.evaluation_scores("eval-none").await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_platform_that_is_gone_is_unreachable() {
    let server = start(UploadMode::Regular);
    let client = client(&server);
    client.check_api().await.unwrap();
    drop(server);
    let error = client.served_models().await.unwrap_err();
    assert!(error.is_unreachable() && error.is_transient() && !error.is_not_found(), "{error}");
}
