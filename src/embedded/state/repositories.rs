//! Repositories: branches, commits, trees and files, and the record of what changed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::blobs::Blob;
use crate::embedded::wire::stamps::seconds_now;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RepoKind {
    Dataset,
    Model,
}

impl RepoKind {
    pub(crate) fn noun(self) -> &'static str {
        match self {
            RepoKind::Dataset => "dataset",
            RepoKind::Model => "model",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RepoName {
    pub(crate) kind: RepoKind,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl RepoName {
    pub(crate) fn new(kind: RepoKind, namespace: &str, name: &str) -> Self {
        RepoName { kind, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// Returns `ns/name`.
    pub(crate) fn id(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Returns `datasets/ns/name`, or `ns/name` for a model.
    pub(crate) fn path(&self) -> String {
        match self.kind {
            RepoKind::Dataset => format!("datasets/{}", self.id()),
            RepoKind::Model => self.id(),
        }
    }
}

/// One version of one file.
#[derive(Clone, Debug)]
pub(crate) struct RepoFile {
    pub(crate) content: Blob,
    /// 40 hex digits derived from the contents.
    pub(crate) oid: String,
    /// It was uploaded over LFS.
    lfs: bool,
}

impl RepoFile {
    /// Returns a file that came inside a commit.
    pub(crate) fn regular(content: Blob) -> Self {
        RepoFile { oid: short_hash(&[b"blob", content.sha256().as_bytes()]), content, lfs: false }
    }

    /// Returns a file that was uploaded over LFS.
    pub(crate) fn large(content: Blob) -> Self {
        RepoFile { oid: short_hash(&[b"pointer", content.sha256().as_bytes()]), content, lfs: true }
    }

    /// Returns the SHA-256 of a file that was uploaded over LFS.
    pub(crate) fn lfs(&self) -> Option<&str> {
        self.lfs.then(|| self.content.sha256())
    }
}

/// The files of a commit, by path.
pub(crate) type Tree = BTreeMap<String, RepoFile>;

/// A commit.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) tree: Arc<Tree>,
    pub(crate) date: String,
    /// The parent commit; empty for the first one of a branch.
    pub(crate) parent: String,
}

/// One change of a commit.
#[derive(Debug)]
pub(crate) enum FileChange {
    Put(String, RepoFile),
    Delete(String),
    DeleteFolder(String),
}

/// One repository.
#[derive(Debug)]
pub(crate) struct Repo {
    /// 24 hex digits.
    pub(crate) id: String,
    pub(crate) created_at: String,
    pub(crate) branches: BTreeMap<String, String>,
    pub(crate) commits: HashMap<String, Commit>,
    /// Commits that are not saved yet, oldest first.
    pub(crate) unwritten: Vec<String>,
}

impl Repo {
    fn new() -> Self {
        let mut id = uuid::Uuid::new_v4().simple().to_string();
        id.truncate(24);
        let mut repo = Repo {
            id,
            created_at: seconds_now(),
            branches: BTreeMap::new(),
            commits: HashMap::new(),
            unwritten: Vec::new(),
        };
        repo.commit("main", "initial commit", Vec::new());
        repo
    }

    /// Returns the commit that a branch or a commit id names.
    pub(crate) fn resolve(&self, revision: &str) -> Option<(&str, &Commit)> {
        let revision = revision.strip_prefix("refs/heads/").unwrap_or(revision);
        let oid = self.branches.get(revision).map_or(revision, String::as_str);
        self.commits.get_key_value(oid).map(|(oid, commit)| (oid.as_str(), commit))
    }

    /// Returns the files at a revision.
    pub(crate) fn tree(&self, revision: &str) -> Option<Arc<Tree>> {
        self.resolve(revision).map(|(_, commit)| Arc::clone(&commit.tree))
    }

    /// Adds a commit to a branch, new or not, and returns its id.
    pub(crate) fn commit(&mut self, branch: &str, title: &str, changes: Vec<FileChange>) -> String {
        let parent = self.branches.get(branch).cloned().unwrap_or_default();
        let mut tree = self.commits.get(&parent).map(|commit| Tree::clone(&commit.tree)).unwrap_or_default();
        for change in changes {
            match change {
                FileChange::Put(path, file) => {
                    tree.insert(path, file);
                }
                FileChange::Delete(path) => {
                    tree.remove(&path);
                }
                FileChange::DeleteFolder(path) => {
                    let folder = format!("{}/", path.trim_end_matches('/'));
                    tree.retain(|path, _| !path.starts_with(&folder));
                }
            }
        }
        let number = self.commits.len().to_string();
        let oid = short_hash(&[self.id.as_bytes(), parent.as_bytes(), title.as_bytes(), number.as_bytes()]);
        self.branches.insert(branch.to_owned(), oid.clone());
        self.unwritten.push(oid.clone());
        self.commits.insert(oid.clone(), Commit { tree: Arc::new(tree), date: seconds_now(), parent });
        oid
    }
}

/// All namespaces, repositories and LFS objects.
#[derive(Debug, Default)]
pub(crate) struct Repositories {
    pub(crate) namespaces: BTreeMap<String, Value>,
    pub(crate) repos: BTreeMap<RepoName, Repo>,
    /// Uploaded over LFS, by SHA-256.
    pub(crate) objects: HashMap<String, Blob>,
    pub(crate) changed: ChangedParts,
}

/// The changes since they were last taken.
#[derive(Debug, Default)]
pub(crate) struct ChangedParts {
    pub(crate) namespaces: BTreeSet<String>,
    pub(crate) repos: BTreeSet<RepoName>,
    /// Commits of repositories that were deleted.
    pub(crate) lost: Vec<(RepoName, String)>,
    pub(crate) objects: BTreeSet<String>,
}

impl Repositories {
    /// Creates a namespace; `None` if it exists.
    pub(crate) fn add_namespace(&mut self, name: &str) -> Option<Value> {
        if self.namespaces.contains_key(name) {
            return None;
        }
        let now = seconds_now();
        let namespace = json!({"namespace": name, "created_at": now, "updated_at": now});
        self.namespaces.insert(name.to_owned(), namespace.clone());
        self.changed.namespaces.insert(name.to_owned());
        Some(namespace)
    }

    /// Returns a namespace by name.
    pub(crate) fn namespace(&self, name: &str) -> Option<&Value> {
        self.namespaces.get(name)
    }

    pub(crate) fn namespaces(&self) -> impl Iterator<Item = &Value> {
        self.namespaces.values()
    }

    /// Removes a namespace.
    pub(crate) fn remove_namespace(&mut self, name: &str) -> Option<Value> {
        self.changed.namespaces.insert(name.to_owned());
        self.namespaces.remove(name)
    }

    /// Creates a repository; false if it exists.
    pub(crate) fn create(&mut self, name: &RepoName) -> bool {
        if self.repos.contains_key(name) {
            return false;
        }
        self.repos.insert(name.clone(), Repo::new());
        self.changed.repos.insert(name.clone());
        true
    }

    /// Deletes a repository, and the LFS objects that only it uses.
    pub(crate) fn delete(&mut self, name: &RepoName) -> bool {
        let Some(gone) = self.repos.remove(name) else { return false };
        self.changed.lost.extend(gone.commits.keys().map(|oid| (name.clone(), oid.clone())));
        self.changed.repos.insert(name.clone());
        let mut unused: HashSet<&str> = objects(&gone).collect();
        for used in self.repos.values().flat_map(objects) {
            unused.remove(used);
        }
        for oid in unused {
            self.objects.remove(oid);
            self.changed.objects.insert(oid.to_owned());
        }
        true
    }

    /// Returns whether anything changed since the changes were last taken.
    pub(crate) fn has_changes(&self) -> bool {
        let changed = &self.changed;
        !(changed.namespaces.is_empty() && changed.repos.is_empty() && changed.objects.is_empty())
    }

    /// Drops the record of what changed.
    pub(crate) fn forget_changes(&mut self) {
        for name in std::mem::take(&mut self.changed).repos {
            if let Some(repo) = self.repos.get_mut(&name) {
                repo.unwritten.clear();
            }
        }
    }

    /// Removes everything.
    pub(crate) fn clear(&mut self) {
        for name in self.names().cloned().collect::<Vec<_>>() {
            self.delete(&name);
        }
        self.changed.namespaces.extend(std::mem::take(&mut self.namespaces).into_keys());
        self.changed.objects.extend(std::mem::take(&mut self.objects).into_keys());
    }

    /// Adds an LFS object.
    pub(crate) fn put(&mut self, content: Blob) {
        let sha256 = content.sha256().to_owned();
        self.changed.objects.insert(sha256.clone());
        self.objects.insert(sha256, content);
    }

    /// Returns an LFS object.
    pub(crate) fn object(&self, sha256: &str) -> Option<&Blob> {
        self.objects.get(sha256)
    }

    /// Returns a repository by name.
    pub(crate) fn find(&self, name: &RepoName) -> Option<&Repo> {
        self.repos.get(name)
    }

    /// Returns a repository by name, to commit to it.
    pub(crate) fn find_mut(&mut self, name: &RepoName) -> Option<&mut Repo> {
        let repo = self.repos.get_mut(name)?;
        self.changed.repos.insert(name.clone());
        Some(repo)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &RepoName> {
        self.repos.keys()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&RepoName, &Repo)> {
        self.repos.iter()
    }

    /// Returns the files below `hf://datasets/ns/name[/path]`, in the order of their paths; `None` if the repository or
    /// the path does not exist.
    pub(crate) fn dataset_files(&self, url: &str) -> Option<Vec<(String, Blob)>> {
        let (namespace, rest) = url.strip_prefix("hf://datasets/")?.split_once('/')?;
        let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
        let tree = self.find(&RepoName::new(RepoKind::Dataset, namespace, name))?.tree("main")?;
        let path = path.trim_end_matches('/');
        let folder = if path.is_empty() { String::new() } else { format!("{path}/") };
        let below = tree.iter().filter(|(at, _)| *at == path || at.starts_with(&folder));
        let files: Vec<(String, Blob)> = below.map(|(at, file)| (at.clone(), file.content.clone())).collect();
        (path.is_empty() || !files.is_empty()).then_some(files)
    }
}

/// Returns the LFS objects that the commits of a repository refer to.
fn objects(repo: &Repo) -> impl Iterator<Item = &str> {
    repo.commits.values().flat_map(|commit| commit.tree.values()).filter_map(RepoFile::lfs)
}

/// Hashes some pieces, each with its length, to 40 hex digits.
fn short_hash(pieces: &[&[u8]]) -> String {
    let mut hasher = blake3::Hasher::new();
    for piece in pieces {
        hasher.update(&(piece.len() as u64).to_le_bytes());
        hasher.update(piece);
    }
    let mut hex = hasher.finalize().to_hex().to_string();
    hex.truncate(40);
    hex
}
