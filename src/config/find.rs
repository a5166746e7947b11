//! Where the configuration file and the state directory are. The state directory is found even when the rest of the
//! file is broken or gone, because `status`, `report`, `cleanup` and `cancel` need nothing else.

use std::path::{Path, PathBuf};

use super::env::Environment;
use super::file::Document;
use super::node::{Node, What};
use super::{Invocation, Surroundings, layers};

/// The name that is looked for.
pub(crate) const NAME: &str = "flywheel.yaml";

/// The configuration file of an invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Named by `--config` or `DFWFD_CONFIG`; absolute; may be gone.
    Named(PathBuf),
    /// Here or in the nearest folder above; absolute.
    Near(PathBuf),
    /// None.
    Nothing,
}

impl Found {
    /// The file, when there is a name for it.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Found::Named(path) | Found::Near(path) => Some(path),
            Found::Nothing => None,
        }
    }

    /// The folder that paths in the file are relative to.
    pub(crate) fn folder<'a>(&'a self, cwd: &'a Path) -> &'a Path {
        self.path().and_then(Path::parent).unwrap_or(cwd)
    }
}

/// Looks for the configuration file: `--config`, `DFWFD_CONFIG`, then `flywheel.yaml` here or in the nearest folder above.
pub(crate) fn config(invocation: &Invocation, around: &Surroundings) -> Found {
    let flag = invocation.config.clone().filter(|path| !path.as_os_str().is_empty());
    if let Some(path) = flag.or_else(|| around.process.get("DFWFD_CONFIG").map(PathBuf::from)) {
        return Found::Named(absolute(&around.cwd, &path));
    }
    let near = around.cwd.ancestors().map(|folder| folder.join(NAME)).find(|path| path.is_file());
    near.map_or(Found::Nothing, Found::Near)
}

/// The state directory: `--state-dir`, `--set state_dir=`, `DFWFD_STATE_DIR`, `DFWFD__STATE_DIR`, the key `state_dir`,
/// else `.dfwfd` beside the configuration file.
pub(crate) fn state_dir(invocation: &Invocation, around: &Surroundings) -> PathBuf {
    let found = config(invocation, around);
    let folder = found.folder(&around.cwd);
    let environment = around.process.clone().beside(folder);
    if let Some(path) = stated(invocation, &around.cwd, folder, &environment) {
        return path;
    }
    let text = found.path().and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    absolute(folder, Path::new(&key_of(&text).unwrap_or_else(|| ".dfwfd".to_owned())))
}

/// The state directory that a flag or a variable names. A path on the command line or in a variable of the process is
/// relative to the working folder, one in a `.env` file to its own.
pub(crate) fn stated(invocation: &Invocation, cwd: &Path, folder: &Path, environment: &Environment) -> Option<PathBuf> {
    if let Some(path) = invocation.state_dir.as_ref().filter(|path| !path.as_os_str().is_empty()) {
        return Some(absolute(cwd, path));
    }
    let set = invocation.set.iter().rev().find_map(|set| set.strip_prefix("state_dir="));
    if let Some(path) = set.filter(|path| !path.trim().is_empty() && *path != "null") {
        return Some(absolute(cwd, Path::new(path)));
    }
    let names = ["DFWFD_STATE_DIR".to_owned(), format!("{}STATE_DIR", layers::PREFIX)];
    let name = names.iter().find(|name| environment.get(name).is_some_and(|path| path != "null"))?;
    let base = if environment.in_file(name) { folder } else { cwd };
    environment.get(name).map(|path| absolute(base, Path::new(path)))
}

/// `state_dir` of a text, as well as it can be read: a broken file is read line by line.
fn key_of(text: &str) -> Option<String> {
    if let Ok(document) = Document::read(text) {
        return scalar(document.root.find("state_dir")?);
    }
    let line = text.lines().find(|line| line.starts_with("state_dir:"))?;
    scalar(Document::read(line).ok()?.root.find("state_dir")?)
}

fn scalar(node: &Node) -> Option<String> {
    match &node.what {
        What::Scalar(text, _) if !node.is_null() && !text.trim().is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// `path` below `base` unless it is absolute, without `.` and without `..` where that changes nothing.
pub(crate) fn absolute(base: &Path, path: &Path) -> PathBuf {
    use std::path::Component;
    let mut clean = PathBuf::new();
    for part in base.join(path).components() {
        match part {
            Component::CurDir => {}
            // `a/..` is where we are unless `a` is a link.
            Component::ParentDir if clean.file_name().is_some() && !clean.is_symlink() => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(cwd: &Path, variables: &[(&str, &str)]) -> Surroundings {
        Surroundings {
            cwd: cwd.to_owned(),
            process: Environment::of(variables.iter().copied()),
            ..Surroundings::fixed()
        }
    }

    #[test]
    fn the_file_is_found_here_or_above() {
        let top = tempfile::tempdir().unwrap();
        let deep = top.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        let invocation = Invocation::default();
        std::fs::write(top.path().join(NAME), "").unwrap();
        assert_eq!(config(&invocation, &around(&deep, &[])), Found::Near(top.path().join(NAME)));
        std::fs::write(top.path().join("a").join(NAME), "").unwrap();
        assert_eq!(config(&invocation, &around(&deep, &[])), Found::Near(top.path().join("a").join(NAME)));
        let variables = [("DFWFD_CONFIG", "../other.yaml")];
        assert_eq!(config(&invocation, &around(&deep, &variables)), Found::Named(top.path().join("a/other.yaml")));
        let named = Invocation { config: Some("c.yaml".into()), ..Invocation::default() };
        assert_eq!(config(&named, &around(&deep, &variables)), Found::Named(deep.join("c.yaml")));
    }

    #[test]
    fn the_state_directory_is_found_whatever_the_file_looks_like() {
        let top = tempfile::tempdir().unwrap();
        let file = top.path().join(NAME);
        let cwd = top.path().join("elsewhere");
        std::fs::create_dir(&cwd).unwrap();
        let invocation = Invocation { config: Some(file.clone()), ..Invocation::default() };
        assert_eq!(state_dir(&invocation, &around(&cwd, &[])), top.path().join(".dfwfd"));
        for text in
            ["state_dir: 'my state'\nnims: 7\n", "nims: [\nstate_dir: my state # here\n", "state_dir: my state\na: ]"]
        {
            std::fs::write(&file, text).unwrap();
            assert_eq!(state_dir(&invocation, &around(&cwd, &[])), top.path().join("my state"), "{text}");
        }
        for text in ["state_dir:\n", "state_dir: [a]\n", "\0", "- state_dir: x\n"] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(state_dir(&invocation, &around(&cwd, &[])), top.path().join(".dfwfd"), "{text}");
        }
    }

    #[test]
    fn flags_are_stronger_than_variables_and_those_than_the_file() {
        let top = tempfile::tempdir().unwrap();
        let cwd = top.path().join("elsewhere");
        std::fs::create_dir(&cwd).unwrap();
        std::fs::write(top.path().join(NAME), "state_dir: of-file\n").unwrap();
        std::fs::write(top.path().join(".env"), "DFWFD_STATE_DIR=of-dotenv\n").unwrap();
        let mut invocation = Invocation { config: Some(top.path().join(NAME)), ..Invocation::default() };
        assert_eq!(state_dir(&invocation, &around(&cwd, &[])), top.path().join("of-dotenv"));
        let variables = [("DFWFD__STATE_DIR", "of-key"), ("DFWFD_STATE_DIR", "of-variable")];
        assert_eq!(state_dir(&invocation, &around(&cwd, &variables)), cwd.join("of-variable"));
        invocation.set = vec!["state_dir=of-set".into()];
        assert_eq!(state_dir(&invocation, &around(&cwd, &variables)), cwd.join("of-set"));
        invocation.state_dir = Some("of-flag".into());
        assert_eq!(state_dir(&invocation, &around(&cwd, &variables)), cwd.join("of-flag"));
    }
}
