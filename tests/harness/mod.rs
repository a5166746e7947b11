//! What the end-to-end tests share: the real binary in a folder of its own, with nothing of the caller's environment;
//! what it wrote; a `serve` that ends with its guard; small logs; tests that cannot run. No assertion about a feature.
//!
//! Use it from a test binary with `#[path = "../harness/mod.rs"] mod harness;`.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy knows test functions, not what they share")]

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// The project's folder.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of testdata/.
pub fn testdata(name: &str) -> PathBuf {
    project().join("testdata").join(name)
}

/// A temporary folder that a test runs in; gone when dropped.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Folder {
        Folder(tempfile::Builder::new().prefix("dfwfd-test-").tempdir().unwrap())
    }

    /// With this flywheel.yaml in it.
    pub fn with_config(yaml: &str) -> Folder {
        let folder = Folder::new();
        folder.write("flywheel.yaml", yaml);
        folder
    }

    /// With the flywheel.yaml that is shipped, reading the shipped news log.
    pub fn shipped() -> Folder {
        let yaml = std::fs::read_to_string(project().join("flywheel.yaml")).unwrap();
        let logs = testdata("news_logs.jsonl");
        let yaml = yaml.replace("testdata/news_logs.jsonl", logs.to_str().unwrap());
        assert!(yaml.contains(logs.to_str().unwrap()), "the shipped configuration names its log otherwise");
        Folder::with_config(&yaml)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The path of something in it.
    pub fn at(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file, making the folders on the way.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        let path = self.at(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("reading {}: {error}", path.display()))
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let path = self.at(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("reading {}: {error}", path.display()))
    }

    /// The binary, to be run in this folder.
    pub fn dfwfd<I, A>(&self, arguments: I) -> Dfwfd
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        Dfwfd::new(self.path()).args(arguments)
    }
}

/// Every file below a folder with what it holds, in the order of their paths.
pub fn files_below(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                found.push((path, bytes));
            }
        }
    }
    found.sort();
    found
}

/// A call of the binary: arguments, environment, standard input.
pub struct Dfwfd {
    command: Command,
    arguments: Vec<OsString>,
    input: Option<Vec<u8>>,
    stdout: Option<Stdio>,
}

impl Dfwfd {
    /// In this folder, with an environment that holds nothing but what every program needs.
    pub fn new(folder: &Path) -> Dfwfd {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dfwfd"));
        command.current_dir(folder).env_clear();
        for name in ["PATH", "HOME", "TMPDIR", "USER", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        Dfwfd { command, arguments: Vec::new(), input: None, stdout: None }
    }

    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Dfwfd {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    pub fn args<I, A>(mut self, arguments: I) -> Dfwfd
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Dfwfd {
        self.command.env(name, value);
        self
    }

    pub fn envs(mut self, variables: &[(String, String)]) -> Dfwfd {
        self.command.envs(variables.iter().map(|(name, value)| (name, value)));
        self
    }

    /// From another folder than the test's.
    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Dfwfd {
        self.command.current_dir(folder);
        self
    }

    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Dfwfd {
        self.input = Some(bytes.into());
        self
    }

    /// With a standard output whose reader has gone.
    pub fn unread(self) -> Dfwfd {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        self.stdout(writer)
    }

    /// With this standard output, which is then nobody's to read.
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Dfwfd {
        self.stdout = Some(stdout.into());
        self
    }

    /// Runs it to its end.
    pub fn run(self) -> Output {
        self.spawn().wait()
    }

    /// Starts it; whoever drops the result before its end kills it.
    pub fn spawn(mut self) -> Running {
        let line: Vec<String> = self.arguments.iter().map(|a| a.to_string_lossy().into_owned()).collect();
        self.command.args(&self.arguments);
        self.command.stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() });
        self.command.stdout(self.stdout.take().unwrap_or_else(Stdio::piped)).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap();
        if let (Some(bytes), Some(mut stdin)) = (self.input, child.stdin.take()) {
            // In a thread of its own, so that a full pipe on either side holds nobody up; a program that ends without
            // reading all of it closes the pipe, which is its good right.
            std::thread::spawn(move || {
                let _ = stdin.write_all(&bytes);
            });
        }
        Running { child, line: line.join(" ") }
    }
}

/// A started process; killed when dropped.
pub struct Running {
    pub child: Child,
    line: String,
}

impl Running {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// SIGKILL, and its end awaited.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGINT, SIGTERM and the like.
    #[cfg(unix)]
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Reads its output to the end and awaits it.
    pub fn wait(mut self) -> Output {
        let stdout = self.child.stdout.take();
        let mut stderr = self.child.stderr.take().unwrap();
        let told = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            stderr.read_to_end(&mut bytes).unwrap();
            bytes
        });
        let mut said = Vec::new();
        if let Some(mut stdout) = stdout {
            stdout.read_to_end(&mut said).unwrap();
        }
        let told = told.join().unwrap();
        let status = self.child.wait().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
        Output { code: status.code(), stdout: text(said), stderr: text(told), line: self.line.clone() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a finished process has said.
#[derive(Debug)]
pub struct Output {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    line: String,
}

impl Output {
    /// Asserts the exit code, and that nothing panicked whatever the code; shows everything when not.
    #[track_caller]
    pub fn expect(self, code: i32) -> Output {
        self.code(code);
        self
    }

    /// The same on what is still needed.
    #[track_caller]
    pub fn code(&self, code: i32) -> &Output {
        assert!(!self.stderr.contains("panicked"), "it panicked: {self}");
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// The one JSON object on the one line of stdout.
    #[track_caller]
    pub fn json(&self) -> Value {
        let lines: Vec<&str> = self.stdout.lines().collect();
        assert_eq!(lines.len(), 1, "one line of JSON on stdout: {self}");
        let value: Value = serde_json::from_str(lines[0]).unwrap_or_else(|error| panic!("{error}: {self}"));
        assert!(value.is_object(), "{self}");
        value
    }

    /// Asserts that stderr holds this text.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Output {
        assert!(self.stderr.contains(text), "stderr should say {text:?}: {self}");
        self
    }

    /// Asserts that stderr ends in a line of advice.
    #[track_caller]
    pub fn hints(&self) -> &Output {
        assert!(self.stderr.lines().any(|line| line.starts_with("hint: ")), "a hint on stderr: {self}");
        self
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "\n$ dfwfd {}\nexit code {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.line, self.code, self.stdout, self.stderr
        )
    }
}

/// The embedded platform in a process of its own; killed when dropped.
pub struct Server {
    running: Running,
    variables: Vec<(String, String)>,
    address: SocketAddr,
}

impl Server {
    /// Starts `serve` with these flags, on a free port unless they name one, and returns once it accepts connections.
    pub fn start(flags: &[&str]) -> Server {
        Server::start_with(flags, &[])
    }

    /// The same with these environment variables.
    pub fn start_with(flags: &[&str], environment: &[(&str, &str)]) -> Server {
        let folder = std::env::temp_dir();
        let mut serve = Dfwfd::new(&folder);
        for (name, value) in environment {
            serve = serve.env(name, value);
        }
        let mut running = serve
            .args(if flags.contains(&"--port") { &["serve"][..] } else { &["serve", "--port", "0"] })
            .args(flags)
            .spawn();
        let stdout = running.child.stdout.take().unwrap();
        let mut variables = Vec::new();
        // The lines come once it accepts connections; what follows them is nobody's business.
        for line in BufReader::new(stdout).lines().take(4) {
            let line = line.unwrap();
            let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("a setting: {line}"));
            variables.push((name.to_owned(), value.to_owned()));
        }
        let nemo = variables.iter().find(|(name, _)| name.ends_with("NEMO_BASE_URL")).expect("serve says where it is");
        let host = nemo.1.trim_start_matches("http://").split('/').next().unwrap();
        let address = host.parse().unwrap();
        Server { running, variables, address }
    }

    /// What `serve` printed: the environment of a run against it.
    pub fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn id(&self) -> u32 {
        self.running.id()
    }

    /// Ends it; what it has said on stderr.
    pub fn end(mut self) -> String {
        self.running.child.kill().unwrap();
        let mut told = String::new();
        self.running.child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        told
    }

    /// An answer's status and body (null when it holds no JSON).
    pub fn get(&self, path: &str) -> (u16, Value) {
        request(self.address, "GET", path, None)
    }

    /// The same for a DELETE.
    pub fn delete(&self, path: &str) -> (u16, Value) {
        request(self.address, "DELETE", path, None)
    }

    /// The same for a POST.
    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        request(self.address, "POST", path, Some(body))
    }
}

/// One HTTP call with JSON over a connection of its own; null when the answer holds none.
pub fn request(address: SocketAddr, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let (status, body) = send(address, method, path, &body.map(Value::to_string).unwrap_or_default());
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

/// One HTTP call with a text over a connection of its own.
pub fn send(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut head = format!("{method} {path} HTTP/1.0\r\nhost: {address}\r\n");
    write!(head, "content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len()).unwrap();
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{head}"));
    (status, body.to_owned())
}

/// The classes of [`record`], with words that occur in one class alone.
pub const CLASSES: [(&str, [&str; 4]); 3] = [
    ("Earnings", ["profit beat forecasts", "quarterly revenue rose", "margin widened", "net income doubled"]),
    ("Merger", ["agreed a takeover", "made a bid for a rival", "closed an all-share deal", "buys its supplier"]),
    ("Product", ["launches a new phone", "unveils an engine", "ships its first chip", "opens a test kitchen"]),
];

/// Letters that stand for a number, so that texts do not fall together once digits are masked.
pub fn word(mut number: usize) -> String {
    let mut word = String::from("Q");
    loop {
        word.push(char::from(b'a' + u8::try_from(number % 26).unwrap()));
        number /= 26;
        if number == 0 {
            return word;
        }
    }
}

/// The label of [`record`] number `number`: the first class twice as often as the others.
pub fn label(number: usize) -> &'static str {
    CLASSES[[0, 0, 1, 2][number % 4]].0
}

/// The text of [`record`] number `number`; no two are near-duplicates.
pub fn text(number: usize) -> String {
    let (_, phrases) = CLASSES.iter().find(|(label_, _)| *label_ == label(number)).unwrap();
    format!("{} Corp {}", word(number), phrases[number / 4 % 4])
}

/// A classification record: 3 classes, a text of its own, one second after the one before.
pub fn record(workload: &str, number: usize) -> Value {
    labelled(workload, number, &text(number), label(number))
}

/// A classification record with this text and label.
pub fn labelled(workload: &str, number: usize, text: &str, label: &str) -> Value {
    let system =
        "Name the event class of the headline. The classes:\n- Earnings\n- Merger\n- Product\nAnswer as [[[class]]].";
    json!({
        "timestamp": 1_700_000_000 + number, "workload_id": workload, "client_id": "desk",
        "request": {"model": "teacher", "messages": [
            {"role": "system", "content": system}, {"role": "user", "content": text}]},
        "response": {"choices": [{"message": {"role": "assistant", "content": format!("[[[{label}]]]")}}]},
    })
}

/// Values as lines.
pub fn lines<'a>(values: impl IntoIterator<Item = &'a Value>) -> String {
    values.into_iter().fold(String::new(), |mut text, value| {
        writeln!(text, "{value}").unwrap();
        text
    })
}

/// A log of records 0 to `count`.
pub fn log(workload: &str, count: usize) -> String {
    lines(&(0..count).map(|number| record(workload, number)).collect::<Vec<_>>())
}

/// Parses lines of JSON.
pub fn parse_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// A test that cannot run here says so and returns: `let Some(python) = need(...) else { return }` and the like.
/// The line goes past the capture of the test runner, begins with `SKIPPED` and is counted by .ci/run. When the
/// environment variable `DFWFD_REQUIRE` (a comma-separated list) names the need, the test fails instead.
pub fn skip(test: &str, need: &str, reason: &str) {
    let required = std::env::var("DFWFD_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|word| word.trim() == need), "{test} needs {need}: {reason}");
    let _ = std::io::stderr().write_all(format!("SKIPPED {test}: {reason}\n").as_bytes());
}

/// The Python interpreter, or a skip when there is none that runs.
pub fn python(test: &str) -> Option<&'static str> {
    let works = |program: &str| {
        Command::new(program).args(["-c", "import json"]).output().is_ok_and(|output| output.status.success())
    };
    if works("python3") {
        return Some("python3");
    }
    skip(test, "python", "there is no python3");
    None
}
