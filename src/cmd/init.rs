//! `dfwfd init`: writes a commented configuration and, on request, the sample logs. Their contents are in `config::templates`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::whole_file;
use crate::cli::{Global, Init};
use crate::config::templates;
use crate::error::{Exit, Fault};
use crate::ui::Ui;

/// Writes the files and prints the next command to type.
pub(super) fn run(global: &Global, args: &Init, ui: &Ui) -> anyhow::Result<Exit> {
    let config = global.config.clone().unwrap_or_else(|| PathBuf::from("flywheel.yaml"));
    let sample = args.sample.then(|| config.with_file_name(templates::SAMPLE_NAME));
    let text = match (args.nemo, args.nemo_v1) {
        (true, _) => templates::NEMO.to_owned(),
        (_, true) => templates::NEMO_V1.to_owned(),
        _ => templates::embedded(sample.is_some().then_some(templates::SAMPLE_NAME)),
    };
    let mut files: Vec<(&Path, &[u8])> = vec![(&config, text.as_bytes())];
    files.extend(sample.as_deref().map(|path| (path, templates::SAMPLE_LOGS)));
    let folder = whole_file::folder_of(&config);
    if !folder.is_dir() {
        return Err(Fault::new(
            Exit::Usage,
            format!("cannot write {}: there is no folder {}", config.display(), folder.display()),
        )
        .hint(format!("mkdir -p {}", folder.display()))
        .into());
    }
    if !args.force {
        refuse_existing(&files)?;
    }
    for (path, bytes) in &files {
        whole_file::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let written: Vec<String> = files.iter().map(|(path, _)| path.display().to_string()).collect();
    ui.json(&serde_json::json!({"schema": 1, "written": written}));
    ui.result(&format!("wrote {}", written.join(" and ")));
    let flag = global.config.as_ref().map(|path| format!(" --config {}", path.display())).unwrap_or_default();
    ui.hint(&next_command(args, sample.as_deref(), &flag));
    Ok(Exit::Done)
}

/// Returns the next command to type.
fn next_command(args: &Init, sample: Option<&Path>, flag: &str) -> String {
    let logs = sample.map_or("FILE".to_owned(), |path| path.display().to_string());
    let urls = match (args.nemo, args.nemo_v1) {
        (true, _) => "the base URL",
        (_, true) => "the three base URLs",
        _ if sample.is_some() => return format!("dfwfd{flag} run --workload news_classifier"),
        _ => return format!("dfwfd{flag} load {logs}, then dfwfd{flag} run --workload NAME"),
    };
    format!("set {urls} in the file, then dfwfd{flag} load {logs}, then dfwfd{flag} run --workload NAME --plan")
}

fn refuse_existing(files: &[(&Path, &[u8])]) -> anyhow::Result<()> {
    let existing: Vec<String> =
        files.iter().filter(|(path, _)| path.exists()).map(|(path, _)| path.display().to_string()).collect();
    if existing.is_empty() {
        return Ok(());
    }
    let there = if existing.len() == 1 { "the file is" } else { "the files are" };
    Err(Fault::new(Exit::Usage, format!("cannot write {}: {there} already there", existing.join(" and ")))
        .hint("--force replaces existing files; --config FILE writes to another file")
        .into())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::config::{Invocation, Need, load};
    use crate::error::classify;
    use crate::ui::Settings;

    fn init(config: &Path, flags: &[&str]) -> anyhow::Result<Exit> {
        let config = config.to_str().unwrap();
        let cli = Cli::try_parse_from(["dfwfd", "-q", "--config", config, "init"].iter().chain(flags)).unwrap();
        let Command::Init(args) = cli.command else { panic!() };
        run(&cli.global, &args, &Ui::new(Settings { quiet: true, ..Settings::default() }))
    }

    #[test]
    fn what_it_writes_can_be_run_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("flywheel.yaml");
        for flags in [&["--sample"][..], &["--force"], &["--nemo", "--force"], &["--nemo-v1", "--force"]] {
            init(&config, flags).unwrap();
            let invocation =
                Invocation { config: Some(config.clone()), need: Need::Candidates, ..Invocation::default() };
            assert!(!load(&invocation).unwrap().candidates.is_empty(), "{flags:?}");
        }
        assert_eq!(std::fs::read(folder.path().join("news_logs.jsonl")).unwrap(), templates::SAMPLE_LOGS);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn nothing_is_replaced_unless_asked() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("flywheel.yaml");
        let logs = folder.path().join("news_logs.jsonl");
        std::fs::write(&logs, "mine").unwrap();
        let error = init(&config, &["--sample"]).unwrap_err();
        assert_eq!(classify(&error).0, Exit::Usage);
        assert!(!config.exists(), "all files or none");
        assert_eq!(std::fs::read_to_string(&logs).unwrap(), "mine");
        let error = init(&folder.path().join("none/flywheel.yaml"), &[]).unwrap_err();
        assert_eq!(classify(&error).0, Exit::Usage);
    }
}
