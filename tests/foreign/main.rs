//! Foreign clients from PyPI against `dfwfd serve`: one test for each client and version, with its own virtual
//! environment below target/foreign. By default those that NVIDIA's flywheel pins and the openai client; all with
//! `DFWFD_FOREIGN=all`. The scripts in clients/ drive them. `DFWFD_FOREIGN_RECORD` names a file for the requests that
//! they send, such as tests/fuzz/requests.jsonl.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy knows test functions, not the helpers of a test file")]

#[path = "../harness/mod.rs"]
mod harness;
mod record;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use harness::Server;
use libtest_mimic::{Arguments, Failed, Trial};
use record::Recording;

/// A client at a version, and the script that drives it.
struct Client {
    name: &'static str,
    /// The packages for pip, separated by commas.
    packages: &'static str,
    script: &'static str,
    /// The values of `--upload-mode`, each of which is a test.
    modes: &'static [&'static str],
    /// It runs by default.
    always: bool,
}

const BOTH: &[&str] = &["regular", "lfs"];
const ONE: &[&str] = &["regular"];

const CLIENTS: [Client; 7] = [
    sdk("nemo-microservices-1.5.0", "nemo-microservices==1.5.0", true),
    sdk("nemo-microservices-1.0.1", "nemo-microservices==1.0.1", false),
    hub("huggingface-hub-0.30.2", "huggingface_hub==0.30.2", true),
    hub("huggingface-hub-0.36.2", "huggingface_hub==0.36.2", false),
    hub("huggingface-hub-1.33.0", "huggingface_hub==1.33.0", false),
    hub("huggingface-hub-2.4.0", "huggingface_hub==2.4.0", false),
    Client { name: "openai-3.54.0", packages: "openai==3.54.0", script: "chat.py", modes: ONE, always: true },
];

const fn sdk(name: &'static str, packages: &'static str, always: bool) -> Client {
    Client { name, packages, script: "sdk.py", modes: ONE, always }
}

const fn hub(name: &'static str, packages: &'static str, always: bool) -> Client {
    Client { name, packages, script: "hub.py", modes: BOTH, always }
}

/// The exit code of venv.py if it cannot make the environment.
const NOT_AVAILABLE: i32 = 77;

fn main() {
    let mut arguments = Arguments::from_args();
    // The network limits the making of environments, so more threads do not help.
    arguments.test_threads = arguments.test_threads.or(Some(2));
    let all = std::env::var("DFWFD_FOREIGN").is_ok_and(|wanted| wanted == "all");
    let recorded = std::env::var_os("DFWFD_FOREIGN_RECORD");
    let recording = recorded.as_ref().map(|_| Arc::new(Recording::default()));
    if recorded.is_some() {
        // One after another, so that the requests are recorded in a stable order.
        arguments.test_threads = Some(1);
    }
    let mut trials = Vec::new();
    for client in CLIENTS.iter().filter(|client| all || client.always) {
        for mode in client.modes {
            let name = format!("{}_{mode}", client.name);
            let recording = recording.clone();
            trials.push(Trial::test(name.clone(), move || drive(&name, client, mode, recording.as_ref())));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let (Some(file), Some(recording)) = (recorded, recording) {
        recording.write(Path::new(&file));
    }
    conclusion.exit();
}

fn drive(test: &str, client: &Client, mode: &str, recording: Option<&Arc<Recording>>) -> Result<(), Failed> {
    let Some(python) = harness::python(test) else { return Ok(()) };
    let server = Server::start(&["--upload-mode", mode, "--clock", "polls", "--control"]);
    let address = recording.map_or(server.address(), |recording| recording.before(server.address()));
    let output = run(python, client, &server, address, mode);
    let told = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(NOT_AVAILABLE) {
        harness::skip(test, "python", told.lines().last().unwrap_or("no environment"));
        return Ok(());
    }
    if !output.status.success() {
        let done = String::from_utf8_lossy(&output.stdout);
        return Err(format!("{}\nsteps begun:\n{done}\n{told}", output.status).into());
    }
    // It called the platform of this test, which is alive.
    let (status, calls) = server.get("/control/calls");
    let count = calls["count"].as_u64().unwrap_or_default();
    if status != 200 || count < 20 {
        return Err(format!("{count} calls reached the platform, which answers {status} now").into());
    }
    Ok(())
}

fn run(python: &str, client: &Client, server: &Server, address: SocketAddr, mode: &str) -> Output {
    let here = harness::project().join("tests/foreign");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("foreign").join(client.name);
    let bases = ["NEMO_BASE_URL", "NIM_BASE_URL", "DATASTORE_BASE_URL"].map(|wanted| {
        let (_, url) = server.variables().iter().find(|(name, _)| name.ends_with(wanted)).unwrap();
        url.replace(&server.address().to_string(), &address.to_string())
    });
    let mut command = Command::new(python);
    command.arg(here.join("venv.py")).arg(folder).arg(client.packages).arg(here.join("clients").join(client.script));
    command.args(bases).arg(mode).stdin(Stdio::null());
    // Drops the settings of a developer for a real cluster or hub, and proxies.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_lowercase();
        if ["hf_", "huggingface", "openai_", "nemo_", "nvidia_", "pythonpath"]
            .iter()
            .any(|start| text.starts_with(start))
        {
            command.env_remove(&name);
        }
    }
    command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1").env("PYTHONDONTWRITEBYTECODE", "1");
    command.output().unwrap()
}
