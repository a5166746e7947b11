//! Helpers of these tests beyond the harness: a `serve` that can hold calls, a folder with a small log and a
//! configuration, and polls until something is there.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Dfwfd, Output, Server, testdata};

/// Nothing here takes longer on any machine; a test that waits in vain ends with this.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two looks at something that another process does.
const LOOK: Duration = Duration::from_millis(5);

/// Looks until something is there.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(LOOK);
    }
}

/// A small log: enough rows for a split, few enough for hundreds of runs.
pub(crate) fn write_logs(path: &Path) {
    let words = [
        ("Earnings", ["profit", "quarter", "beats", "estimates", "revenue"]),
        ("Dividends", ["dividend", "payout", "shareholders", "declares", "yield"]),
        ("Lawsuits", ["court", "sues", "judge", "settles", "claim"]),
    ];
    let names = ["Arlo", "Brisk", "Corda", "Dunmore", "Elvan", "Farrow", "Gantry", "Holt", "Isham", "Juno"];
    let mut text = String::new();
    for index in 0..90_usize {
        let (label, vocabulary) = words[index % 3];
        let word = |step: usize| vocabulary[(index / 3 + step * (1 + index / 15)) % 5];
        let name = names[(index * 7) % 10];
        let user = format!("{name} {} {} {} after {}", word(0), word(1), word(2), names[(index * 3 + index / 10) % 10]);
        let record = json!({
            "timestamp": 1_700_000_000 + index, "workload_id": "w", "client_id": "c",
            "request": {"model": "big", "messages": [
                {"role": "system", "content": "Classes:\n- Earnings: profit\n- Dividends: payout\n- Lawsuits: court"},
                {"role": "user", "content": user}]},
            "response": {"choices": [{"message": {"role": "assistant", "content": format!("[[[{label}]]]")}}]},
        });
        text.push_str(&record.to_string());
        text.push('\n');
    }
    std::fs::write(path, text).unwrap();
}

/// A `serve` process that advances by polls and can be told to hold calls; killed when dropped.
pub(crate) struct Platform(Server);

impl Platform {
    /// Starts one.
    pub(crate) fn start(extra: &[&str]) -> Platform {
        Platform::start_with(extra, &[])
    }

    /// Starts one with these environment variables too.
    pub(crate) fn start_with(extra: &[&str], environment: &[(&str, &str)]) -> Platform {
        Platform(Server::start_with(&[&["--clock", "polls", "--control"], extra].concat(), environment))
    }

    /// Starts one whose time stands still between the steps of a test.
    pub(crate) fn simulated(gpus: u32) -> Platform {
        Platform(Server::start(&["--clock", "simulated", "--control", "--gpus", &gpus.to_string()]))
    }

    /// The id of its process.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Moves the simulated clock to the next change. Returns the seconds since its start and what changed.
    pub(crate) fn advance(&self) -> (f64, Vec<String>) {
        let (status, answer) = self.0.post("/control/advance", &json!({}));
        assert_eq!(status, 200, "{answer}");
        (answer["seconds"].as_f64().unwrap(), names(&answer["changed"]))
    }

    /// The port, for another one at the same address.
    pub(crate) fn port(&self) -> String {
        self.0.address().port().to_string()
    }

    /// A POST that must succeed.
    pub(crate) fn post(&self, path: &str, body: &Value) {
        assert_eq!(self.0.post(path, body).0, 200, "POST {path}");
    }

    /// A GET that must succeed.
    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, answer) = self.0.get(path);
        assert_eq!(status, 200, "GET {path}: {answer}");
        answer
    }

    /// The status of a DELETE.
    pub(crate) fn delete(&self, path: &str) -> u16 {
        self.0.delete(path).0
    }

    /// Holds the `call`-th call from now, `before` or `after` its effect.
    pub(crate) fn hold(&self, call: u64, when: &str) {
        self.post("/control/hold", &json!({"call": call, "when": when}));
    }

    /// Holds the first call from now whose method and path begin so, before its effect.
    pub(crate) fn hold_first(&self, matching: &str) {
        self.hold_matching(matching, "before");
    }

    /// The same, `before` or `after` its effect.
    pub(crate) fn hold_matching(&self, matching: &str, when: &str) {
        self.post("/control/hold", &json!({"call": 1, "when": when, "matching": matching}));
    }

    /// Lets the held call go on.
    pub(crate) fn release(&self) {
        self.post("/control/release", &json!({}));
    }

    /// The calls since the last `hold`: how many, whether one is held, and which.
    pub(crate) fn calls(&self) -> (u64, bool, Vec<String>) {
        let answer = self.get("/control/calls");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let calls = answer["calls"].as_array().unwrap();
        let lines = calls.iter().map(|call| format!("{} {}", text(&call["method"]), text(&call["path"])));
        (answer["count"].as_u64().unwrap(), answer["held"].as_bool().unwrap(), lines.collect())
    }

    /// Returns the resources of class GPU: deployments and unfinished jobs.
    pub(crate) fn gpus_held(&self) -> Vec<String> {
        let state = self.get("/control/state");
        let deployments = names(&state["deployments"]);
        deployments.into_iter().chain(names(&state["unfinished_jobs"])).collect()
    }

    /// Returns the resources that a purge must delete: all but namespaces and records of finished training jobs.
    pub(crate) fn purgeable(&self) -> Vec<String> {
        let state = self.get("/control/state");
        let kinds =
            ["deployments", "unfinished_jobs", "evaluation_jobs", "datasets", "repos", "configs", "models", "adapters"];
        kinds
            .iter()
            .flat_map(|kind| names(&state[*kind]).into_iter().map(move |name| (*kind, name)))
            // Deployment Management registers the model that it deploys, and keeps it: only a revision is a run's own.
            .filter(|(kind, name)| *kind != "models" || name.contains('@'))
            .map(|(kind, name)| format!("{kind}: {name}"))
            .collect()
    }

    /// The command for a process against this platform.
    pub(crate) fn command(&self, home: &Home, arguments: &[&str]) -> Dfwfd {
        home.command(arguments).envs(self.0.variables())
    }

    /// Runs to the end.
    pub(crate) fn dfwfd(&self, home: &Home, arguments: &[&str]) -> Output {
        self.command(home, arguments).run()
    }
}

fn names(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => {
            items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect()
        }
        Value::Object(items) => items.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

/// A folder with logs, a configuration and a state directory.
pub(crate) struct Home {
    folder: tempfile::TempDir,
    /// The configuration file.
    pub config: PathBuf,
    /// The state directory.
    pub state: PathBuf,
}

impl Home {
    /// One with that many candidates and this GPU budget.
    pub(crate) fn new(candidates: usize, gpus: &str) -> Home {
        let models = ["dfwfd/ngram-small", "dfwfd/ngram-large", "acme/third-1b"];
        Home::of(&models[..candidates], gpus)
    }

    /// One with these models, each with one GPU to serve and one to train.
    pub(crate) fn of(models: &[&str], gpus: &str) -> Home {
        let folder = tempfile::tempdir().unwrap();
        write_logs(&folder.path().join("logs.jsonl"));
        let nims: String = models
            .iter()
            .map(|model| {
                format!(
                    "  - model_name: {model}\n    gpus: 1\n    customization_enabled: true\n    customizer_configs:\n      \
                     target: {model}@1.0\n      gpus: 1\n      max_seq_length: 4096\n"
                )
            })
            .collect();
        let config = folder.path().join("flywheel.yaml");
        std::fs::write(
            &config,
            format!(
                "nmp_config:\n  platform: nemo\nlogs:\n  source: jsonl\n  path: logs.jsonl\ndata_split_config:\n  \
                 eval_size: 20\n  min_total_records: 30\nlimits:\n  settle: 0s\ngpus: {gpus}\nnims:\n{nims}"
            ),
        )
        .unwrap();
        let state = folder.path().join("state");
        Home { config, state, folder }
    }

    /// The same with tool calls, the shipped ones, that the judge of these settings is asked about.
    pub(crate) fn judged(candidates: usize, gpus: &str, judge: &str) -> Home {
        let home = Home::new(candidates, gpus);
        std::fs::copy(testdata("tools_logs.jsonl"), home.folder().join("logs.jsonl")).unwrap();
        let mut text = std::fs::read_to_string(&home.config).unwrap();
        text.push_str(&format!(
            "evaluation_config:\n  workload_type: tool_calling\n  tool_eval_type: tool-calling-judge\nllm_judge_config: {{{judge}}}\n"
        ));
        std::fs::write(&home.config, text).unwrap();
        home
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The command for a process with this configuration and state directory.
    pub(crate) fn command(&self, arguments: &[&str]) -> Dfwfd {
        Dfwfd::new(self.folder()).args(arguments).arg("--config").arg(&self.config).arg("--state-dir").arg(&self.state)
    }
}

/// The scores of every evaluation of a report, without what differs between runs.
pub(crate) fn scores(report: &Value) -> Value {
    let candidates = report["candidates"].as_array().unwrap().iter().map(|candidate| {
        let of = |which: &str| candidate["evaluations"][which]["scores"].clone();
        json!({"model": candidate["model"], "base": of("base"), "customized": of("customized")})
    });
    Value::Array(candidates.collect())
}
