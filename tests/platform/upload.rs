//! Files of any size over git-LFS, and bodies that are too large for other calls.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::{self, Folder, Server};
use crate::{commit, make, number, repository};

/// The size of the pieces that are generated and sent.
const PIECE: usize = 1 << 20;

/// The most memory that the server may use in addition, whatever the size of the file.
const BOUND: u64 = 32 << 20;

/// A file without repetition, piece by piece.
fn pieces(count: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..count).map(move |_| {
        let mut piece = Vec::with_capacity(PIECE);
        while piece.len() < PIECE {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            piece.extend(state.to_le_bytes());
        }
        piece
    })
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the status and the headers of an answer, and a reader of its body.
fn answer(stream: TcpStream) -> (u16, Vec<String>, BufReader<TcpStream>) {
    let mut reader = BufReader::with_capacity(PIECE, stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_lowercase());
    }
    let status = lines.first().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("an answer");
    (status, lines, reader)
}

fn send(address: SocketAddr, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(format!("{head}\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).unwrap();
    stream
}

/// Uploads pieces over LFS, with a length or in chunks.
fn put(server: &Server, oid: &str, pieces: impl Iterator<Item = Vec<u8>>, length: Option<usize>) -> u16 {
    let framing = length.map_or("transfer-encoding: chunked".to_owned(), |length| format!("content-length: {length}"));
    let head = format!("PUT /datastore/v1/hf/lfs/put/{oid} HTTP/1.1\r\n{framing}");
    let mut stream = send(server.address(), &head);
    for piece in pieces {
        if length.is_none() {
            stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).unwrap();
        }
        stream.write_all(&piece).unwrap();
        if length.is_none() {
            stream.write_all(b"\r\n").unwrap();
        }
    }
    if length.is_none() {
        stream.write_all(b"0\r\n\r\n").unwrap();
    }
    answer(stream).0
}

/// Returns the memory that a process uses now (`VmRSS`) or used at most (`VmHWM`), in bytes; none without /proc.
fn memory(server: &Server, which: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(which)?.strip_prefix(':'))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10)
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, |files| files.count())
}

/// Uploads and downloads a file, and checks that memory stays bounded.
fn round_trip(flags: &[&str], count: usize, chunked: bool) {
    let server = Server::start(&[&["--upload-mode", "lfs"], flags].concat());
    repository(&server, "ns", "d");
    let mut hasher = Sha256::new();
    pieces(count).for_each(|piece| hasher.update(&piece));
    let (oid, size) = (hex(&hasher.finalize()), count * PIECE);
    let batch = json!({"operation": "upload", "transfers": ["basic"], "objects": [{"oid": oid, "size": size}]});
    let batched = make(&server, "/datastore/v1/hf/datasets/ns/d.git/info/lfs/objects/batch", &batch);
    let href = batched["objects"][0]["actions"]["upload"]["href"].as_str().unwrap();
    assert!(href.ends_with(&oid), "{href}");

    let before = memory(&server, "VmRSS");
    assert_eq!(put(&server, &oid, pieces(count), (!chunked).then_some(size)), 200);
    make(&server, "/datastore/v1/hf/lfs/verify", &json!({"oid": oid, "size": size}));
    assert_eq!(server.post("/datastore/v1/hf/lfs/verify", &json!({"oid": oid, "size": size + 1})).0, 422);
    let line = |size: usize| json!({"key": "lfsFile", "value": {"path": "large.bin", "algo": "sha256", "oid": oid, "size": size}});
    let path = "/datastore/v1/hf/api/datasets/ns/d/commit/main";
    assert_eq!(harness::send(server.address(), "POST", path, &commit(&[line(size - 1)])).0, 400);
    assert_eq!(harness::send(server.address(), "POST", path, &commit(&[line(size)])).0, 200);

    let file = "/datastore/v1/hf/datasets/ns/d/resolve/main/large.bin";
    let (status, head, mut body) = answer(send(server.address(), &format!("GET {file} HTTP/1.1")));
    assert_eq!((status, head.contains(&format!("content-length: {size}"))), (200, true), "{head:?}");
    let (mut hasher, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        let read = body.read(&mut piece).unwrap();
        if read == 0 {
            break;
        }
        hasher.update(&piece[..read]);
    }
    assert_eq!(hex(&hasher.finalize()), oid);
    let (from, to) = (size - PIECE - 5, size - PIECE + 6);
    let ranged = format!("GET {file} HTTP/1.1\r\nrange: bytes={from}-{}", to - 1);
    let (status, _, mut body) = answer(send(server.address(), &ranged));
    let mut part = Vec::new();
    body.read_to_end(&mut part).unwrap();
    let end: Vec<Vec<u8>> = pieces(count).skip(count - 2).collect();
    assert_eq!((status, part), (206, end.concat()[PIECE - 5..PIECE + 6].to_vec()));

    let Some((before, most)) = before.zip(memory(&server, "VmHWM")) else {
        return harness::skip("upload", "proc", "there is no /proc to read memory from");
    };
    assert!(most.saturating_sub(before) < BOUND.min(size as u64 / 2), "{before} bytes before, {most} at most");
}

#[test]
fn a_large_file_goes_there_and_back_within_little_memory() {
    let folder = Folder::new();
    let directory = folder.at("data");
    let count = number("DFWFD_UPLOAD_MB", 64);
    round_trip(&["--data-dir", directory.to_str().unwrap()], count, false);
    assert_eq!(files(&directory.join("contents")), 1);
    round_trip(&[], count, true);
}

#[test]
fn what_is_not_what_it_says_leaves_nothing() {
    let folder = Folder::new();
    let directory = folder.at("data");
    let server = Server::start(&["--data-dir", directory.to_str().unwrap()]);
    let oid = hex(&Sha256::digest(b"something else"));
    assert_eq!(put(&server, &oid, pieces(3), Some(3 * PIECE)), 422);
    assert_eq!(files(&directory.join("contents")), 0);
    // A client hangs up half way. The server drops what it sent as soon as it notices.
    let head = format!("PUT /datastore/v1/hf/lfs/put/{oid} HTTP/1.1\r\ncontent-length: {}", 9 * PIECE);
    let mut stream = send(server.address(), &head);
    pieces(4).for_each(|piece| stream.write_all(&piece).unwrap());
    while files(&directory.join("contents")) == 0 {
        assert_eq!(server.get("/datastore/v1/health").0, 200);
    }
    drop(stream);
    while files(&directory.join("contents")) != 0 {
        assert_eq!(server.get("/datastore/v1/health").0, 200);
    }
    let verify = server.post("/datastore/v1/hf/lfs/verify", &json!({"oid": oid, "size": 4 * PIECE}));
    assert_eq!(verify.0, 404);
}

#[test]
fn a_body_that_is_too_large_is_refused_and_its_client_reads_so() {
    let server = Server::start(&[]);
    let said = |stream: TcpStream| {
        let (status, head, mut body) = answer(stream);
        let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut text = vec![0; length.parse().unwrap()];
        body.read_exact(&mut text).unwrap();
        (status, serde_json::from_slice::<Value>(&text).unwrap()["detail"].as_str().unwrap().to_owned())
    };
    // A body that announces its size is refused before it is sent.
    let head = format!("POST /nemo/v1/datasets HTTP/1.1\r\ncontent-length: {}", (256 << 20) + 1);
    let (status, text) = said(send(server.address(), &head));
    assert_eq!((status, text.contains("256 MB")), (413, true), "{text}");
    // A body without a length is refused on the way. A client that sends all of it first can still read the answer.
    let mut stream = send(server.address(), "POST /nemo/v1/datasets HTTP/1.1\r\ntransfer-encoding: chunked");
    let piece = vec![b' '; 8 << 20];
    for _ in 0..36 {
        stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).unwrap();
        stream.write_all(&piece).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    let (status, text) = said(stream);
    assert_eq!((status, text.contains("256 MB")), (413, true), "{text}");
    assert_eq!(server.get("/datastore/v1/health").0, 200);
}
