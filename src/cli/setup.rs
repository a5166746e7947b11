//! Arguments of the commands beside the flywheel: the checks before it, the embedded platform, a first configuration, shell completions.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Records;

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    pub records: Records,
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Listen on this port; 0 picks a free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub port: u16,
    /// Listen on this address; one that other machines reach needs --token-env
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub listen: IpAddr,
    /// Admit only requests with the bearer token in this environment variable [default: admit all]
    #[arg(long, value_name = "NAME")]
    pub token_env: Option<String>,
    /// Also write the printed variables to this file, atomically [default: not written]
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// Offer this number of virtual GPUs
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub gpus: u32,
    /// Let clients upload files to the Data Store in this way
    #[arg(long, value_enum, default_value_t = UploadMode::Regular)]
    pub upload_mode: UploadMode,
    /// Advance jobs by this clock
    #[arg(long, value_enum, default_value_t = Clock::Real)]
    pub clock: Clock,
    /// Offer /control, with which tests hold calls and inspect the state
    #[arg(long)]
    pub control: bool,
    /// Make calls fail, for example 'POST /nemo/v1/customization/jobs: status=503 times=2'; repeatable [default: none]
    #[arg(long = "fault", value_name = "SPEC")]
    pub faults: Vec<String>,
    /// Keep the state in this folder across restarts [default: in memory]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Run this command against the platform and exit with its code [default: serve until stopped]
    #[arg(last = true, value_name = "CMD")]
    pub run: Vec<String>,
}

/// How clients upload files to the Data Store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum UploadMode {
    /// In the body of the commit
    Regular,
    /// Over git-LFS
    Lfs,
}

/// The clock of the embedded platform's jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Clock {
    /// Real time
    Real,
    /// One step for each request of a status
    Polls,
    /// Simulated time, which POST /control/advance moves to the next change; needs --control
    Simulated,
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Write a configuration for NeMo Helix instead of the embedded platform
    #[arg(long)]
    pub nemo: bool,
    /// Write a configuration for a cluster of NeMo microservices 25.x
    #[arg(long, conflicts_with = "nemo")]
    pub nemo_v1: bool,
    /// Also write sample logs with the workload news_classifier
    #[arg(long)]
    pub sample: bool,
    /// Replace existing files
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// Shell to print the script for
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
