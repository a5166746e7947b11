//! Repositories as stored: branches, commits, trees and contents, and what of it was touched since that was last written
//! down. Nothing here knows HTTP but the refusals.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::embedded::contents::Content;
use crate::embedded::wire::{Refusal, seconds_now};

/// What a repository is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::embedded) enum RepoKind {
    Dataset,
    Model,
}

impl RepoKind {
    /// By the path segment of the API: `datasets` or `models`.
    pub(super) fn of_segment(segment: &str) -> Result<Self, Refusal> {
        match segment {
            "datasets" => Ok(RepoKind::Dataset),
            "models" => Ok(RepoKind::Model),
            _ => Err(Refusal::not_found("Not Found")),
        }
    }

    pub(in crate::embedded) fn noun(self) -> &'static str {
        match self {
            RepoKind::Dataset => "dataset",
            RepoKind::Model => "model",
        }
    }
}

/// The full name of a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::embedded) struct RepoName {
    pub(in crate::embedded) kind: RepoKind,
    pub(in crate::embedded) namespace: String,
    pub(in crate::embedded) name: String,
}

impl RepoName {
    pub(in crate::embedded) fn new(kind: RepoKind, namespace: &str, name: &str) -> Self {
        RepoName { kind, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// `ns/name`.
    pub(in crate::embedded) fn id(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// `datasets/ns/name`; a model's has no first segment.
    pub(super) fn path(&self) -> String {
        match self.kind {
            RepoKind::Dataset => format!("datasets/{}", self.id()),
            RepoKind::Model => self.id(),
        }
    }
}

/// One version of one file.
#[derive(Clone, Debug)]
pub(in crate::embedded) struct File {
    pub(in crate::embedded) content: Content,
    /// 40 hex digits that stand for the contents.
    pub(super) oid: String,
    /// Whether it came over LFS.
    lfs: bool,
}

impl File {
    /// A file whose contents came inside a commit.
    pub(in crate::embedded) fn regular(content: Content) -> Self {
        File { oid: short_hash(&[b"blob", content.sha256().as_bytes()]), content, lfs: false }
    }

    /// A file whose contents came over LFS.
    pub(super) fn large(content: Content) -> Self {
        File { oid: short_hash(&[b"pointer", content.sha256().as_bytes()]), content, lfs: true }
    }

    /// The SHA-256 by which it came over LFS.
    pub(super) fn lfs(&self) -> Option<&str> {
        self.lfs.then(|| self.content.sha256())
    }
}

/// The files of one commit, by path.
pub(in crate::embedded) type Tree = BTreeMap<String, File>;

/// One state of a repository.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) tree: Arc<Tree>,
    pub(super) date: String,
    /// The commit before it; empty for the first one of a branch.
    pub(super) parent: String,
}

/// A change within a commit.
#[derive(Debug)]
pub(in crate::embedded) enum Change {
    Put(String, File),
    Delete(String),
    DeleteFolder(String),
}

/// One repository.
#[derive(Debug)]
pub(in crate::embedded) struct Repo {
    /// 24 hex digits.
    pub(super) id: String,
    pub(super) created_at: String,
    pub(super) branches: BTreeMap<String, String>,
    pub(super) commits: HashMap<String, Commit>,
    /// Commits that were never written down, in the order of their making.
    pub(super) unwritten: Vec<String>,
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

    /// The commit that a branch or a commit id names.
    pub(super) fn resolve(&self, revision: &str) -> Option<(&str, &Commit)> {
        let revision = revision.strip_prefix("refs/heads/").unwrap_or(revision);
        let oid = self.branches.get(revision).map_or(revision, String::as_str);
        self.commits.get_key_value(oid).map(|(oid, commit)| (oid.as_str(), commit))
    }

    /// The files at a revision.
    pub(in crate::embedded) fn tree(&self, revision: &str) -> Option<Arc<Tree>> {
        self.resolve(revision).map(|(_, commit)| Arc::clone(&commit.tree))
    }

    /// Adds a commit to a branch, which is made when it is new; its id is returned.
    pub(in crate::embedded) fn commit(&mut self, branch: &str, title: &str, changes: Vec<Change>) -> String {
        let parent = self.branches.get(branch).cloned().unwrap_or_default();
        let mut tree = self.commits.get(&parent).map(|commit| Tree::clone(&commit.tree)).unwrap_or_default();
        for change in changes {
            match change {
                Change::Put(path, file) => {
                    tree.insert(path, file);
                }
                Change::Delete(path) => {
                    tree.remove(&path);
                }
                Change::DeleteFolder(path) => {
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
pub(in crate::embedded) struct Repositories {
    pub(super) namespaces: BTreeMap<String, Value>,
    pub(super) repos: BTreeMap<RepoName, Repo>,
    /// Contents that were put over LFS, by SHA-256.
    pub(super) objects: HashMap<String, Content>,
    pub(super) touched: Touched,
}

/// What was touched since that was last written down.
#[derive(Debug, Default)]
pub(super) struct Touched {
    pub(super) namespaces: BTreeSet<String>,
    pub(super) repos: BTreeSet<RepoName>,
    /// Commits of repositories that are gone.
    pub(super) lost: Vec<(RepoName, String)>,
    pub(super) objects: BTreeSet<String>,
}

impl Repositories {
    /// Makes a namespace, unless there is one: then `None`.
    pub(in crate::embedded) fn add_namespace(&mut self, name: &str) -> Option<Value> {
        if self.namespaces.contains_key(name) {
            return None;
        }
        let now = seconds_now();
        let namespace = json!({"namespace": name, "created_at": now, "updated_at": now});
        self.namespaces.insert(name.to_owned(), namespace.clone());
        self.touched.namespaces.insert(name.to_owned());
        Some(namespace)
    }

    /// A namespace by name.
    pub(super) fn namespace(&self, name: &str) -> Option<&Value> {
        self.namespaces.get(name)
    }

    /// All namespaces.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = &Value> {
        self.namespaces.values()
    }

    /// Takes a namespace away.
    pub(super) fn remove_namespace(&mut self, name: &str) -> Option<Value> {
        self.touched.namespaces.insert(name.to_owned());
        self.namespaces.remove(name)
    }

    /// Makes a repository, unless there is one: then false.
    pub(in crate::embedded) fn create(&mut self, name: &RepoName) -> bool {
        if self.repos.contains_key(name) {
            return false;
        }
        self.repos.insert(name.clone(), Repo::new());
        self.touched.repos.insert(name.clone());
        true
    }

    /// Deletes a repository, and the LFS objects that only it used.
    pub(in crate::embedded) fn delete(&mut self, name: &RepoName) -> bool {
        let Some(gone) = self.repos.remove(name) else { return false };
        self.touched.lost.extend(gone.commits.keys().map(|oid| (name.clone(), oid.clone())));
        self.touched.repos.insert(name.clone());
        let mut unused: HashSet<&str> = objects(&gone).collect();
        for used in self.repos.values().flat_map(objects) {
            unused.remove(used);
        }
        for oid in unused {
            self.objects.remove(oid);
            self.touched.objects.insert(oid.to_owned());
        }
        true
    }

    /// Takes everything away.
    pub(in crate::embedded) fn clear(&mut self) {
        for name in self.names().cloned().collect::<Vec<_>>() {
            self.delete(&name);
        }
        self.touched.namespaces.extend(std::mem::take(&mut self.namespaces).into_keys());
        self.touched.objects.extend(std::mem::take(&mut self.objects).into_keys());
    }

    /// Takes contents in that were put over LFS.
    pub(super) fn put(&mut self, content: Content) {
        let sha256 = content.sha256().to_owned();
        self.touched.objects.insert(sha256.clone());
        self.objects.insert(sha256, content);
    }

    /// Contents that were put over LFS.
    pub(super) fn object(&self, sha256: &str) -> Option<&Content> {
        self.objects.get(sha256)
    }

    /// A repository by name.
    pub(in crate::embedded) fn find(&self, name: &RepoName) -> Option<&Repo> {
        self.repos.get(name)
    }

    /// A repository by name, to be committed to.
    pub(in crate::embedded) fn find_mut(&mut self, name: &RepoName) -> Option<&mut Repo> {
        let repo = self.repos.get_mut(name)?;
        self.touched.repos.insert(name.clone());
        Some(repo)
    }

    /// The names of all repositories.
    pub(in crate::embedded) fn names(&self) -> impl Iterator<Item = &RepoName> {
        self.repos.keys()
    }

    /// All repositories.
    pub(super) fn all(&self) -> impl Iterator<Item = (&RepoName, &Repo)> {
        self.repos.iter()
    }

    /// The files that `hf://datasets/ns/name[/path]` means, in the order of their paths; `None` when there is no such
    /// repository or file.
    pub(in crate::embedded) fn dataset_files(&self, url: &str) -> Option<Vec<(String, Content)>> {
        let (namespace, rest) = url.strip_prefix("hf://datasets/")?.split_once('/')?;
        let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
        let tree = self.find(&RepoName::new(RepoKind::Dataset, namespace, name))?.tree("main")?;
        let path = path.trim_end_matches('/');
        let folder = if path.is_empty() { String::new() } else { format!("{path}/") };
        let below = tree.iter().filter(|(at, _)| *at == path || at.starts_with(&folder));
        let files: Vec<(String, Content)> = below.map(|(at, file)| (at.clone(), file.content.clone())).collect();
        (path.is_empty() || !files.is_empty()).then_some(files)
    }
}

/// The refusal for a repository that does not exist.
pub(super) fn not_found(name: &RepoName) -> Refusal {
    Refusal::datastore(StatusCode::NOT_FOUND, Some("RepoNotFound"), format!("Repository {} not found", name.path()))
}

/// The refusal for a revision that does not exist.
pub(super) fn no_revision(revision: &str) -> Refusal {
    let text = format!("Invalid rev id: {revision}");
    Refusal::datastore(StatusCode::NOT_FOUND, Some("RevisionNotFound"), text)
}

/// The LFS objects that any commit of a repository refers to.
fn objects(repo: &Repo) -> impl Iterator<Item = &str> {
    repo.commits.values().flat_map(|commit| commit.tree.values()).filter_map(File::lfs)
}

/// 40 hex digits over some pieces, each with its length.
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
