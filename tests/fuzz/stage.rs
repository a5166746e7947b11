//! The platform under test, with all entities that the recorded requests refer to, and the checks of its answers.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::harness::Server;
use crate::mutate::{Framing, Request};
use crate::wire::{self, Slow};

/// The largest number of requests that are sent slowly at a time.
const MOST_SLOW: usize = 24;

/// Reads after which a deployment is ready and a job has ended.
const READS: usize = 6;

/// Makes glibc's allocator return free memory. By default it raises these limits with every large body, up to 32 and 64
/// MB for each arena, and the memory that it keeps hides the memory that the platform keeps.
const ALLOCATOR: [(&str, &str); 3] =
    [("MALLOC_MMAP_THRESHOLD_", "131072"), ("MALLOC_TRIM_THRESHOLD_", "131072"), ("MALLOC_ARENA_MAX", "2")];

/// The id of a job that does not exist.
const NONE: &str = "none";

/// The platform, and the ids that requests name in braces.
pub(crate) struct Target {
    server: Server,
    requests: Vec<Request>,
    training: String,
    evaluation: String,
    /// The result of that evaluation.
    result: String,
    /// The newest commit of each repository.
    commits: Vec<(String, String)>,
    slow: Vec<Slow>,
}

impl Target {
    pub(crate) fn start(requests: Vec<Request>) -> Target {
        let server = Server::start_with(&["--clock", "polls", "--gpus", "64", "--control"], &ALLOCATOR);
        Target {
            server,
            requests,
            training: NONE.into(),
            evaluation: NONE.into(),
            result: NONE.into(),
            commits: Vec::new(),
            slow: Vec::new(),
        }
    }

    /// Fills the current ids into a recorded request.
    pub(crate) fn fill(&self, request: &Request) -> Request {
        let repository = |(name, _): &&(String, String)| request.path.contains(&format!("/{name}/"));
        let commit = self.commits.iter().find(repository).map_or("main", |(_, commit)| commit);
        let names = [
            ("{training}", self.training.as_str()),
            ("{evaluation}", &self.evaluation),
            ("{result}", &self.result),
            ("{commit}", commit),
            ("{address}", &self.address().to_string()),
        ];
        let filled = |text: &str| names.iter().fold(text.to_owned(), |text, (name, id)| text.replace(name, id));
        let body = String::from_utf8(request.body.clone()).unwrap();
        Request { path: filled(&request.path), body: filled(&body).into_bytes(), ..request.clone() }
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Resets the platform, and drops slow requests.
    pub(crate) fn reset(&mut self) {
        while !self.slow.is_empty() {
            self.go_on();
        }
        assert_eq!(self.server.post("/control/reset", &Value::Null).0, 200);
        (self.training, self.evaluation) = (NONE.into(), NONE.into());
    }

    /// Creates the entities that requests refer to, if they are missing. If mutated requests left entities that jobs
    /// cannot use, such as invalid rows, it resets the platform first.
    pub(crate) fn stage(&mut self) {
        if !self.make() {
            self.reset();
            assert!(self.make(), "no recorded job comes to its end");
        }
    }

    /// Creates the entities, then trains and evaluates. Returns whether that succeeded.
    fn make(&mut self) -> bool {
        let job = |request: &Request| request.path.contains("/jobs") || request.path.ends_with("/live");
        let made = |request: &Request| {
            ["POST", "PUT"].contains(&request.method.as_str()) && !job(request) && !request.path.starts_with("/nim")
        };
        for request in self.requests.iter().filter(|request| made(request)) {
            self.send(&self.fill(request));
        }
        for _ in 0..READS {
            self.server.get("/nemo/v1/deployment/model-deployments/foreign/student");
            self.server.get("/nim/v1/models");
        }
        let (_, served) = self.server.get("/nim/v1/models");
        if self.training == NONE || !served.to_string().contains(&self.training) {
            let Some(id) = self.run("customization") else { return false };
            self.training = id;
        }
        if self.evaluation == NONE || self.server.get(&format!("/nemo/v1/evaluation/jobs/{}", self.evaluation)).0 != 200
        {
            let Some(id) = self.run("evaluation") else { return false };
            let (_, job) = self.server.get(&format!("/nemo/v1/evaluation/jobs/{id}"));
            self.result = job["result"].as_str().unwrap_or(NONE).to_owned();
            self.evaluation = id;
        }
        let (_, state) = self.server.get("/control/state");
        let repositories = state["repos"].as_array().unwrap().iter();
        self.commits = repositories
            .filter_map(|one| {
                let name = one["name"].as_str()?;
                let path = format!("/datastore/v1/hf/api/{}s/{name}", one["type"].as_str()?);
                Some((name.to_owned(), self.server.get(&path).1["sha"].as_str()?.to_owned()))
            })
            .collect();
        true
    }

    /// Sends a recorded job that succeeds, and returns its id.
    fn run(&self, service: &str) -> Option<String> {
        let path = format!("/nemo/v1/{service}/jobs");
        for order in self.requests.iter().filter(|one| one.method == "POST" && one.path == path) {
            let (status, body) = self.send(&self.fill(order));
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let Some(id) = body["id"].as_str().filter(|_| status == 200) else { continue };
            if (0..READS).any(|_| self.server.get(&format!("{path}/{id}")).1["status"] == "completed") {
                for _ in 0..READS {
                    self.server.get("/nim/v1/models");
                }
                return Some(id.to_owned());
            }
        }
        None
    }

    /// Sends a mutated request, and one more piece of each slow one. Returns the status, or 0.
    pub(crate) fn send_changed(&mut self, request: Request) -> u16 {
        self.go_on();
        if request.framing == Framing::Slow && self.slow.len() < MOST_SLOW {
            self.slow.push(Slow::start(self.address(), request).unwrap());
            return 0;
        }
        let (status, body) = self.send(&request);
        self.stop(&request, status, &body);
        status
    }

    fn go_on(&mut self) {
        let mut ended = Vec::new();
        self.slow.retain_mut(|slow| match slow.go_on() {
            None => true,
            Some(answer) => {
                ended.push((slow.request.clone(), answer));
                false
            }
        });
        for (request, answer) in ended {
            let answer = answer.unwrap_or_else(|error| panic!("{error}: {}", show(&request)));
            let (status, body) = judge(&request, &answer);
            self.stop(&request, status, &body);
        }
    }

    /// Sends a request that must be answered. Returns the status and the body.
    fn send(&self, request: &Request) -> (u16, Vec<u8>) {
        let answer = wire::exchange(self.address(), request);
        judge(request, &answer.unwrap_or_else(|error| panic!("{error}: {}", show(request))))
    }

    /// Cancels a job that a mutated request has started: it may train for ever.
    fn stop(&self, request: &Request, status: u16, body: &[u8]) {
        if status != 200 || !request.path.contains("/jobs") || request.method != "POST" {
            return;
        }
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        if let Some(id) =
            body["id"].as_str().filter(|id| ![&self.training, &self.evaluation].contains(&&(*id).to_owned()))
        {
            let service = if id.starts_with("cust-") { "customization" } else { "evaluation" };
            self.server.post(&format!("/nemo/v1/{service}/jobs/{id}/cancel"), &json!({}));
        }
    }

    /// Returns the memory of the platform in kilobytes, if that is known.
    pub(crate) fn resident(&self) -> Option<usize> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }

    /// Ends the platform, which must be alive and must not have panicked.
    pub(crate) fn end(self) {
        assert_eq!(self.server.get("/nim/v1/models").0, 200);
        // A panic in a job shows only here.
        let told = self.server.end();
        assert!(!told.contains("panicked"), "{told}");
    }
}

/// Returns the status and the body of a valid answer; 0 if the server was right to hang up.
fn judge(request: &Request, answer: &[u8]) -> (u16, Vec<u8>) {
    // HTTP/1.0, if a bit of the head was flipped.
    let rest = answer.strip_prefix(b"HTTP/1.1 ").or_else(|| answer.strip_prefix(b"HTTP/1.0 "));
    let status = rest.and_then(|rest| std::str::from_utf8(rest.get(..3)?).ok());
    let Some(status) = status.and_then(|status| status.parse::<u16>().ok()) else {
        let hung_up = request.framing.broken() || matches!(request.framing, Framing::Padded(_) | Framing::Oversized);
        assert!(answer.is_empty() && hung_up, "no answer to {}", show(request));
        return (0, Vec::new());
    };
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    let body = answer[end..].to_vec();
    // Deployment Management answers so, and clients look for the words.
    let documented = status == 500 && String::from_utf8_lossy(&body).contains("model deployment already exists");
    assert!(status < 500 || documented, "{status} to {}\n{}", show(request), String::from_utf8_lossy(&body));
    (status, body)
}

fn show(request: &Request) -> String {
    let mut body = String::from_utf8_lossy(&request.body).into_owned();
    body.truncate(body.floor_char_boundary(2000));
    let Request { method, path, headers, framing, .. } = request;
    format!("{method} {} {headers:?} {framing:?}\n{body}", &path[..path.floor_char_boundary(300)])
}
