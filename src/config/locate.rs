//! Locates the configuration file and the state directory. `status`, `cleanup` and `cancel` need the state directory only,
//! so it is found even when the rest of the file is broken or the file is gone.

use std::path::{Path, PathBuf};

use super::defaults::default_of;
use super::env::Environment;
use super::node::{ConfigNode, NodeContent};
use super::{Invocation, Surroundings, overrides, placeholders, yaml};

/// The name of the file to look for.
pub(crate) const NAME: &str = "flywheel.yaml";

/// The configuration file of an invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ConfigFile {
    /// The absolute path that `--config` or `DFWFD_CONFIG` names. The file may not exist.
    Named(PathBuf),
    /// The absolute path of a file in the working folder or the nearest folder above.
    Nearby(PathBuf),
    None,
}

impl ConfigFile {
    /// Returns the path of the file.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            ConfigFile::Named(path) | ConfigFile::Nearby(path) => Some(path),
            ConfigFile::None => None,
        }
    }

    /// Returns the folder that paths in the file are relative to.
    pub(crate) fn folder<'a>(&'a self, cwd: &'a Path) -> &'a Path {
        self.path().and_then(Path::parent).unwrap_or(cwd)
    }
}

/// Looks for the configuration file: `--config`, then `DFWFD_CONFIG`, then `flywheel.yaml` here or in the nearest folder above.
pub(crate) fn config_file(invocation: &Invocation, around: &Surroundings) -> ConfigFile {
    let flag = invocation.config.clone().filter(|path| !path.as_os_str().is_empty());
    if let Some(path) = flag.or_else(|| around.process.get("DFWFD_CONFIG").map(PathBuf::from)) {
        return ConfigFile::Named(absolute(&around.cwd, &path));
    }
    let near = around.cwd.ancestors().map(|folder| folder.join(NAME)).find(|path| path.is_file());
    near.map_or(ConfigFile::None, ConfigFile::Nearby)
}

/// Returns the state directory: `--state-dir`, `--set state_dir=`, `DFWFD_STATE_DIR`, `DFWFD__STATE_DIR`, the key `state_dir`,
/// else `.dfwfd` beside the configuration file.
pub(crate) fn state_dir(invocation: &Invocation, around: &Surroundings) -> PathBuf {
    let found = config_file(invocation, around);
    let folder = found.folder(&around.cwd);
    let environment = around.process.clone().beside(folder);
    if let Some(path) = stated(invocation, &around.cwd, folder, &environment) {
        return path;
    }
    let text = found.path().and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    absolute(
        folder,
        Path::new(
            &key_of(&text, &environment).unwrap_or_else(|| default_of("state_dir").unwrap_or_default().to_owned()),
        ),
    )
}

/// Returns the state directory that a flag or a variable names. Paths of flags and of process variables are relative to the
/// working folder, those of a `.env` file to the folder of that file.
pub(crate) fn stated(invocation: &Invocation, cwd: &Path, folder: &Path, environment: &Environment) -> Option<PathBuf> {
    if let Some(path) = invocation.state_dir.as_ref().filter(|path| !path.as_os_str().is_empty()) {
        return Some(absolute(cwd, path));
    }
    let set = invocation.set.iter().rev().find_map(|set| set.strip_prefix("state_dir="));
    if let Some(path) = set.filter(|path| !path.trim().is_empty() && *path != "null") {
        return Some(absolute(cwd, Path::new(path)));
    }
    let names = ["DFWFD_STATE_DIR".to_owned(), format!("{}STATE_DIR", overrides::PREFIX)];
    let name = names.iter().find(|name| environment.get(name).is_some_and(|path| path != "null"))?;
    let base = if environment.is_from_file(name) { folder } else { cwd };
    environment.get(name).map(|path| absolute(base, Path::new(path)))
}

/// Returns `state_dir` of a configuration text. Where the text is not YAML, the line of that key is enough.
fn key_of(text: &str, environment: &Environment) -> Option<String> {
    if let Ok(mut root) = yaml::read(text) {
        placeholders::fill(&mut root, environment);
        return scalar(root.find("state_dir")?);
    }
    let line = text.lines().find(|line| line.starts_with("state_dir:"))?;
    scalar(yaml::read(line).ok()?.find("state_dir")?)
}

fn scalar(node: &ConfigNode) -> Option<String> {
    match &node.content {
        NodeContent::Scalar(text, _) if !node.is_null() && !text.trim().is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// Joins `path` to `base` unless it is absolute, and removes `.` and, where no link is involved, `..`.
pub(crate) fn absolute(base: &Path, path: &Path) -> PathBuf {
    use std::path::Component;
    let mut clean = PathBuf::new();
    for part in base.join(path).components() {
        match part {
            Component::CurDir => {}
            // Behind a link, `..` leads elsewhere.
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
        assert_eq!(config_file(&invocation, &around(&deep, &[])), ConfigFile::Nearby(top.path().join(NAME)));
        std::fs::write(top.path().join("a").join(NAME), "").unwrap();
        assert_eq!(config_file(&invocation, &around(&deep, &[])), ConfigFile::Nearby(top.path().join("a").join(NAME)));
        let variables = [("DFWFD_CONFIG", "../other.yaml")];
        assert_eq!(
            config_file(&invocation, &around(&deep, &variables)),
            ConfigFile::Named(top.path().join("a/other.yaml"))
        );
        let named = Invocation { config: Some("c.yaml".into()), ..Invocation::default() };
        assert_eq!(config_file(&named, &around(&deep, &variables)), ConfigFile::Named(deep.join("c.yaml")));
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
