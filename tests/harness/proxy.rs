//! A proxy between the binary and a server. Forwards requests, and holds one before, during or after its effect.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The fate of a request. A held request gets no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Reaches the server, and its response comes back.
    Pass,
    /// Never reaches the server.
    HeldBefore,
    /// Sends this many thousandths of its body to the server, then ends the connection.
    Torn(usize),
    /// Has its effect, but its response is held.
    HeldAfter,
    /// Gets half of its response.
    HalfAnswered,
}

/// A request: method and path, and its body.
pub(crate) struct ProxiedRequest<'a> {
    pub line: &'a str,
    pub body: &'a [u8],
}

type Decide = Box<dyn FnMut(&ProxiedRequest<'_>) -> Fate + Send>;

/// The proxy. Its threads end with their connections.
pub(crate) struct Proxy {
    address: SocketAddr,
    held: Receiver<()>,
}

impl Proxy {
    /// Starts a proxy in front of a server.
    pub(crate) fn before(
        server: SocketAddr,
        decide: impl FnMut(&ProxiedRequest<'_>) -> Fate + Send + 'static,
    ) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, held) = channel();
        let decide: Arc<Mutex<Decide>> = Arc::new(Mutex::new(Box::new(decide)));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (decide, tell) = (Arc::clone(&decide), tell.clone());
                std::thread::spawn(move || serve(&client, server, &decide, &tell));
            }
        });
        Proxy { address, held }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until a request is held.
    pub(crate) fn wait(&self) {
        self.held.recv().unwrap();
    }

    /// Waits until a request is held. Returns false if the client ends before.
    pub(crate) fn wait_for(&self, mut has_ended: impl FnMut() -> bool) -> bool {
        while self.held.recv_timeout(Duration::from_secs(1)).is_err() {
            if has_ended() {
                return false;
            }
        }
        true
    }
}

/// Reads head and body of a message. Returns none at the end of the connection.
fn message(from: &mut BufReader<&TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let value = |name: &str| {
        let lower = head.to_ascii_lowercase();
        lower.lines().find_map(|line| line.strip_prefix(name).map(|value| value.trim().to_owned()))
    };
    let mut body = Vec::new();
    if value("transfer-encoding:").is_some() {
        loop {
            let mut size = String::new();
            from.read_line(&mut size).ok()?;
            let count = usize::from_str_radix(size.trim(), 16).ok()?;
            let mut chunk = vec![0; count + 2];
            from.read_exact(&mut chunk).ok()?;
            body.extend_from_slice(size.as_bytes());
            body.extend_from_slice(&chunk);
            if count == 0 {
                return Some((head, body));
            }
        }
    }
    body.resize(value("content-length:").map_or(0, |length| length.parse().unwrap()), 0);
    from.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// Serves the requests of one connection, each over a connection of its own: a server ends one that is idle, and the client
/// would wait for the answer of a request that nobody reads.
fn serve(client: &TcpStream, server: SocketAddr, decide: &Mutex<Decide>, tell: &Sender<()>) {
    let (mut from_client, mut to_client) = (BufReader::new(client), client);
    while let Some((head, body)) = message(&mut from_client) {
        let upstream = TcpStream::connect(server).unwrap();
        let (mut from_server, mut to_server) = (BufReader::new(&upstream), &upstream);
        let line = head.lines().next().unwrap_or_default();
        let fate = decide.lock().unwrap()(&ProxiedRequest { line, body: &body });
        let sent = match fate {
            Fate::HeldBefore => 0,
            Fate::Torn(thousandths) => body.len() * thousandths / 1000,
            Fate::Pass | Fate::HeldAfter | Fate::HalfAnswered => body.len(),
        };
        let answer = match fate {
            Fate::HeldBefore => None,
            _ => to_server.write_all(head.as_bytes()).and_then(|()| to_server.write_all(&body[..sent])).ok(),
        };
        let answer = answer.filter(|()| sent == body.len()).and_then(|()| message(&mut from_server));
        let shown = match (&answer, fate) {
            (Some((_, body)), Fate::Pass) => body.len(),
            (Some((_, body)), Fate::HalfAnswered) => body.len() / 2,
            _ => 0,
        };
        if let (Some((head, body)), Fate::Pass | Fate::HalfAnswered) = (&answer, fate) {
            // The client may have been killed.
            let _ = to_client.write_all(head.as_bytes()).and_then(|()| to_client.write_all(&body[..shown]));
        }
        if fate != Fate::Pass {
            // The receiver may be gone.
            let _ = tell.send(());
            // Waits until the client is gone.
            let _ = from_client.read_to_end(&mut Vec::new());
            return;
        }
        if answer.is_none() {
            return;
        }
    }
}
