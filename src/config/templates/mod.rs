//! What `dfwfd init` writes: a configuration for the embedded platform or for a cluster, and the sample logs. Text only;
//! writing the files is the command's.

/// The configuration for a NeMo cluster.
pub const NEMO: &str = include_str!("nemo.yaml");

/// The sample logs: workload `news_classifier`, about 1,500 lines.
pub const SAMPLE_LOGS: &[u8] = include_bytes!("../../../testdata/news_logs.jsonl");

/// Where `init --sample` writes the sample logs, beside the configuration.
pub const SAMPLE_NAME: &str = "news_logs.jsonl";

/// The configuration for the embedded platform, with `{{logs}}` where the logs are.
const EMBEDDED: &str = include_str!("embedded.yaml");

/// The configuration for the embedded platform, reading records from the local log store or from this file.
pub fn embedded(logs: Option<&str>) -> String {
    let section = match logs {
        Some(path) => format!(
            "# Where the prompt/response records come from: JSONL files here. Without this section they come from the local log\n\
             # store, which `dfwfd load FILE` fills.\nlogs:\n  source: jsonl\n  path: {path}\n\n"
        ),
        None => "# Where the prompt/response records come from: the local log store, which `dfwfd load FILE` fills. For JSONL files\n\
                 # instead:\n# logs:\n#   source: jsonl\n#   path: logs/*.jsonl\n\n"
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
