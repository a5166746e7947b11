//! Datasets on the platform: files under a name.

use std::path::PathBuf;

/// A dataset to upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDataset {
    pub namespace: String,
    pub name: String,
    /// Its name and owner.
    pub description: String,
    /// A free word that groups datasets.
    pub project: String,
}

/// A local file and its path in a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadFile {
    /// The path in the dataset, with `/`.
    pub path: String,
    /// The file on disk. It must not change during the upload.
    pub local: PathBuf,
}

/// A file of a dataset on the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
}

/// The result of looking for a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredDataset {
    /// It does not exist, or only in part.
    Absent,
    /// A dataset of that name exists and differs, with the first difference.
    Different(String),
    /// It exists with these files.
    Files(Vec<StoredFile>),
}
