//! How an embedded platform behaves: the options that its caller sets.

use std::path::PathBuf;

use super::faults::FaultSpec;
use super::timing::Clock;

/// The options of an embedded platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// GPUs of the virtual pool that deployments and training jobs share.
    pub gpus: u32,
    pub upload_mode: UploadMode,
    pub clock: Clock,
    /// Serves the control endpoints below `/control`.
    pub control: bool,
    /// Scripted failures that are active from the start.
    pub faults: Vec<FaultSpec>,
    /// The folder that keeps the state; without one it ends with the process.
    pub data_dir: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            port: 0,
            gpus: 4,
            upload_mode: UploadMode::Regular,
            clock: Clock::Real,
            control: false,
            faults: Vec::new(),
            data_dir: None,
        }
    }
}

/// How the Data Store wants files to be uploaded: its answer to a preupload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadMode {
    /// Inside the commit.
    Regular,
    /// Over git-LFS, before the commit.
    Lfs,
}
