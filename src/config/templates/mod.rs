//! The texts that `dfwfd init` writes: a configuration for the embedded platform or for each generation of NeMo, and the sample logs.

/// The configuration for NeMo Helix.
pub(crate) const NEMO: &str = include_str!("nemo.yaml");

/// The configuration for a cluster of NeMo microservices 25.x.
pub(crate) const NEMO_V1: &str = include_str!("nemo_v1.yaml");

/// The sample logs: about 1,500 records of the workload `news_classifier`.
pub(crate) const SAMPLE_LOGS: &[u8] = include_bytes!("../../../testdata/news_logs.jsonl");

/// The name of the sample logs, which `init --sample` writes beside the configuration.
pub(crate) const SAMPLE_NAME: &str = "news_logs.jsonl";

/// The configuration for the embedded platform, with `{{logs}}` in place of the section `logs`.
const EMBEDDED: &str = include_str!("embedded.yaml");

/// Returns the configuration for the embedded platform. It reads these logs, or else the local log store.
pub(crate) fn embedded(logs: Option<&str>) -> String {
    let section = match logs {
        Some(path) => format!(
            "# Runs read their records from these JSONL files. Without this section they read the local log store, which\n\
             # `dfwfd load FILE` fills.\nlogs:\n  source: jsonl\n  path: {path}\n\n"
        ),
        None => "# Runs read their records from the local log store, which `dfwfd load FILE` fills. To read JSONL files instead:\n\
                 # logs:\n#   source: jsonl\n#   path: logs/*.jsonl\n\n"
            .to_owned(),
    };
    EMBEDDED.replace("{{logs}}\n", &section)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_configuration_is_the_embedded_one_with_the_shipped_logs() {
        let shipped = include_str!("../../../flywheel.yaml");
        assert_eq!(embedded(Some("testdata/news_logs.jsonl")), shipped);
    }
}
