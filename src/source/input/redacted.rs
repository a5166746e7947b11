//! Reads a stream of lines with personal data and secrets masked. The key of the placeholders lies in the state directory.

use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::rewritten::Rewritten;
use crate::data::options::Redaction;
use crate::data::redact::Redactor;

/// Masks the lines of a stream.
pub(crate) fn redacted<R: Read>(lines: R, redactor: &mut Redactor) -> impl Read {
    Rewritten::new(lines, |line, masked| redactor.line(line, masked))
}

/// Makes what masks the records of a request.
pub(crate) fn redactor(redaction: &Redaction) -> Result<Redactor> {
    Redactor::new(&redaction.rules, key(&redaction.key_file)?).context("cannot read redact_patterns")
}

/// Returns the key in a file, which is made when it is first needed.
fn key(file: &Path) -> Result<[u8; 32]> {
    let failed = || format!("cannot use the key of redact in {}", file.display());
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(failed)?;
    }
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(mut created) => created.write_all(&rand::random::<[u8; 32]>()).with_context(failed)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(failed),
    }
    let bytes = std::fs::read(file).with_context(failed)?;
    bytes.try_into().map_err(|_| anyhow::anyhow!("it does not hold 32 bytes")).with_context(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::options::RedactRules;

    #[test]
    fn every_line_stays_a_line() {
        let rules = RedactRules { kinds: vec!["email".to_owned()], ..RedactRules::default() };
        let mut redactor = Redactor::new(&rules, [0; 32]).unwrap();
        let text = "{\"a\":\"x@b.example\"}\r\n\nbroken y@b.example\n{\"a\":1}";
        let mut masked = String::new();
        redacted(text.as_bytes(), &mut redactor).read_to_string(&mut masked).unwrap();
        let lines: Vec<&str> = masked.split('\n').collect();
        assert!(lines[0].starts_with("{\"a\":\"<email:") && lines[1].is_empty() && lines[3] == "{\"a\":1}", "{masked}");
        assert!(lines[2].starts_with("broken <email:") && lines.len() == 4, "{masked}");
    }

    #[test]
    fn the_key_is_made_once_and_only_its_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state/redact.key");
        let first = key(&file).unwrap();
        assert_eq!(first, key(&file).unwrap());
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, "short").unwrap();
        assert!(key(&file).is_err());
    }
}
