//! Requests on the wire: whole, in pieces, in chunks, cut, slow. A slow request waits for other requests, not for a
//! clock.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Result, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::mutate::{Framing, Request};

/// A test hangs if it takes this long.
const HANG: Duration = Duration::from_secs(60);

/// The pieces of a slow request.
const PIECES: usize = 12;

/// Sends a request, and returns the bytes of the answer; none if one side hung up.
pub(crate) fn exchange(address: SocketAddr, request: &Request) -> Result<Vec<u8>> {
    let mut stream = connect(address)?;
    // A server that refuses may close before all is written. Its answer can still be read.
    let written = send(&mut stream, address, request);
    if matches!(request.framing, Framing::CutHead | Framing::CutBody | Framing::Unread) {
        return Ok(Vec::new());
    }
    answer(&mut stream, request, written.is_err())
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(HANG))?;
    stream.set_write_timeout(Some(HANG))?;
    Ok(stream)
}

fn answer(stream: &mut TcpStream, request: &Request, refused: bool) -> Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut piece = vec![0; 1 << 16];
    // Does not read to the end of the connection: after a refusal the server may still read the body.
    while !is_whole(request, &answer) {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                // The server closed with unread data, so its answer may be lost.
                let odd = !matches!(request.framing, Framing::Whole | Framing::Slow);
                return if !answer.is_empty() || refused || odd { Ok(answer) } else { Err(error) };
            }
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

/// Returns whether an answer with a length is complete.
fn is_whole(request: &Request, answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).and_then(|text| text.parse().ok());
    let garbled = matches!(request.framing, Framing::Garbled(_));
    !garbled && length.is_some_and(|length: usize| request.method == "HEAD" || answer.len() >= end + 4 + length)
}

fn head(address: SocketAddr, request: &Request) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n", request.method, request.path);
    let kind = request.kind.iter().map(|kind| ("content-type".to_owned(), kind.clone()));
    for (name, value) in kind.chain(request.headers.iter().cloned()) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let length = request.body.len();
    head.push_str(&match request.framing {
        Framing::Chunked | Framing::Unended | Framing::Padded(_) => "transfer-encoding: chunked\r\n\r\n".to_owned(),
        Framing::Short => format!("content-length: {}\r\n\r\n", length + 10),
        Framing::Oversized => format!("content-length: {}\r\n\r\n", 1_u64 << 40),
        _ => format!("content-length: {length}\r\n\r\n"),
    });
    let mut head = head.into_bytes();
    if let Framing::Garbled(draw) = request.framing {
        let at = draw as usize % head.len();
        head[at] ^= 1 << (draw >> 60 & 7);
    }
    head
}

fn send(stream: &mut TcpStream, address: SocketAddr, request: &Request) -> Result<()> {
    let (head, body) = (head(address, request), &request.body);
    let size = body.len().div_ceil(7).max(1);
    if request.framing == Framing::CutHead {
        return stream.write_all(&head[..head.len() / 2]);
    }
    stream.write_all(&head)?;
    match request.framing {
        Framing::Pieces => body.chunks(size).try_for_each(|piece| stream.write_all(piece)),
        Framing::Chunked => {
            body.chunks(size).try_for_each(|piece| chunk(stream, piece)).and_then(|()| chunk(stream, b""))
        }
        Framing::Padded(mebibytes) => {
            let blanks = vec![b' '; 1 << 20];
            (0..mebibytes).try_for_each(|_| chunk(stream, &blanks))?;
            body.chunks(size).try_for_each(|piece| chunk(stream, piece)).and_then(|()| chunk(stream, b""))
        }
        Framing::Unended => {
            body.chunks(size).try_for_each(|piece| chunk(stream, piece))?;
            stream.shutdown(Shutdown::Write)
        }
        Framing::Short | Framing::Garbled(_) => stream.write_all(body).and_then(|()| stream.shutdown(Shutdown::Write)),
        // An endpoint for bodies of any size waits for this one.
        Framing::Oversized if request.method == "PUT" => stream.shutdown(Shutdown::Write),
        Framing::Oversized => Ok(()),
        Framing::CutBody => stream.write_all(&body[..body.len() / 2]),
        _ => stream.write_all(body),
    }
}

fn chunk(stream: &mut TcpStream, piece: &[u8]) -> Result<()> {
    write!(stream, "{:x}\r\n", piece.len())?;
    stream.write_all(piece)?;
    stream.write_all(b"\r\n")
}

/// A request that is sent slowly.
pub(crate) struct Slow {
    pub request: Request,
    stream: TcpStream,
    rest: VecDeque<Vec<u8>>,
    refused: bool,
}

impl Slow {
    pub(crate) fn start(address: SocketAddr, request: Request) -> Result<Slow> {
        let mut whole = head(address, &request);
        whole.extend_from_slice(&request.body);
        let rest = whole.chunks(whole.len().div_ceil(PIECES)).map(<[u8]>::to_vec).collect();
        Ok(Slow { stream: connect(address)?, request, rest, refused: false })
    }

    /// Sends the next piece. Returns the answer after the last one.
    pub(crate) fn go_on(&mut self) -> Option<Result<Vec<u8>>> {
        match self.rest.pop_front() {
            Some(piece) => {
                self.refused |= self.stream.write_all(&piece).is_err();
                None
            }
            None => Some(answer(&mut self.stream, &self.request, self.refused)),
        }
    }
}
