//! Shared by the end-to-end tests: runs the real binary in a folder of its own without the caller's environment, keeps
//! its output, starts `serve`, makes small logs, and skips tests that cannot run. Asserts nothing about a feature.
//!
//! A test binary includes it with `#[path = "../harness/mod.rs"] mod harness;`.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy knows test functions, not what they share")]

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// Returns the project's folder.
pub(crate) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the path of a file of testdata/.
pub(crate) fn testdata(name: &str) -> PathBuf {
    project().join("testdata").join(name)
}

/// A temporary folder that a test runs in, deleted on drop.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Folder {
        Folder(tempfile::Builder::new().prefix("dfwfd-test-").tempdir().unwrap())
    }

    /// Makes a folder with this flywheel.yaml.
    pub(crate) fn with_config(yaml: &str) -> Folder {
        let folder = Folder::new();
        folder.write("flywheel.yaml", yaml);
        folder
    }

    /// Makes a folder with the shipped flywheel.yaml, which reads the shipped news log.
    pub(crate) fn shipped() -> Folder {
        let yaml = std::fs::read_to_string(project().join("flywheel.yaml")).unwrap();
        let logs = testdata("news_logs.jsonl");
        let yaml = yaml.replace("testdata/news_logs.jsonl", logs.to_str().unwrap());
        assert!(yaml.contains(logs.to_str().unwrap()), "the shipped configuration names another log");
        Folder::with_config(&yaml)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Returns the path of a file in it.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file and makes its parent folders.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.at(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("reading {}: {error}", path.display()))
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let path = self.at(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("reading {}: {error}", path.display()))
    }

    /// Prepares a call of the binary in this folder.
    pub(crate) fn dfwfd<I, A>(&self, arguments: I) -> Dfwfd
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        Dfwfd::new(self.path()).args(arguments)
    }
}

/// Returns every file below a folder with its content, ordered by path.
pub(crate) fn files_below(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
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
pub(crate) struct Dfwfd {
    command: Command,
    arguments: Vec<OsString>,
    input: Option<Vec<u8>>,
    stdout: Option<Stdio>,
}

impl Dfwfd {
    /// Prepares a call in this folder, with only the variables that every program needs.
    pub(crate) fn new(folder: &Path) -> Dfwfd {
        let built = OsString::from(env!("CARGO_BIN_EXE_dfwfd"));
        let mut command = Command::new(std::env::var_os("DFWFD_TEST_BINARY").unwrap_or(built));
        command.current_dir(folder).env_clear();
        for name in ["PATH", "HOME", "TMPDIR", "USER", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        Dfwfd { command, arguments: Vec::new(), input: None, stdout: None }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Dfwfd {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    pub(crate) fn args<I, A>(mut self, arguments: I) -> Dfwfd
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Dfwfd {
        self.command.env(name, value);
        self
    }

    pub(crate) fn envs(mut self, variables: &[(String, String)]) -> Dfwfd {
        self.command.envs(variables.iter().map(|(name, value)| (name, value)));
        self
    }

    /// Runs it from another folder than the test's.
    pub(crate) fn current_dir(mut self, folder: impl AsRef<Path>) -> Dfwfd {
        self.command.current_dir(folder);
        self
    }

    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Dfwfd {
        self.input = Some(bytes.into());
        self
    }

    /// Lets no file that it writes grow beyond so many blocks of 512 bytes, as on a full disk.
    pub(crate) fn on_a_full_disk(self, blocks: u32) -> Dfwfd {
        self.under(&format!("trap '' XFSZ; ulimit -f {blocks}"))
    }

    /// Allows it so many KiB of addresses.
    pub(crate) fn with_addresses(self, kib: u64) -> Dfwfd {
        self.under(&format!("ulimit -v {kib}"))
    }

    /// Starts it in a shell after these commands.
    fn under(mut self, commands: &str) -> Dfwfd {
        let script = format!("{commands}; exec \"$0\" \"$@\"");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).arg(self.command.get_program()).env_clear();
        shell.envs(self.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(folder) = self.command.get_current_dir() {
            shell.current_dir(folder);
        }
        self.command = shell;
        self
    }

    /// Gives it a standard output whose reader has gone.
    pub(crate) fn unread(self) -> Dfwfd {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        self.stdout(writer)
    }

    /// Gives it this standard output. `Output::stdout` stays empty.
    pub(crate) fn stdout(mut self, stdout: impl Into<Stdio>) -> Dfwfd {
        self.stdout = Some(stdout.into());
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Output {
        self.spawn().wait()
    }

    /// Starts it. Dropping the result before its end kills it.
    pub(crate) fn spawn(mut self) -> Running {
        let line: Vec<String> = self.arguments.iter().map(|a| a.to_string_lossy().into_owned()).collect();
        self.command.args(&self.arguments);
        self.command.stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() });
        self.command.stdout(self.stdout.take().unwrap_or_else(Stdio::piped)).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap();
        if let (Some(bytes), Some(mut stdin)) = (self.input, child.stdin.take()) {
            // In a thread, because a full pipe on either side would block both. A program may end without reading
            // all of its input.
            std::thread::spawn(move || {
                let _ = stdin.write_all(&bytes);
            });
        }
        Running { child, line: line.join(" ") }
    }
}

/// A started process, killed on drop.
pub(crate) struct Running {
    pub child: Child,
    line: String,
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns true if it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Sends SIGKILL and waits for its end.
    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal, such as SIGINT.
    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Reads its output to the end and waits for its end.
    pub(crate) fn wait(mut self) -> Output {
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

/// The exit code and output of a finished process.
#[derive(Debug)]
pub(crate) struct Output {
    /// None if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    line: String,
}

impl Output {
    /// Asserts the exit code, and that nothing panicked. Shows the output on failure.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Output {
        self.code(code);
        self
    }

    /// Does the same as [`Output::expect`] on a reference.
    #[track_caller]
    pub(crate) fn code(&self, code: i32) -> &Output {
        assert!(!self.stderr.contains("panicked"), "it panicked: {self}");
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Returns the JSON object on the only line of stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let lines: Vec<&str> = self.stdout.lines().collect();
        assert_eq!(lines.len(), 1, "one line of JSON on stdout: {self}");
        let value: Value = serde_json::from_str(lines[0]).unwrap_or_else(|error| panic!("{error}: {self}"));
        assert!(value.is_object(), "{self}");
        value
    }

    /// Asserts that stderr contains this text.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) -> &Output {
        assert!(self.stderr.contains(text), "stderr should say {text:?}: {self}");
        self
    }

    /// Asserts that stderr has a hint.
    #[track_caller]
    pub(crate) fn hints(&self) -> &Output {
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

/// The embedded platform in its own process, killed on drop.
pub(crate) struct Server {
    running: Running,
    variables: Vec<(String, String)>,
    address: SocketAddr,
}

impl Server {
    /// Starts `serve` with these flags, on a free port unless they name one. Returns once it accepts connections.
    pub(crate) fn start(flags: &[&str]) -> Server {
        Server::start_with(flags, &[])
    }

    /// Starts it with these environment variables too.
    pub(crate) fn start_with(flags: &[&str], environment: &[(&str, &str)]) -> Server {
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
        // The server prints these lines once it accepts connections.
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

    /// Returns the variables that `serve` printed: the environment of a run against it.
    pub(crate) fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn id(&self) -> u32 {
        self.running.id()
    }

    /// Kills it and returns its stderr.
    pub(crate) fn end(mut self) -> String {
        self.running.child.kill().unwrap();
        let mut told = String::new();
        self.running.child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        told
    }

    /// Returns status and body. A body without JSON is null.
    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        request(self.address, "GET", path, None)
    }

    /// Like [`Server::get`], for DELETE.
    pub(crate) fn delete(&self, path: &str) -> (u16, Value) {
        request(self.address, "DELETE", path, None)
    }

    /// Like [`Server::get`], for POST.
    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        request(self.address, "POST", path, Some(body))
    }
}

/// Makes one HTTP call with JSON over a new connection. A body without JSON is null.
pub(crate) fn request(address: SocketAddr, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let (status, body) = send(address, method, path, &body.map(Value::to_string).unwrap_or_default());
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

/// Makes one HTTP call with a text over a new connection.
pub(crate) fn send(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    send_with(address, method, path, "", body)
}

/// The same, with further header lines.
pub(crate) fn send_with(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut head = format!("{method} {path} HTTP/1.0\r\nhost: {address}\r\n{headers}");
    write!(head, "content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len()).unwrap();
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{head}"));
    (status, body.to_owned())
}

/// The classes of [`record`], with words that occur in only one class.
pub(crate) const CLASSES: [(&str, [&str; 4]); 3] = [
    ("Earnings", ["profit beat forecasts", "quarterly revenue rose", "margin widened", "net income doubled"]),
    ("Merger", ["agreed a takeover", "made a bid for a rival", "closed an all-share deal", "buys its supplier"]),
    ("Product", ["launches a new phone", "unveils an engine", "ships its first chip", "opens a test kitchen"]),
];

/// Writes a number in letters. Texts that differ in digits only are near-duplicates.
pub(crate) fn word(mut number: usize) -> String {
    let mut word = String::from("Q");
    loop {
        word.push(char::from(b'a' + u8::try_from(number % 26).unwrap()));
        number /= 26;
        if number == 0 {
            return word;
        }
    }
}

/// Returns the label of [`record`] `number`. The first class is twice as frequent as the others.
pub(crate) fn label(number: usize) -> &'static str {
    CLASSES[[0, 0, 1, 2][number % 4]].0
}

/// Returns the text of [`record`] `number`. No two are near-duplicates.
pub(crate) fn text(number: usize) -> String {
    let (_, phrases) = CLASSES.iter().find(|(label_, _)| *label_ == label(number)).unwrap();
    format!("{} Corp {}", word(number), phrases[number / 4 % 4])
}

/// Returns a classification record of 3 classes, with its own text, one second after the previous one.
pub(crate) fn record(workload: &str, number: usize) -> Value {
    labelled(workload, number, &text(number), label(number))
}

/// Returns a classification record with this text and label.
pub(crate) fn labelled(workload: &str, number: usize, text: &str, label: &str) -> Value {
    let system =
        "Name the event class of the headline. The classes:\n- Earnings\n- Merger\n- Product\nAnswer as [[[class]]].";
    json!({
        "timestamp": 1_700_000_000 + number, "workload_id": workload, "client_id": "desk",
        "request": {"model": "teacher", "messages": [
            {"role": "system", "content": system}, {"role": "user", "content": text}]},
        "response": {"choices": [{"message": {"role": "assistant", "content": format!("[[[{label}]]]")}}]},
    })
}

/// Writes each value on a line.
pub(crate) fn lines<'a>(values: impl IntoIterator<Item = &'a Value>) -> String {
    values.into_iter().fold(String::new(), |mut text, value| {
        writeln!(text, "{value}").unwrap();
        text
    })
}

/// Returns a log of records 0 to `count`.
pub(crate) fn log(workload: &str, count: usize) -> String {
    lines(&(0..count).map(|number| record(workload, number)).collect::<Vec<_>>())
}

/// Parses lines of JSON.
pub(crate) fn parse_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Reports that a test cannot run here. The test then returns: `let Some(python) = python(...) else { return }`.
/// The line bypasses the capture of the test runner and begins with `SKIPPED`, which .ci/run counts. The test fails instead
/// if the variable `DFWFD_REQUIRE` (a comma-separated list) names the need.
pub(crate) fn skip(test: &str, need: &str, reason: &str) {
    let required = std::env::var("DFWFD_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|word| word.trim() == need), "{test} needs {need}: {reason}");
    let _ = std::io::stderr().write_all(format!("SKIPPED {test}: {reason}\n").as_bytes());
}

/// Returns the Python interpreter, or skips the test if none runs.
pub(crate) fn python(test: &str) -> Option<&'static str> {
    let works = |program: &str| {
        Command::new(program).args(["-c", "import json"]).output().is_ok_and(|output| output.status.success())
    };
    if works("python3") {
        return Some("python3");
    }
    skip(test, "python", "there is no python3");
    None
}
