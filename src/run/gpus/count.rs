//! The GPUs of this machine: asked of NVML, else of `nvidia-smi`, which a statically linked build needs because it cannot load
//! NVML.

use std::collections::BTreeSet;
use std::fmt;
use std::process::{Command, Stdio};

use anyhow::Context as _;

/// Who counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    Nvml,
    NvidiaSmi,
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Counter::Nvml => "NVML",
            Counter::NvidiaSmi => "nvidia-smi",
        })
    }
}

/// One GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gpu {
    pub name: String,
    /// A process computes on it.
    pub busy: bool,
    /// Free memory in MiB.
    pub free_mib: u64,
    /// Memory in MiB.
    pub total_mib: u64,
}

/// Returns the GPUs of this machine. `None` where there is neither NVML nor `nvidia-smi`.
pub(crate) fn gpus() -> Option<(Counter, Vec<Gpu>)> {
    let nvml = of_nvml().ok().map(|gpus| (Counter::Nvml, gpus));
    nvml.or_else(|| of_nvidia_smi().ok().map(|gpus| (Counter::NvidiaSmi, gpus)))
}

/// Returns how many GPUs are free: no process computes on them.
pub(super) fn free(gpus: &[Gpu]) -> usize {
    gpus.iter().filter(|gpu| !gpu.busy).count()
}

/// A GPU that NVML cannot read counts as busy.
fn of_nvml() -> Result<Vec<Gpu>, nvml_wrapper::error::NvmlError> {
    let nvml = nvml_wrapper::Nvml::init()?;
    let read = |index: u32| {
        let device = nvml.device_by_index(index)?;
        let memory = device.memory_info()?;
        Ok::<Gpu, nvml_wrapper::error::NvmlError>(Gpu {
            name: device.name()?,
            busy: !device.running_compute_processes()?.is_empty(),
            free_mib: memory.free >> 20,
            total_mib: memory.total >> 20,
        })
    };
    let unreadable = || Gpu { name: "unreadable".to_owned(), busy: true, free_mib: 0, total_mib: 0 };
    Ok((0..nvml.device_count()?).map(|index| read(index).unwrap_or_else(|_| unreadable())).collect())
}

fn of_nvidia_smi() -> anyhow::Result<Vec<Gpu>> {
    let devices = query("--query-gpu=uuid,name,memory.free,memory.total")?;
    let busy = query("--query-compute-apps=gpu_uuid")?;
    let busy: BTreeSet<&str> = busy.lines().map(str::trim).collect();
    Ok(devices.lines().filter_map(|line| gpu_of(line, &busy)).collect())
}

/// Reads one line of `uuid, name, free MiB, total MiB`.
fn gpu_of(line: &str, busy: &BTreeSet<&str>) -> Option<Gpu> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let [uuid, name, free, total] = fields[..] else { return None };
    let mib = |text: &str| text.parse().unwrap_or(0);
    Some(Gpu { name: name.to_owned(), busy: busy.contains(uuid), free_mib: mib(free), total_mib: mib(total) })
}

fn query(what: &str) -> anyhow::Result<String> {
    let mut command = Command::new("nvidia-smi");
    let output = command.args([what, "--format=csv,noheader,nounits"]).stdin(Stdio::null()).output();
    let output = output.context("cannot start nvidia-smi")?;
    anyhow::ensure!(output.status.success(), "nvidia-smi ended with {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_nvidia_smi_is_a_gpu() {
        let busy = BTreeSet::from(["GPU-1"]);
        let gpu = gpu_of("GPU-1, NVIDIA H100 80GB HBM3, 81029, 81559", &busy).unwrap();
        assert_eq!(gpu, Gpu { name: "NVIDIA H100 80GB HBM3".into(), busy: true, free_mib: 81029, total_mib: 81559 });
        let idle = gpu_of("GPU-2, A, [N/A], 1", &busy).unwrap();
        assert!(!idle.busy);
        assert_eq!(free(&[gpu, idle]), 1);
        assert_eq!(gpu_of("", &busy), None);
    }
}
