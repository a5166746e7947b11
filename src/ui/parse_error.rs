//! The messages of the command-line parser: help and version on stdout, errors on stderr. With `--format json` an error is
//! also the one object on stdout.

use std::io::Write as _;
use std::process::ExitCode;

use serde_json::json;

use crate::error::Exit;

/// Prints the message and returns the exit code.
pub fn show(error: &clap::Error) -> ExitCode {
    let shown = error.print().and_then(|()| std::io::stdout().flush());
    if !error.use_stderr() {
        // A reader that has gone is no error.
        let lost = shown.is_err_and(|error| error.kind() != std::io::ErrorKind::BrokenPipe);
        return if lost { Exit::Failed } else { Exit::Done }.code().into();
    }
    if wants_json() {
        let text = error.render().to_string();
        let mut parts = text.trim().splitn(2, "\n\n");
        let message = parts.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let object = json!({
            "schema": 1, "exit_code": Exit::Usage.code(),
            "error": {"message": message, "causes": [], "hint": "dfwfd --help"},
        });
        let _ = writeln!(std::io::stdout(), "{object}");
    }
    Exit::Usage.code().into()
}

/// Tells whether a command line that does not parse asks for JSON.
fn wants_json() -> bool {
    let arguments: Vec<String> = std::env::args().collect();
    arguments.iter().any(|argument| argument == "--format=json")
        || arguments.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json")
}
