//! An HTTP server that keeps every request and answers as a test says.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// A request that came in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorded {
    /// Method and path with its query.
    pub line: String,
    /// The value of the header `Authorization`.
    pub authorization: String,
    pub body: Vec<u8>,
}

impl Recorded {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The server. Its threads end with the test program.
pub(crate) struct Recorder {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Recorded>>>,
}

impl Recorder {
    /// Starts a server. `answer` returns status and body, or `None` for no answer at all.
    pub(crate) fn start(answer: impl Fn(&Recorded) -> Option<(u16, Value)> + Send + Sync + 'static) -> Recorder {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answer, kept) = (Arc::new(answer), Arc::clone(&requests));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (answer, kept) = (Arc::clone(&answer), Arc::clone(&kept));
                std::thread::spawn(move || {
                    let Some(request) = read(&client) else { return };
                    kept.lock().unwrap().push(request.clone());
                    match answer(&request) {
                        Some((status, body)) => write(&client, status, &body),
                        // Until the client goes.
                        None => drop((&client).read(&mut [0])),
                    }
                });
            }
        });
        Recorder { address, requests }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the requests whose line begins so, oldest first.
    pub(crate) fn of(&self, start: &str) -> Vec<Recorded> {
        self.requests.lock().unwrap().iter().filter(|one| one.line.starts_with(start)).cloned().collect()
    }
}

fn read(client: &TcpStream) -> Option<Recorded> {
    let mut reader = BufReader::new(client);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let (line, _) = line.rsplit_once(' ')?;
    let mut request = Recorded { line: line.to_owned(), ..Recorded::default() };
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => request.authorization = value.to_owned(),
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
    }
    request.body = vec![0; length];
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}

fn write(mut client: &TcpStream, status: u16, body: &Value) {
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status} Told\r\nContent-Type: application/json\r\nContent-Length: {}", body.len());
    let _ = client.write_all(format!("{head}\r\nConnection: close\r\n\r\n{body}").as_bytes());
}
