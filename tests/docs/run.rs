//! Runs the blocks marked `sh run` of a page, in order and in one folder, and checks the output that the page shows.

use std::collections::HashSet;
use std::path::Path;
use std::process::{Command, Stdio};

use regex::Regex;

use crate::harness::{Folder, project, testdata};
use crate::markdown::{Block, Page};

/// Makes the calls through cargo in the README run the binary under test.
const PREAMBLE: &str = r#"
cargo() {
    [ "$1 $2 $3" = "run --release --" ] || { echo "cargo $*: not a call of the program" >&2; exit 99; }
    shift 3
    dfwfd "$@"
}
"#;

/// Runs a script in a folder with `dfwfd` on its path. Returns the exit code and both streams as one text.
pub(crate) fn sh(folder: &Path, shell: &str, script: &str, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let binary = Path::new(env!("CARGO_BIN_EXE_dfwfd")).parent().unwrap();
    let path = std::env::join_paths(
        [binary.to_owned()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let mut command = Command::new(shell);
    command.arg("-eu").arg("-c").arg(format!("exec 2>&1\n{script}")).current_dir(folder).env_clear();
    command.env("PATH", path.unwrap()).stdin(Stdio::null());
    command.envs(["HOME", "TMPDIR", "USER"].iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    let output = command.envs(variables.iter().copied()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// Masks what differs from run to run: ids, times, what they cost, and the spaces that they shift.
fn masked(line: &str) -> String {
    let mut line = line.to_owned();
    for (pattern, mask) in [
        (r"cust-[0-9A-Za-z]+", "cust-JOB"),
        (r"\b[a-z2-7]{8}\b", "RUN"),
        (r"\d[\d.]* (s|min)\b", "TIME"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME"),
        (r"\d[\d.]* USD( +-?[\d.]+ %)?(, [\d.]+ GPU hours)?", "MONEY"),
        (r"─+", "─"),
        (r" +", " "),
    ] {
        line = Regex::new(pattern).unwrap().replace_all(&line, mask).into_owned();
    }
    line.trim().to_owned()
}

/// Runs the page, and checks that it succeeds and prints each line that it shows. `UPDATE_DOCS=1 cargo test --test docs`
/// writes the output into the page first.
fn check(page: &str, folder: &Folder) {
    let path = project().join(page);
    let script: String =
        Page::read(&path).blocks.iter().filter(|block| is_run(block)).map(|block| &*block.text).collect();
    assert!(!script.is_empty());
    let (code, printed) = sh(folder.path(), "sh", &format!("{PREAMBLE}\n{script}"), &[]);
    assert_eq!(code, Some(0), "{page}: its commands ended with {code:?}\n{script}\n{printed}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        update(&path, &printed);
    }
    let known: HashSet<String> = printed.lines().map(masked).collect();
    let mut lines = 0;
    for block in shown(&Page::read(&path)) {
        for (offset, line) in block.text.lines().enumerate() {
            lines += 1;
            let at = block.line + offset;
            assert!(
                known.contains(&masked(line)),
                "{page}:{at} shows what is not printed:\n{line}\nprinted:\n{printed}"
            );
        }
    }
    assert!(lines > 5, "{page} shows only {lines} lines of output");
}

fn is_run(block: &Block) -> bool {
    block.info == "sh run"
}

/// Returns the blocks of output. Each follows a block that is run.
fn shown(page: &Page) -> Vec<&Block> {
    page.blocks.windows(2).filter(|pair| is_run(&pair[0]) && pair[1].info == "text").map(|pair| &pair[1]).collect()
}

/// Replaces the lines of each block of output, beginning where the same first line was printed.
fn update(path: &Path, printed: &str) {
    let mut text = std::fs::read_to_string(path).unwrap();
    for block in shown(&Page::read(path)) {
        let first = masked(block.text.lines().next().unwrap());
        let lines = printed.lines().skip_while(|line| masked(line) != first).take(block.text.lines().count());
        text = text.replacen(&block.text, &lines.map(|line| format!("{line}\n")).collect::<String>(), 1);
    }
    std::fs::write(path, text).unwrap();
}

#[test]
fn the_readme_runs_and_prints_what_it_shows() {
    let folder = Folder::new();
    folder.write("flywheel.yaml", std::fs::read(project().join("flywheel.yaml")).unwrap());
    folder.write("testdata/news_logs.jsonl", std::fs::read(testdata("news_logs.jsonl")).unwrap());
    check("README.md", &folder);
}

#[test]
fn the_quickstart_runs_and_prints_what_it_shows() {
    check("docs/quickstart.md", &Folder::new());
}

#[test]
fn masks_hide_what_differs_and_nothing_else() {
    assert_eq!(
        masked("run gvgk7bfw: news_classifier, completed after 3.1 s, on  it"),
        masked("run abcdefgh: news_classifier, completed after 12 min, on it")
    );
    assert_eq!(masked("m  7  0.0006 USD  99.8 %  11"), masked("m  7    0.28 USD   -21 %  11"));
    assert_ne!(masked("m  0.150  0.839  2.2 s"), masked("m  0.150  0.840  2.2 s"));
}
