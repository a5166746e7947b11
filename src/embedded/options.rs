//! How an embedded platform behaves: the options that its caller sets.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use super::faults::FaultSpec;
use super::timing::Clock;

/// The options of an embedded platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The address to listen on.
    pub address: IpAddr,
    /// The port there; 0 takes a free one.
    pub port: u16,
    /// The token that every request must carry, if there is one.
    pub token: Option<AccessToken>,
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
            address: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            token: None,
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

/// The token that clients of a platform must carry. It is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(String);

impl AccessToken {
    /// Keeps a token.
    pub fn new(token: &str) -> AccessToken {
        AccessToken(token.to_owned())
    }

    /// Returns true if the value of a header `Authorization` carries the token. How long that takes tells nothing of it.
    pub(super) fn is_in(&self, header: &[u8]) -> bool {
        let given = header.strip_prefix(b"Bearer ").unwrap_or_default();
        blake3::hash(given) == blake3::hash(self.0.as_bytes())
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(***)")
    }
}
