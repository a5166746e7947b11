//! Checks that the program accepts every command line in pages, examples and configurations.

use clap::error::ErrorKind;
use dfwfd::cli::Cli;

use clap::Parser as _;

use crate::harness::project;
use crate::markdown::pages;
use crate::shell::commands;

/// Returns why the program refuses this command line.
fn refusal(words: &[String]) -> Option<String> {
    let inner = words.iter().position(|word| word == "--").map(|at| &words[at + 1..]);
    if let Some(problem) = inner.filter(|words| words.first().is_some_and(|word| word == "dfwfd")).and_then(refusal) {
        return Some(problem);
    }
    match Cli::try_parse_from(words) {
        Ok(_) => None,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => None,
        // `dfwfd load` in a sentence names the command. It is not a line to type.
        Err(error) if error.kind() == ErrorKind::MissingRequiredArgument && words.len() == 2 => None,
        Err(error) => Some(format!("{}\n{error}", words.join(" "))),
    }
}

/// Returns the calls of the program in shell text.
fn calls(text: &str) -> Vec<Vec<String>> {
    let of_program = |mut words: Vec<String>| {
        let through_cargo = ["cargo", "run", "--release", "--"];
        if words.len() > through_cargo.len() && words.iter().zip(through_cargo).all(|(word, other)| word == other) {
            words.splice(..through_cargo.len(), ["dfwfd".to_owned()]);
        }
        // A variable stands for the program in scripts.
        (words[0] == "dfwfd" || words[0] == "$dfwfd").then_some(words)
    };
    commands(text).into_iter().filter_map(of_program).collect()
}

#[track_caller]
fn all_accepted(found: &[(String, Vec<String>)], at_least: usize) {
    let refused: Vec<String> =
        found.iter().filter_map(|(at, words)| Some(format!("{at}: {}", refusal(words)?))).collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(found.len() >= at_least, "only {} command lines were found", found.len());
}

#[test]
fn shell_blocks_hold_commands_that_parse() {
    let mut found = Vec::new();
    for page in pages() {
        for block in &page.blocks {
            let at = format!("{}:{}", page.name(), block.line);
            let text = match block.info.as_str() {
                "" | "sh" | "sh run" | "bash" => block.text.clone(),
                // In a session, the typed lines follow the prompt.
                "console" => {
                    block.text.lines().filter_map(|line| line.strip_prefix("$ ")).collect::<Vec<_>>().join("\n")
                }
                _ => continue,
            };
            found.extend(calls(&text).into_iter().map(|words| (at.clone(), words)));
        }
    }
    all_accepted(&found, 40);
}

#[test]
fn code_spans_hold_commands_that_parse() {
    let mut found = Vec::new();
    for page in pages() {
        for (line, span) in page.spans() {
            if span.starts_with("dfwfd ") && !span.contains("...") {
                // Tables escape bars.
                let calls = calls(&span.replace("\\|", "|"));
                found.extend(calls.into_iter().map(|words| (format!("{}:{line}", page.name()), words)));
            }
        }
    }
    all_accepted(&found, 30);
}

#[test]
fn examples_and_configurations_hold_commands_that_parse() {
    let mut found = Vec::new();
    let folders = ["examples", "src/config/templates"];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(project().join(folder)).unwrap());
    let files = files.map(|entry| entry.unwrap().path()).chain([project().join("flywheel.yaml")]);
    for path in files.filter(|path| path.is_file()) {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let is_script = path.extension().is_some_and(|extension| extension == "sh");
        let commented =
            text.lines().filter_map(|line| line.trim_start().strip_prefix('#')).filter(|line| line.starts_with("   "));
        let shown = commented
            .map(|line| line.split("    ").find(|part| part.trim_start().starts_with("dfwfd")).unwrap_or_default());
        let text = if is_script { text.clone() } else { shown.collect::<Vec<_>>().join("\n") };
        found.extend(calls(&text).into_iter().map(|words| (path.display().to_string(), words)));
    }
    all_accepted(&found, 8);
}
