//! Requests that foreign clients have sent, changed at random, against `dfwfd serve`: whatever comes, the answer is no
//! server error but the one that NeMo itself gives, it comes, and the process lives. 5,000 requests from one seed;
//! `DFWFD_FUZZ` asks for another number, `DFWFD_FUZZ_SEED` for another seed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy knows test functions, not the helpers of a test file")]

#[path = "../harness/mod.rs"]
mod harness;
mod mutate;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use harness::Server;
use mutate::{Dice, Framing, Request};
use serde_json::Value;

/// Rounds over all requests between two jobs of each kind: a job is work.
const ROUNDS_PER_JOB: usize = 8;

/// A hang, in a test, is what takes this long.
const HANG: Duration = Duration::from_secs(60);

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().map_or(default, |text| text.parse().expect("a number"))
}

fn recorded() -> Vec<Request> {
    let lines = include_str!("requests.jsonl");
    let text = |line: &Value, key: &str| line[key].as_str().map(str::to_owned);
    let request = |line: Value| Request {
        method: text(&line, "method").unwrap(),
        path: text(&line, "path").unwrap(),
        kind: text(&line, "type"),
        headers: Vec::new(),
        body: text(&line, "body").unwrap_or_default().into_bytes(),
        framing: Framing::Whole,
    };
    harness::parse_lines(lines).into_iter().map(request).collect()
}

/// The platform, and the ids that requests name in braces.
struct Target {
    server: Server,
    ids: [(&'static str, String); 3],
}

impl Target {
    fn fill(&self, request: &Request) -> Request {
        let mut filled = request.clone();
        for (name, id) in &self.ids {
            filled.path = filled.path.replace(name, id);
            if let Ok(text) = std::str::from_utf8(&filled.body) {
                filled.body = text.replace(name, id).into_bytes();
            }
        }
        filled
    }

    /// Sends a request that has to be answered; the status and the body.
    fn send(&self, request: &Request) -> (u16, Vec<u8>) {
        let answer = exchange(self.server.address(), request);
        let answer = answer.unwrap_or_else(|error| panic!("{error}: {}", show(request)));
        let status = answer.strip_prefix(b"HTTP/1.1 ").and_then(|rest| std::str::from_utf8(rest.get(..3)?).ok());
        let Some(status) = status.and_then(|status| status.parse::<u16>().ok()) else {
            assert!(answer.is_empty() && request.framing.broken(), "no answer to {}", show(request));
            return (0, Vec::new());
        };
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
        let body = answer[end..].to_vec();
        // Deployment Management answers so, and clients go by the words.
        let documented = status == 500 && String::from_utf8_lossy(&body).contains("model deployment already exists");
        assert!(status < 500 || documented, "{status} to {}\n{}", show(request), String::from_utf8_lossy(&body));
        (status, body)
    }

    /// Makes what the requests are about, unless it is there.
    fn stage(&mut self, requests: &[Request], jobs: bool) {
        let job = |request: &&Request| request.path.ends_with("/jobs") && request.body.len() > 2;
        let things = [
            "namespaces",
            "projects",
            "datasets",
            "configs",
            "targets",
            "model-deployments",
            "create",
            "models",
            "main",
        ];
        let made = |request: &&Request| things.iter().any(|end| request.path.ends_with(end));
        let posts = || requests.iter().filter(|request| request.method == "POST");
        for request in posts().filter(made) {
            self.send(&self.fill(request));
        }
        if !jobs {
            return;
        }
        for request in posts().filter(job) {
            let (status, body) = self.send(&self.fill(request));
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            if let (200, Some(id)) = (status, body["id"].as_str()) {
                let kind = if id.starts_with("cust-") { 0 } else { 1 };
                self.ids[kind].1 = id.to_owned();
            }
        }
        let (_, body) =
            harness::request(self.server.address(), "GET", "/datastore/v1/hf/api/datasets/foreign/train", None);
        self.ids[2].1 = body["sha"].as_str().unwrap_or("main").to_owned();
    }

    /// Stops a job that a changed request happened to start: it may want to train for ever.
    fn stop(&self, request: &Request, status: u16, body: &[u8]) {
        if status != 200 || !request.path.contains("/jobs") || request.method != "POST" {
            return;
        }
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        if let Some(id) = body["id"].as_str() {
            let service = if id.starts_with("cust-") { "customization" } else { "evaluation" };
            self.server.post(&format!("/nemo/v1/{service}/jobs/{id}/cancel"), &Value::Null);
        }
    }
}

fn show(request: &Request) -> String {
    let mut body = String::from_utf8_lossy(&request.body).into_owned();
    body.truncate(body.floor_char_boundary(2000));
    let Request { method, path, headers, framing, .. } = request;
    format!("{method} {} {headers:?} {framing:?}\n{body}", &path[..path.floor_char_boundary(300)])
}

/// The bytes of the answer; none when the server hung up.
fn exchange(address: SocketAddr, request: &Request) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(HANG))?;
    stream.set_write_timeout(Some(HANG))?;
    let mut head = format!("{} {} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n", request.method, request.path);
    let kind = request.kind.iter().map(|kind| ("content-type".to_owned(), kind.clone()));
    for (name, value) in kind.chain(request.headers.iter().cloned()) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let length = request.body.len();
    head.push_str(&match request.framing {
        Framing::Whole | Framing::Pieces => format!("content-length: {length}\r\n\r\n"),
        Framing::Chunked | Framing::Unended => "transfer-encoding: chunked\r\n\r\n".to_owned(),
        Framing::Short => format!("content-length: {}\r\n\r\n", length + 10),
        Framing::Oversized => format!("content-length: {}\r\n\r\n", 1_u64 << 40),
    });
    // A server that has refused may be gone before all is written; what it said is there to be read.
    let written = stream.write_all(head.as_bytes()).and_then(|()| send_body(&mut stream, request));
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => Ok(answer),
        Err(error) if error.kind() == ErrorKind::ConnectionReset && (!answer.is_empty() || written.is_err()) => {
            Ok(answer)
        }
        Err(error) if error.kind() == ErrorKind::ConnectionReset && request.framing != Framing::Whole => Ok(answer),
        Err(error) => Err(error),
    }
}

fn send_body(stream: &mut TcpStream, request: &Request) -> std::io::Result<()> {
    let size = request.body.len().div_ceil(7).max(1);
    match request.framing {
        Framing::Whole => stream.write_all(&request.body),
        Framing::Pieces => request.body.chunks(size).try_for_each(|piece| stream.write_all(piece)),
        Framing::Chunked | Framing::Unended => {
            for piece in request.body.chunks(size) {
                write!(stream, "{:x}\r\n", piece.len())?;
                stream.write_all(piece)?;
                stream.write_all(b"\r\n")?;
            }
            if request.framing == Framing::Chunked {
                return stream.write_all(b"0\r\n\r\n");
            }
            stream.shutdown(Shutdown::Write)
        }
        Framing::Short => stream.write_all(&request.body).and_then(|()| stream.shutdown(Shutdown::Write)),
        Framing::Oversized => Ok(()),
    }
}

#[test]
fn no_request_brings_it_down() {
    let (wanted, seed) = (number("DFWFD_FUZZ", 5000), number("DFWFD_FUZZ_SEED", 1) as u64);
    let requests = recorded();
    let ids = [("{training}", "none".to_owned()), ("{evaluation}", "none".to_owned()), ("{commit}", "main".to_owned())];
    let mut target = Target { server: Server::start(&[]), ids };
    let mut dice = Dice(seed);
    let (mut sent, mut good, mut refused) = (0, 0, 0);
    for round in 0.. {
        if sent >= wanted {
            break;
        }
        target.stage(&requests, round % ROUNDS_PER_JOB == 0);
        for request in &requests {
            let changed = mutate::mutate(&target.fill(request), &mut dice);
            let (status, body) = target.send(&changed);
            target.stop(&changed, status, &body);
            sent += 1;
            good += usize::from((200..300).contains(&status));
            refused += usize::from(status >= 400);
        }
    }
    assert_eq!(target.server.get("/nim/v1/models").0, 200);
    // A panic in a job is no answer; it shows here.
    let told = target.server.end();
    assert!(!told.contains("panicked"), "{told}");
    // Neither all refused nor all let through: the changes are of the right size.
    assert!(good > sent / 20 && refused > sent / 20, "of {sent} requests {good} went well and {refused} were refused");
}
