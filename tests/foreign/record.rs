//! A proxy that records the requests of a client in the form of tests/fuzz/requests.jsonl. Ids of jobs, results and
//! commits and the address become names in braces, bodies are short texts, and requests that differ only in their
//! values are recorded once.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use regex::Regex;
use serde_json::{Value, json};

/// Longer bodies are left out; shorter ones cover their form.
const LONGEST: usize = 24 << 10;

/// Up to this length bodies are compared by content, beyond by form.
const SHORT: usize = 256;

/// Headers that matter to the platform.
const HEADERS: [&str; 3] = ["accept", "range", "authorization"];

/// The requests of all clients so far, in the order of their arrival.
#[derive(Default)]
pub(crate) struct Recording(Mutex<(HashSet<String>, Vec<Value>)>);

impl Recording {
    /// Opens a proxy for `target`, which lives as long as the process.
    pub(crate) fn before(self: &Arc<Self>, target: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap();
        let recording = Arc::clone(self);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (recording, client) = (Arc::clone(&recording), client.unwrap());
                std::thread::spawn(move || recording.pass(client, own, target));
            }
        });
        own
    }

    /// Writes one line for each recorded request.
    pub(crate) fn write(&self, file: &Path) {
        let kept = self.0.lock().unwrap();
        let lines: String = kept.1.iter().map(|request| format!("{request}\n")).collect();
        std::fs::write(file, lines).unwrap();
    }

    /// Handles one request and closes the connection.
    fn pass(&self, mut client: TcpStream, own: SocketAddr, target: SocketAddr) {
        let Some((head, body)) = read(&mut client) else { return };
        self.keep(own, &head, &body);
        let mut lines = head.split("\r\n");
        let mut forwarded = lines.next().unwrap().to_owned();
        let framing = ["connection:", "content-length:", "transfer-encoding:", "expect:"];
        for line in lines.filter(|line| !framing.iter().any(|name| line.to_lowercase().starts_with(name))) {
            forwarded.push_str("\r\n");
            forwarded.push_str(line);
        }
        forwarded.push_str(&format!("\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len()));
        let mut platform = TcpStream::connect(target).unwrap();
        platform.write_all(forwarded.as_bytes()).and_then(|()| platform.write_all(&body)).unwrap();
        let mut answer = Vec::new();
        platform.read_to_end(&mut answer).unwrap();
        // Replaces the address of the platform in answers by that of the proxy.
        let (here, there) = (own.to_string(), target.to_string());
        assert_eq!(here.len(), there.len(), "ports of one length, or the length of the answer changes");
        while let Some(at) = answer.windows(there.len()).position(|window| window == there.as_bytes()) {
            answer[at..at + here.len()].copy_from_slice(here.as_bytes());
        }
        // A client that is gone needs no answer.
        let _ = client.write_all(&answer);
    }

    fn keep(&self, own: SocketAddr, head: &str, body: &[u8]) {
        let ids = [
            (r"cust-[0-9A-Za-z]+", "{training}"),
            (r"evaluation_result-[0-9A-Za-z]+", "{result}"),
            (r"eval-[0-9A-Za-z]{12,}", "{evaluation}"),
            (r"\b[0-9a-f]{40}\b", "{commit}"),
        ];
        let named = |text: &str| {
            ids.iter().fold(text.replace(&own.to_string(), "{address}"), |text, (id, name)| {
                Regex::new(id).unwrap().replace_all(&text, *name).into_owned()
            })
        };
        let mut lines = head.split("\r\n");
        let mut first = lines.next().unwrap().split(' ');
        let (method, path) = (first.next().unwrap(), named(first.next().unwrap()));
        let Ok(body) = std::str::from_utf8(body) else { return };
        if body.len() > LONGEST {
            return;
        }
        let mut request = json!({"method": method, "path": path});
        let mut headers = serde_json::Map::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            let name = name.to_lowercase();
            if name == "content-type" {
                request["type"] = json!(value);
            } else if HEADERS.contains(&name.as_str()) {
                headers.insert(name, json!(value));
            }
        }
        if !headers.is_empty() {
            request["headers"] = Value::Object(headers);
        }
        let body = named(body);
        let digits = Regex::new("[0-9a-f]{64}|[0-9]+").unwrap();
        let (address, query) = path.split_once('?').unwrap_or((&path, ""));
        let asked: Vec<&str> = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default()).collect();
        // Short bodies differ by their content, long ones by their form.
        let short = body.len() < SHORT;
        let shape = if short { digits.replace_all(&body, "0").into_owned() } else { body.lines().map(shape).collect() };
        let kind = format!("{method} {} {asked:?} {} {shape}", digits.replace_all(address, "0"), request["type"]);
        if !body.is_empty() {
            request["body"] = json!(body);
        }
        let mut kept = self.0.lock().unwrap();
        if kept.0.insert(kind) {
            kept.1.push(request);
        }
    }
}

/// Returns a line of a body without its values.
fn shape(line: &str) -> String {
    fn of(value: &Value) -> String {
        match value {
            Value::Object(members) => members.iter().map(|(name, value)| format!("{name}:{},", of(value))).collect(),
            Value::Array(items) => items.first().map_or_else(String::new, |first| format!("[{}]", of(first))),
            Value::String(_) => "text".into(),
            Value::Number(_) => "number".into(),
            other => other.to_string(),
        }
    }
    serde_json::from_str(line).map_or_else(|_| "line".into(), |value: Value| of(&value))
}

/// Reads the head and the body of a request; none if the client hung up.
fn read(client: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = find(&bytes, b"\r\n\r\n") {
            break at;
        }
        more(client, &mut bytes)?;
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut body = bytes.split_off(end + 4);
    let header = |wanted: &str| {
        let lines = head.split("\r\n").filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
    };
    if header("expect").is_some() {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    if header("transfer-encoding").is_none() {
        let length: usize = header("content-length").map_or(0, |length| length.parse().unwrap());
        while body.len() < length {
            more(client, &mut body)?;
        }
        return Some((head, body));
    }
    let mut whole = Vec::new();
    loop {
        let Some(line) = find(&body, b"\r\n") else {
            more(client, &mut body)?;
            continue;
        };
        let length = usize::from_str_radix(std::str::from_utf8(&body[..line]).ok()?, 16).ok()?;
        while body.len() < line + 4 + length {
            more(client, &mut body)?;
        }
        whole.extend_from_slice(&body[line + 2..line + 2 + length]);
        body.drain(..line + 4 + length);
        if length == 0 {
            return Some((head, whole));
        }
    }
}

fn more(client: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 1 << 16];
    let read = client.read(&mut piece).ok().filter(|read| *read > 0)?;
    bytes.extend_from_slice(&piece[..read]);
    Some(())
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
