//! The end of a report: the adapters, and a command that asks one of them.

use super::json::Report;
use super::layout::Page;
use super::text::{one_line, width as shown};
use crate::vocabulary::RunState;

/// Names every adapter, then shows how to ask the best one.
pub(super) fn lines(page: &mut Page, report: &Report) {
    let adapters: Vec<(&str, &str)> = report
        .candidates
        .iter()
        .filter_map(|candidate| Some((candidate.model.as_str(), candidate.training.as_ref()?.adapter.as_deref()?)))
        .collect();
    if adapters.is_empty() || report.state == RunState::Running {
        return;
    }
    page.title(if adapters.len() == 1 { "Adapter" } else { "Adapters" });
    for (model, adapter) in &adapters {
        page.plain("  ", adapter);
        page.plain("    ", &format!("customizes {model}"));
    }
    let best = report.headline().map(|headline| headline.model);
    let chosen = adapters.iter().find(|(model, _)| Some(*model) == best.as_deref()).unwrap_or(&adapters[0]);
    page.gap();
    match &report.nim_base_url {
        Some(base) => remote(page, base, chosen.0, chosen.1),
        None => in_process(page, report),
    }
}

/// For a platform that outlives the run.
fn remote(page: &mut Page, base: &str, model: &str, adapter: &str) {
    page.plain("", &format!("To ask the adapter while a NIM of {model} is deployed:"));
    let url = quoted(&format!("{}/v1/chat/completions", one_line(base).trim_end_matches('/')));
    let name = serde_json::Value::from(one_line(adapter)).to_string().replace('\'', "'\\''");
    let messages = r#""messages": [{"role": "user", "content": "..."}]}'"#;
    let room = page.width();
    if shown(messages) + 9 <= room && shown(&url) + 9 <= room && shown(&name) + 17 <= room {
        page.line(&format!("  curl {url} \\"));
        page.line("    -H 'content-type: application/json' \\");
        page.line(&format!("    -d '{{\"model\": {name},"));
        page.line(&format!("         {messages}"));
        return;
    }
    // Words wider than the page go into variables, because an assignment can continue after a backslash.
    assignment(page, "url", &url);
    assignment(page, "model", &quoted(&one_line(adapter)));
    page.line("curl \"$url\" \\");
    page.line("  -H content-type:application/json \\");
    page.line("  -d '{\"model\": \"'\"$model\"'\",");
    page.line("       \"messages\": [{\"role\": \"user\",");
    page.line("         \"content\": \"...\"}]}'");
}

/// Returns a word for a shell, quoted if necessary.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@,+=%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Writes `name=value` for a shell, over several lines if necessary. A quoted value stays on one line.
fn assignment(page: &mut Page, name: &str, value: &str) {
    let mut line = format!("{name}=");
    for c in value.chars() {
        if shown(&line) + 2 > page.width() && !value.starts_with('\'') {
            page.line(&format!("{line}\\"));
            line.clear();
        }
        line.push(c);
    }
    page.line(&line);
}

/// For a platform that ended with the run.
fn in_process(page: &mut Page, report: &Report) {
    page.plain(
        "",
        "The embedded platform ended with the process of the run, and the adapters with it. To keep an adapter, run \
         against a server:",
    );
    command(page, &["dfwfd", "serve", "--port 8090", "--env-file serve.env", "&"]);
    command(page, &["set -a;", ". ./serve.env;", "set +a"]);
    let workload = report.workload.as_deref().map(|name| format!("--workload {}", quoted(&one_line(name))));
    command(page, &["dfwfd", "run", workload.as_deref().unwrap_or_default()]);
}

/// Writes a command for a shell, over several lines if it is wider than the page.
fn command(page: &mut Page, words: &[&str]) {
    let mut line = " ".to_owned();
    for word in words.iter().filter(|word| !word.is_empty()) {
        if shown(&line) + 1 + shown(word) + 2 > page.width() && line.trim() != "" {
            page.line(&format!("{line} \\"));
            line = "   ".to_owned();
        }
        line += " ";
        line += word;
    }
    page.line(&line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pasted_is_one_word_each() {
        assert_eq!(quoted("http://nim.test/v1"), "http://nim.test/v1");
        assert_eq!(quoted("a'; rm -r b"), r"'a'\''; rm -r b'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn a_broken_assignment_is_the_same_word() {
        let mut page = Page::new(40, false);
        let value = "dfwfd/".to_owned() + &"long-".repeat(30);
        assignment(&mut page, "model", &value);
        let text = page.text();
        assert!(text.lines().all(|line| shown(line) <= 40) && text.lines().count() > 2);
        assert_eq!(text.replace("\\\n", "").trim_end(), format!("model={value}"));
    }
}
