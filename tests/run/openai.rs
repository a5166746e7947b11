//! An OpenAI-compatible endpoint for tests: answers chat requests by a rule, and remembers who asked what.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// One chat request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// `POST /v1/chat/completions`.
    pub line: String,
    /// The whole `authorization` header; empty without one.
    pub authorization: String,
    /// The request.
    pub body: Value,
}

/// Status and body of an answer.
pub(crate) type Answer = (u16, Value);

/// An endpoint on a port of its own, until the test ends.
pub(crate) struct OpenAi {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl OpenAi {
    /// Answers each request by this rule, which also gets how many came before it.
    pub(crate) fn start(rule: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static) -> OpenAi {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, rule) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::new(rule));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, rule) = (Arc::clone(&log), Arc::clone(&rule));
                std::thread::spawn(move || answer(stream.unwrap(), &log, &*rule));
            }
        });
        OpenAi { address, asked }
    }

    /// The address that takes chat requests.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1/chat/completions", self.address)
    }

    /// Returns the requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// A chat completion that says this.
pub(crate) fn says(text: &str) -> Answer {
    let message = json!({"role": "assistant", "content": text});
    (200, json!({"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}))
}

fn answer(stream: TcpStream, log: &Mutex<Vec<Asked>>, rule: &dyn Fn(&Asked, usize) -> Answer) {
    let mut reader = BufReader::new(&stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let header = |name: &str| {
        let found =
            lines.iter().filter_map(|line| line.split_once(": ")).find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    let line = lines.first().map(|line| line.trim_end_matches(" HTTP/1.1").to_owned()).unwrap_or_default();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let asked = Asked { line, authorization: header("authorization"), body };
    let before = {
        let mut log = log.lock().unwrap();
        log.push(asked.clone());
        log.len() - 1
    };
    let (status, body) = rule(&asked, before);
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n");
    let _ = (&stream).write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes());
}
