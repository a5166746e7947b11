//! A local file that is about to be uploaded: its size, its beginning, and the errors of reading it.

use std::path::Path;

use serde_json::Value;
use tokio::io::AsyncReadExt;

use crate::nemo::datasets::UploadFile;
use crate::nemo::transport::{ApiError, BodyPiece, Cause, ErrorKind};

/// The most files in one preupload or LFS request.
pub(super) const BATCH: usize = 256;
/// How many bytes of a file the server sees when it decides how to transfer it.
const SAMPLE_BYTES: u64 = 512;

/// A file to upload, with its size and its beginning.
pub(super) struct UploadSource<'a> {
    pub(super) path: &'a str,
    pub(super) local: &'a Path,
    pub(super) size: u64,
    /// The first bytes of the file.
    pub(super) sample: Vec<u8>,
}

impl<'a> UploadSource<'a> {
    /// Reads the size and the beginning of a file.
    pub(super) async fn look(upload: &'a UploadFile) -> Result<UploadSource<'a>, ApiError> {
        let local = upload.local.as_path();
        let look = async {
            let file = tokio::fs::File::open(local).await?;
            let size = file.metadata().await?.len();
            let mut sample = Vec::new();
            file.take(SAMPLE_BYTES).read_to_end(&mut sample).await?;
            Ok((size, sample))
        };
        let (size, sample) = look.await.map_err(|error| unreadable_file(&upload.path, local, &error))?;
        Ok(UploadSource { path: &upload.path, local, size, sample })
    }

    /// Returns the commit line that carries the whole file.
    pub(super) fn inline(&self) -> [BodyPiece; 3] {
        let path = Value::from(self.path);
        [
            BodyPiece::Text(r#"{"key":"file","value":{"content":""#.to_owned()),
            BodyPiece::Base64 { path: self.local.to_owned(), len: self.size },
            BodyPiece::Text(format!("\",\"path\":{path},\"encoding\":\"base64\"}}}}\n")),
        ]
    }
}

/// Creates the error of a local file that cannot be read for an upload.
pub(super) fn unreadable_file(path: &str, local: &Path, error: &std::io::Error) -> ApiError {
    let kind = ErrorKind::File(local.display().to_string());
    ApiError::new(format!("upload {path}"), kind, Some(Cause(error.to_string())))
}
