//! Repositories as documents. A commit is stored once, as the difference to its parent.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::journal::{DocumentChange, Documents};
use crate::embedded::state::blobs::Blob;
use crate::embedded::state::repositories::{Commit, Repo, RepoFile, RepoKind, RepoName, Repositories, Tree};

const NAMESPACE: &str = "store_namespace";
const REPO: &str = "repo";
const COMMIT: &str = "commit";
const OBJECT: &str = "object";

/// The kinds of documents, in the order of the arguments of `restored`.
pub(crate) const KINDS: [&str; 4] = [NAMESPACE, REPO, COMMIT, OBJECT];

fn key(name: &RepoName) -> String {
    format!("{}\n{}\n{}", name.kind.noun(), name.namespace, name.name)
}

fn commit_key(name: &RepoName, oid: &str) -> String {
    format!("{}\n{oid}", key(name))
}

/// Takes the changes of the repositories since they were last taken.
pub(crate) fn take_changes(repositories: &mut Repositories) -> Vec<DocumentChange> {
    let changed = std::mem::take(&mut repositories.changed);
    let mut changes = Vec::new();
    let mut change = |kind, key, document| changes.push(DocumentChange { kind, key, document });
    for name in changed.namespaces {
        let document = repositories.namespaces.get(&name).cloned();
        change(NAMESPACE, name, document);
    }
    for (name, oid) in changed.lost {
        change(COMMIT, commit_key(&name, &oid), None);
    }
    for name in changed.repos {
        let Some(repo) = repositories.repos.get_mut(&name) else {
            change(REPO, key(&name), None);
            continue;
        };
        for oid in std::mem::take(&mut repo.unwritten) {
            let document = repo.commits.get(&oid).map(|commit| document(repo, commit));
            change(COMMIT, commit_key(&name, &oid), document);
        }
        let document = json!({"id": repo.id, "created_at": repo.created_at, "branches": repo.branches});
        change(REPO, key(&name), Some(document));
    }
    for sha256 in changed.objects {
        let document = repositories.objects.get(&sha256).map(Blob::reference);
        change(OBJECT, sha256, document);
    }
    changes
}

/// Returns a commit as the difference to its parent.
fn document(repo: &Repo, commit: &Commit) -> Value {
    let nothing = Tree::new();
    let before = repo.commits.get(&commit.parent).map_or(&nothing, |parent| &*parent.tree);
    let mut put = Map::new();
    for (path, file) in
        commit.tree.iter().filter(|(path, file)| before.get(*path).is_none_or(|old| old.oid != file.oid))
    {
        let mut reference = file.content.reference();
        reference["lfs"] = json!(file.lfs().is_some());
        put.insert(path.clone(), reference);
    }
    let gone: Vec<&String> = before.keys().filter(|path| !commit.tree.contains_key(*path)).collect();
    json!({"parent": commit.parent, "date": commit.date, "put": put, "gone": gone})
}

/// Rebuilds the repositories from documents of `KINDS`; `find` looks blobs up. The error says what is wrong.
pub(crate) fn restored(
    [namespaces, repos, commits, objects]: [Documents; 4],
    find: &mut dyn FnMut(&Value) -> Option<Blob>,
) -> Result<Repositories, String> {
    let mut store = Repositories { namespaces: namespaces.into_iter().collect(), ..Repositories::default() };
    let mut trees: HashMap<String, HashMap<String, Commit>> = HashMap::new();
    for (key, document) in commits {
        let broken = || format!("the commit {key:?} cannot be read");
        let (repo, oid) = key.rsplit_once('\n').ok_or_else(broken)?;
        let known = trees.entry(repo.to_owned()).or_default();
        let commit = commit(known, &document, find).ok_or_else(broken)?;
        known.insert(oid.to_owned(), commit);
    }
    for (key, document) in repos {
        let commits = trees.remove(&key).unwrap_or_default();
        let made = repo(&key, &document, commits).ok_or_else(|| format!("the repository {key:?} cannot be read"))?;
        store.repos.insert(made.0, made.1);
    }
    for (sha256, reference) in objects {
        let content = find(&reference).ok_or_else(|| format!("the object {sha256} is not there"))?;
        store.objects.insert(sha256, content);
    }
    Ok(store)
}

fn commit(
    known: &HashMap<String, Commit>,
    document: &Value,
    find: &mut dyn FnMut(&Value) -> Option<Blob>,
) -> Option<Commit> {
    let parent = document["parent"].as_str()?.to_owned();
    let mut tree = match known.get(&parent) {
        Some(before) => Tree::clone(&before.tree),
        None if parent.is_empty() => Tree::new(),
        None => return None,
    };
    for path in document["gone"].as_array()? {
        tree.remove(path.as_str()?);
    }
    for (path, reference) in document["put"].as_object()? {
        let content = find(reference)?;
        let file = if reference["lfs"].as_bool()? { RepoFile::large(content) } else { RepoFile::regular(content) };
        tree.insert(path.clone(), file);
    }
    Some(Commit { tree: Arc::new(tree), date: document["date"].as_str()?.to_owned(), parent })
}

fn repo(key: &str, document: &Value, commits: HashMap<String, Commit>) -> Option<(RepoName, Repo)> {
    let (noun, name) = key.split_once('\n')?;
    let (namespace, name) = name.split_once('\n')?;
    let kind = [RepoKind::Dataset, RepoKind::Model].into_iter().find(|kind| kind.noun() == noun)?;
    let text = |key: &str| document[key].as_str().map(str::to_owned);
    let branch = |(name, oid): (&String, &Value)| {
        let oid = oid.as_str().filter(|oid| commits.contains_key(*oid))?;
        Some((name.clone(), oid.to_owned()))
    };
    let branches = document["branches"].as_object()?.iter().map(branch).collect::<Option<_>>()?;
    let repo = Repo { id: text("id")?, created_at: text("created_at")?, branches, commits, unwritten: Vec::new() };
    Some((RepoName::new(kind, namespace, name), repo))
}
