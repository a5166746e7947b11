//! Trained adapters: as NIMs load them, and as the weights file in the model repository.
//!
//! The weights file is a valid safetensors file whose one tensor holds the bytes of the saved student. No transformer
//! can load it.

use std::io;
use std::sync::Arc;

use axum::body::Bytes;
use serde_json::{Value, json};

use super::blobs::{Blob, BlobStore};
use super::tracked_list::Entry;
use crate::embedded::timing::Moment;
use crate::student::Adapter;

/// An adapter in the model repository, as a NIM loads it.
#[derive(Debug)]
pub(crate) struct ServedAdapter {
    /// `ns/name@revision`.
    pub(crate) id: String,
    /// The model that it was trained on.
    pub(crate) base: String,
    pub(crate) weights: Arc<Adapter>,
    /// The weights as a file of the repository.
    pub(crate) file: Blob,
    pub(crate) published: Moment,
}

impl Entry for ServedAdapter {
    fn key(&self) -> String {
        self.id.clone()
    }

    fn document(&self) -> Value {
        json!({"id": self.id, "base": self.base, "file": self.file.reference()})
    }
}

/// The product of a training job.
#[derive(Debug)]
pub(crate) struct TrainedAdapter {
    pub(crate) weights: Arc<Adapter>,
    pub(crate) file: Blob,
}

impl TrainedAdapter {
    /// Stores the weights of an adapter; blocks.
    pub(crate) fn keep(blobs: &BlobStore, adapter: Adapter) -> io::Result<Self> {
        let file = blobs.keep(safetensors(&adapter.to_bytes(), adapter.size().name()))?;
        Ok(TrainedAdapter { weights: Arc::new(adapter), file })
    }
}

/// Reads the adapter out of a weights file.
pub(crate) fn from_weights_file(file: &[u8]) -> Option<Adapter> {
    let (length, rest) = file.split_first_chunk::<8>()?;
    let student = rest.get(usize::try_from(u64::from_le_bytes(*length)).ok()?..)?;
    Adapter::from_bytes(student).ok()
}

/// Writes a safetensors file (header length, header, data) with the saved student as its one tensor.
fn safetensors(student: &[u8], kind: &str) -> Bytes {
    let mut header = json!({
        "__metadata__": {"format": "dfwfd-student", "student": kind},
        "student": {"dtype": "U8", "shape": [student.len()], "data_offsets": [0, student.len()]},
    })
    .to_string();
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut file = Vec::with_capacity(8 + header.len() + student.len());
    file.extend_from_slice(&(header.len() as u64).to_le_bytes());
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(student);
    file.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_a_valid_safetensors_file() {
        let file = safetensors(&[7, 8, 9], "x");
        let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        let header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
        assert_eq!(header["student"]["data_offsets"], json!([0, 3]));
        assert_eq!(&file[8 + length..], [7, 8, 9]);
        assert_eq!((8 + length) % 8, 0);
        let read = from_weights_file;
        assert!(read(&file).is_none() && read(&file[..5]).is_none() && read(&[0xff; 9]).is_none());
    }
}
