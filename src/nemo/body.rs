//! Request bodies: JSON, forms, and pieces of files streamed from disk in bounded memory. Sends nothing.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures_util::stream;
use serde_json::Value;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// How much of a file is in memory at once: a multiple of 3, so that base64 needs no padding in between.
const CHUNK: u64 = 48 * 1024;

/// What a request carries.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// Nothing.
    Empty,
    /// One JSON value.
    Json(Value),
    /// JSON in the media type of git-LFS.
    Lfs(Value),
    /// An encoded form.
    Form(String),
    /// Pieces one after another, with the media type of the whole; none when it is empty.
    Pieces(&'static str, Vec<Piece>),
}

/// A part of a body.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// Bytes as they are.
    Text(String),
    /// `len` bytes of a file from an offset.
    File { path: PathBuf, from: u64, len: u64 },
    /// A file of `len` bytes, as base64.
    Base64 { path: PathBuf, len: u64 },
}

impl Piece {
    /// Bytes on the wire.
    fn len(&self) -> u64 {
        match self {
            Piece::Text(text) => text.len() as u64,
            Piece::File { len, .. } => *len,
            Piece::Base64 { len, .. } => len.div_ceil(3) * 4,
        }
    }
}

impl Body {
    /// The media type, when the body has one.
    pub(crate) fn media_type(&self) -> Option<&'static str> {
        match self {
            Body::Empty => None,
            Body::Json(_) => Some("application/json"),
            Body::Lfs(_) => Some("application/vnd.git-lfs+json"),
            Body::Form(_) => Some("application/x-www-form-urlencoded"),
            Body::Pieces(media_type, _) => Some(media_type).copied().filter(|media_type| !media_type.is_empty()),
        }
    }

    /// A fresh body for one try, with its length in bytes.
    pub(crate) fn open(&self) -> (reqwest::Body, u64) {
        let whole = |text: String| {
            let len = text.len() as u64;
            (text.into(), len)
        };
        match self {
            Body::Empty => whole(String::new()),
            Body::Json(value) | Body::Lfs(value) => whole(value.to_string()),
            Body::Form(form) => whole(form.clone()),
            Body::Pieces(_, pieces) => {
                let len = pieces.iter().map(Piece::len).sum();
                let reader = Reader { pieces: pieces.iter().cloned().collect(), open: None };
                (reqwest::Body::wrap_stream(stream::try_unfold(reader, Reader::next)), len)
            }
        }
    }
}

/// Where the streaming of pieces stands.
struct Reader {
    pieces: VecDeque<Piece>,
    open: Option<Open>,
}

/// A file that is being read.
struct Open {
    file: File,
    left: u64,
    encode: bool,
}

impl Reader {
    async fn next(mut self) -> io::Result<Option<(Bytes, Reader)>> {
        loop {
            if let Some(open) = &mut self.open {
                if open.left > 0 {
                    let chunk = open.chunk().await?;
                    return Ok(Some((chunk, self)));
                }
                self.open = None;
            }
            let (path, from, left, encode) = match self.pieces.pop_front() {
                None => return Ok(None),
                Some(Piece::Text(text)) => return Ok(Some((text.into(), self))),
                Some(Piece::File { path, from, len }) => (path, from, len, false),
                Some(Piece::Base64 { path, len }) => (path, 0, len, true),
            };
            let mut file = File::open(path).await?;
            file.seek(io::SeekFrom::Start(from)).await?;
            self.open = Some(Open { file, left, encode });
        }
    }
}

impl Open {
    async fn chunk(&mut self) -> io::Result<Bytes> {
        let take = self.left.min(CHUNK);
        let mut chunk = vec![0; take as usize];
        // A file that has become shorter ends the request instead of hanging it.
        self.file.read_exact(&mut chunk).await?;
        self.left -= take;
        Ok(if self.encode { BASE64.encode(&chunk).into() } else { chunk.into() })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    async fn read(pieces: Vec<Piece>) -> io::Result<Vec<u8>> {
        let reader = Reader { pieces: pieces.into(), open: None };
        stream::try_unfold(reader, Reader::next)
            .try_fold(Vec::new(), |mut all, chunk| async move {
                assert!(chunk.len() as u64 <= CHUNK / 3 * 4);
                all.extend_from_slice(&chunk);
                Ok(all)
            })
            .await
    }

    #[tokio::test]
    async fn pieces_come_in_order_and_with_the_promised_length() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let content: Vec<u8> = (0..200_001u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let len = content.len() as u64;
        let pieces = vec![
            Piece::Text("<".into()),
            Piece::Base64 { path: path.clone(), len },
            Piece::Text("|".into()),
            Piece::File { path: path.clone(), from: 100_000, len: 60_000 },
            Piece::File { path, from: 0, len: 0 },
            Piece::Text(">".into()),
        ];
        let promised: u64 = pieces.iter().map(Piece::len).sum();
        let all = read(pieces).await.unwrap();
        assert_eq!(all.len() as u64, promised);
        let encoded = BASE64.encode(&content);
        let expected = [b"<", encoded.as_bytes(), b"|", &content[100_000..160_000], b">"].concat();
        assert_eq!(all, expected);
    }

    #[tokio::test]
    async fn a_file_that_shrank_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, b"abc").unwrap();
        assert!(read(vec![Piece::File { path, from: 0, len: 4 }]).await.is_err());
    }
}
