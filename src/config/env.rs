//! The environment variables of one invocation: the process's, and the ones in a `.env` file beside the configuration.
//! The file never overrides the process. Values are never shown, and nothing is written back to the process.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// The variables of the process and of a `.env` file.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    process: BTreeMap<String, String>,
    file: BTreeMap<String, String>,
    path: Option<PathBuf>,
    unreadable: Option<String>,
    exposed: bool,
}

impl Environment {
    /// Returns the variables of this process. Those that are not valid UTF-8 are left out.
    pub(crate) fn process() -> Environment {
        let process = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Environment { process, ..Environment::default() }
    }

    /// Returns an environment of these variables only.
    #[cfg(test)]
    pub(crate) fn of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Environment {
        let process = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Environment { process, ..Environment::default() }
    }

    /// Adds the variables of the `.env` file in this folder, if it exists.
    #[must_use]
    pub(crate) fn beside(mut self, folder: &Path) -> Environment {
        let path = folder.join(".env");
        if !path.is_file() {
            return self;
        }
        // The parser's message quotes the line, which may hold a secret.
        let read = std::fs::read(&path).map_err(dotenvy::Error::Io).and_then(|bytes| {
            // Editors of Windows begin a file with a byte-order mark.
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
            dotenvy::from_read_iter(bytes).collect::<Result<BTreeMap<_, _>, _>>()
        });
        match read {
            Ok(file) => self.file = file,
            Err(dotenvy::Error::Io(error)) => self.unreadable = Some(format!("cannot be read: {error}")),
            Err(_) => self.unreadable = Some("a line does not have the form NAME=value".to_owned()),
        }
        self.exposed = is_exposed(&path);
        self.path = Some(path);
        self
    }

    /// Returns the value of a variable, without the line end that `$(cat FILE)` in a service file or an editor leaves. A
    /// variable that is set to nothing counts as not set.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let set_in =
            |variables: &'_ BTreeMap<String, String>| variables.get(name).is_some_and(|value| !value.trim().is_empty());
        let variables = if set_in(&self.process) { &self.process } else { &self.file };
        let value = variables.get(name).map(|value| value.trim_end_matches(['\r', '\n']));
        value.filter(|value| !value.trim().is_empty())
    }

    /// Tells whether the value of this variable comes from the `.env` file.
    pub(crate) fn is_from_file(&self, name: &str) -> bool {
        self.get(name).is_some() && self.process.get(name).is_none_or(|value| value.trim().is_empty())
    }

    /// Returns every variable that is set.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let names: std::collections::BTreeSet<&str> =
            self.process.keys().chain(self.file.keys()).map(String::as_str).collect();
        names.into_iter().filter_map(|name| self.get(name).map(|value| (name, value)))
    }

    /// Returns the `.env` file and the reason why it cannot be used.
    pub(crate) fn broken(&self) -> Option<(&Path, &str)> {
        Some((self.path.as_deref()?, self.unreadable.as_deref()?))
    }

    /// Returns a warning when other users can read the `.env` file.
    pub(crate) fn warning(&self) -> Option<String> {
        let path = self.path.as_ref().filter(|_| self.exposed)?;
        Some(format!("other users can read {0}, which may hold secrets; run: chmod 600 {0}", path.display()))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("variables", &self.iter().count()).field("file", &self.path).finish()
    }
}

#[cfg(unix)]
fn is_exposed(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o044 != 0)
}

#[cfg(not(unix))]
fn is_exposed(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(text: &str, mode: u32) -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        folder
    }

    #[test]
    fn a_file_adds_but_never_overrides() {
        let folder = folder("A=file\nB='from file'\n# note\nC=file\n", 0o600);
        let environment = Environment::of([("A", "process"), ("C", "")]).beside(folder.path());
        assert_eq!(environment.get("A"), Some("process"));
        assert_eq!(environment.get("B"), Some("from file"));
        assert_eq!(environment.get("C"), Some("file"));
        assert_eq!(environment.get("D"), None);
        assert!(environment.is_from_file("B") && !environment.is_from_file("A"));
        assert_eq!(environment.iter().count(), 3);
        assert_eq!(environment.warning(), None);
    }

    #[test]
    fn a_mark_at_the_start_and_a_line_end_at_the_end_are_no_part_of_a_secret() {
        let folder = folder("\u{feff}A=file\nB=\"two\n\"\n", 0o600);
        let environment = Environment::of([("C", "token\r\n"), ("D", " \n")]).beside(folder.path());
        let of = |name| environment.get(name);
        assert_eq!((of("A"), of("B"), of("C"), of("D")), (Some("file"), Some("two"), Some("token"), None));
    }

    #[test]
    fn a_file_that_others_can_read_is_warned_about() {
        let folder = folder("A=1\n", 0o640);
        let warning = Environment::default().beside(folder.path()).warning().unwrap();
        assert!(warning.contains("chmod 600"), "{warning}");
    }

    #[test]
    fn what_is_wrong_with_a_file_never_shows_its_content() {
        let folder = folder("KEY='hunter2\n", 0o600);
        let environment = Environment::of([("OTHER", "hunter2")]).beside(folder.path());
        let (_, why) = environment.broken().unwrap();
        assert!(!why.contains("hunter2"), "{why}");
        assert!(!format!("{environment:?}").contains("hunter2"));
    }
}
