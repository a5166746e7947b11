//! Request bodies: JSON, forms, and pieces of files that are streamed from disk in bounded memory.

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

/// How much of a file is in memory at once. A multiple of 3 needs no base64 padding between chunks.
const CHUNK: u64 = 48 * 1024;

/// The body of a request.
#[derive(Clone, Debug)]
pub(crate) enum RequestBody {
    Empty,
    Json(Value),
    /// JSON in the media type of git-LFS.
    Lfs(Value),
    /// An encoded form.
    Form(String),
    /// Pieces one after another, with the media type of the whole (empty for none).
    Pieces(&'static str, Vec<BodyPiece>),
}

/// A part of a streamed body.
#[derive(Clone, Debug)]
pub(crate) enum BodyPiece {
    Text(String),
    /// `len` bytes of a file, from an offset.
    File {
        path: PathBuf,
        from: u64,
        len: u64,
    },
    /// A whole file of `len` bytes, as base64.
    Base64 {
        path: PathBuf,
        len: u64,
    },
}

impl BodyPiece {
    /// Returns the number of bytes on the wire.
    fn len(&self) -> u64 {
        match self {
            BodyPiece::Text(text) => text.len() as u64,
            BodyPiece::File { len, .. } => *len,
            BodyPiece::Base64 { len, .. } => len.div_ceil(3) * 4,
        }
    }
}

impl RequestBody {
    /// Returns the media type, if the body has one.
    pub(crate) fn media_type(&self) -> Option<&'static str> {
        match self {
            RequestBody::Empty => None,
            RequestBody::Json(_) => Some("application/json"),
            RequestBody::Lfs(_) => Some("application/vnd.git-lfs+json"),
            RequestBody::Form(_) => Some("application/x-www-form-urlencoded"),
            RequestBody::Pieces(media_type, _) => Some(media_type).copied().filter(|media_type| !media_type.is_empty()),
        }
    }

    /// Opens the body for one try. Also returns its length in bytes.
    pub(crate) fn open(&self) -> (reqwest::Body, u64) {
        let whole = |text: String| {
            let len = text.len() as u64;
            (text.into(), len)
        };
        match self {
            RequestBody::Empty => whole(String::new()),
            RequestBody::Json(value) | RequestBody::Lfs(value) => whole(value.to_string()),
            RequestBody::Form(form) => whole(form.clone()),
            RequestBody::Pieces(_, pieces) => {
                let len = pieces.iter().map(BodyPiece::len).sum();
                let reader = PieceReader { pieces: pieces.iter().cloned().collect(), open: None };
                (reqwest::Body::wrap_stream(stream::try_unfold(reader, PieceReader::next)), len)
            }
        }
    }
}

/// The progress of streaming the pieces.
struct PieceReader {
    pieces: VecDeque<BodyPiece>,
    open: Option<OpenFile>,
}

/// A file that is being read.
struct OpenFile {
    file: File,
    left: u64,
    encode: bool,
}

impl PieceReader {
    async fn next(mut self) -> io::Result<Option<(Bytes, PieceReader)>> {
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
                Some(BodyPiece::Text(text)) => return Ok(Some((text.into(), self))),
                Some(BodyPiece::File { path, from, len }) => (path, from, len, false),
                Some(BodyPiece::Base64 { path, len }) => (path, 0, len, true),
            };
            let mut file = File::open(path).await?;
            file.seek(io::SeekFrom::Start(from)).await?;
            self.open = Some(OpenFile { file, left, encode });
        }
    }
}

impl OpenFile {
    async fn chunk(&mut self) -> io::Result<Bytes> {
        let take = self.left.min(CHUNK);
        let mut chunk = vec![0; take as usize];
        // A file that became shorter must end the request instead of hanging it.
        self.file.read_exact(&mut chunk).await?;
        self.left -= take;
        Ok(if self.encode { BASE64.encode(&chunk).into() } else { chunk.into() })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    async fn read(pieces: Vec<BodyPiece>) -> io::Result<Vec<u8>> {
        let reader = PieceReader { pieces: pieces.into(), open: None };
        stream::try_unfold(reader, PieceReader::next)
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
            BodyPiece::Text("<".into()),
            BodyPiece::Base64 { path: path.clone(), len },
            BodyPiece::Text("|".into()),
            BodyPiece::File { path: path.clone(), from: 100_000, len: 60_000 },
            BodyPiece::File { path, from: 0, len: 0 },
            BodyPiece::Text(">".into()),
        ];
        let promised: u64 = pieces.iter().map(BodyPiece::len).sum();
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
        assert!(read(vec![BodyPiece::File { path, from: 0, len: 4 }]).await.is_err());
    }
}
