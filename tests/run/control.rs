//! Processes of these tests: a `serve` that is told to hold calls, and runs against it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Nothing here takes longer on any machine; a test that waits in vain ends with this.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two looks at something that another process does.
const LOOK: Duration = Duration::from_millis(5);

/// Looks until something is there.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
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
pub fn write_logs(path: &Path) {
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

/// A `serve` process; killed when dropped.
pub struct Platform {
    child: Child,
    base: String,
    variables: Vec<(String, String)>,
}

impl Platform {
    /// Starts one that advances by polls and can be told to hold calls.
    pub fn start(folder: &Path, extra: &[&str]) -> Platform {
        let file = folder.join("serve.env");
        let _ = std::fs::remove_file(&file);
        let child = Command::new(env!("CARGO_BIN_EXE_dfwfd"))
            .args(["serve", "--port", "0", "--clock", "polls", "--control", "--env-file"])
            .arg(&file)
            .args(extra)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let text = until("the platform", || std::fs::read_to_string(&file).ok());
        let variables: Vec<(String, String)> = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned()))
            .collect();
        let nemo = &variables.iter().find(|(name, _)| name.ends_with("NEMO_BASE_URL")).unwrap().1;
        let base = nemo.strip_suffix("/nemo").unwrap().to_owned();
        Platform { child, base, variables }
    }

    fn request(&self, method: &str, path: &str, body: &str) -> Value {
        let address = self.base.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{method} {path}: {answer}");
        serde_json::from_str(body).unwrap()
    }

    /// Holds the `call`-th call from now, `before` or `after` its effect.
    pub fn hold(&self, call: u64, when: &str) {
        self.request("POST", "/control/hold", &json!({"call": call, "when": when}).to_string());
    }

    /// Lets the held call go on.
    pub fn release(&self) {
        self.request("POST", "/control/release", "");
    }

    /// The calls since the last `hold`: how many, whether one is held, and which.
    pub fn calls(&self) -> (u64, bool, Vec<String>) {
        let answer = self.request("GET", "/control/calls", "");
        let calls = answer["calls"].as_array().unwrap();
        let lines = calls.iter().map(|call| format!("{} {}", text(&call["method"]), text(&call["path"])));
        (answer["count"].as_u64().unwrap(), answer["held"].as_bool().unwrap(), lines.collect())
    }

    /// Everything that exists there.
    pub fn state(&self) -> Value {
        self.request("GET", "/control/state", "")
    }

    /// What of class GPU is there: deployments and unfinished jobs.
    pub fn gpus_held(&self) -> Vec<String> {
        let state = self.state();
        let deployments = names(&state["deployments"]);
        deployments.into_iter().chain(names(&state["unfinished_jobs"])).collect()
    }

    /// What a purge has to take away: everything but records of finished training jobs and namespaces.
    pub fn purgeable(&self) -> Vec<String> {
        let state = self.state();
        let kinds =
            ["deployments", "unfinished_jobs", "evaluation_jobs", "datasets", "repos", "configs", "models", "adapters"];
        kinds
            .iter()
            .flat_map(|kind| names(&state[*kind]).into_iter().map(move |name| format!("{kind}: {name}")))
            .collect()
    }

    /// The command for a process against this platform.
    pub fn command(&self, home: &Home, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dfwfd"));
        command
            .args(arguments)
            .arg("--config")
            .arg(&home.config)
            .arg("--state-dir")
            .arg(&home.state)
            .current_dir(home.folder())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs to the end.
    pub fn dfwfd(&self, home: &Home, arguments: &[&str]) -> Outcome {
        Outcome::new(self.command(home, arguments).output().unwrap())
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
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
pub struct Home {
    folder: tempfile::TempDir,
    /// The configuration file.
    pub config: PathBuf,
    /// The state directory.
    pub state: PathBuf,
}

impl Home {
    /// One with that many candidates; `more` is appended to the configuration.
    pub fn new(candidates: usize, more: &str) -> Home {
        let folder = tempfile::tempdir().unwrap();
        write_logs(&folder.path().join("logs.jsonl"));
        let models = ["dfwfd/ngram-small", "dfwfd/ngram-large", "acme/third-1b"];
        let nims: String = models[..candidates]
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
                 eval_size: 20\n  min_total_records: 30\nlimits:\n  settle: 0s\ngpus: 8\n{more}nims:\n{nims}"
            ),
        )
        .unwrap();
        let state = folder.path().join("state");
        Home { config, state, folder }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// What a process said.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code; `None` after a signal.
    pub code: Option<i32>,
    /// What stood on stdout.
    pub stdout: String,
    /// What stood on stderr.
    pub stderr: String,
}

impl Outcome {
    /// From a process that has ended.
    pub fn new(output: Output) -> Outcome {
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!stderr.contains("panicked"), "{stderr}");
        Outcome { code: output.status.code(), stdout: String::from_utf8(output.stdout).unwrap(), stderr }
    }

    /// The one JSON object on stdout.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Fails with everything that was said unless the code is this.
    pub fn expect(self, code: i32) -> Outcome {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }
}

/// A process that goes on.
pub struct Running(pub Child);

impl Running {
    /// Starts it.
    pub fn start(mut command: Command) -> Running {
        Running(command.spawn().unwrap())
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Sends a signal by name.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").arg(format!("-{signal}")).arg(self.0.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end.
    pub fn outcome(self) -> Outcome {
        Outcome::new(self.0.wait_with_output().unwrap())
    }
}

/// The scores of every evaluation of a report, without what differs between runs.
pub fn scores(report: &Value) -> Value {
    let candidates = report["candidates"].as_array().unwrap().iter().map(|candidate| {
        let of = |which: &str| candidate["evaluations"][which]["scores"].clone();
        json!({"model": candidate["model"], "base": of("base"), "customized": of("customized")})
    });
    Value::Array(candidates.collect())
}
