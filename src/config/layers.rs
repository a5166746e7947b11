//! Overrides on top of the file: `--set key.path=value` and `DFWFD__KEY__PATH`, each put into the tree where its key
//! path says, remembering where it came from. The type of the key decides how the value is read.

use super::file;
use super::node::{At, Entry, Kind as Is, Node, What};
use super::problem::{Place, Problem};
use super::schema::{self, Kind};
use crate::data::userinfo;

/// What variables of overrides begin with.
pub(crate) const PREFIX: &str = "DFWFD__";

/// Variables of NVIDIA's blueprint and the keys that they set.
const KNOWN: [(&str, &[&str]); 2] = [
    ("ELASTICSEARCH_URL", &["logs", "elasticsearch", "url"]),
    ("ES_COLLECTION_NAME", &["logs", "elasticsearch", "index"]),
];

/// Puts the variables among `vars` that are overrides into the tree: whole sections before the keys inside them. A
/// variable that is empty is not there.
pub(crate) fn variables<'a>(
    root: &mut Node,
    vars: impl Iterator<Item = (&'a str, &'a str)>,
    problems: &mut Vec<Problem>,
) {
    let mut overrides: Vec<_> = vars
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, value)| {
            let usual = KNOWN.iter().find(|(known, _)| *known == name).map(|(_, steps)| steps.to_vec());
            let steps = usual.or_else(|| name.strip_prefix(PREFIX).map(|path| path.split("__").collect()))?;
            Some((name, steps, value))
        })
        .collect::<Vec<(&str, Vec<&str>, &str)>>();
    // The known ones first, so that an override of the same key is stronger.
    overrides.sort_by_key(|(name, steps, _)| (steps.len(), name.starts_with(PREFIX), *name));
    for (name, steps, value) in overrides {
        let path = cased(&steps);
        let at = At::Variable(name.to_owned());
        // The one secret that a URL of the environment may hold goes another way.
        let bare = known(name).then(|| userinfo::apart(value).0);
        if let Err(sentence) = put(root, &path, bare.as_deref().unwrap_or(value), &at) {
            problems.push(Problem::other(Place::Variable(name.to_owned()), &path, sentence));
        }
    }
}

fn known(name: &str) -> bool {
    KNOWN.iter().any(|(known, _)| *known == name)
}

/// Names of keys are lower case; a name of the user's own below one stays as written.
fn cased(steps: &[&str]) -> String {
    let mut path = String::new();
    for step in steps {
        let own = matches!(schema::find(&path), Some(key) if matches!(key.kind, Kind::Names));
        let step = if own { (*step).to_owned() } else { step.to_lowercase() };
        path = super::check::join(&path, &step);
    }
    path
}

/// Puts the values of `--set` into the tree, in the order given.
pub(crate) fn sets(root: &mut Node, sets: &[String], problems: &mut Vec<Problem>) {
    for set in sets {
        let Some((path, value)) = set.split_once('=').filter(|(path, _)| !path.trim().is_empty()) else {
            problems.push(Problem::other(
                Place::Set,
                "",
                "expected key.path=value, such as data_split_config.limit=500",
            ));
            continue;
        };
        let path = path.trim();
        if let Err(sentence) = put(root, path, value, &At::Set(path.to_owned())) {
            problems.push(Problem::other(Place::Set, path, sentence));
        }
    }
}

fn put(root: &mut Node, path: &str, text: &str, at: &At) -> Result<(), String> {
    let value = read(path, text, at)?;
    let mut node = root;
    let mut walked = String::new();
    for step in path.split('.') {
        if step.is_empty() {
            return Err("a step of the key path is empty".to_owned());
        }
        let list = matches!(schema::find(&walked), Some(key) if matches!(key.kind, Kind::Sections(_) | Kind::Texts(_) | Kind::TextOrTexts(_)))
            && !is_index(&walked);
        node = if list { item(node, step, at)? } else { entry(node, step, at)? };
        walked = super::check::join(&walked, step);
    }
    *node = value;
    Ok(())
}

/// The value of an override as its key wants it: text for a single value, YAML for lists and sections.
fn read(path: &str, text: &str, at: &At) -> Result<Node, String> {
    let key = schema::find(path).filter(|key| !is_index(path) || matches!(key.kind, Kind::Sections(_)));
    let null = matches!(text.trim(), "null" | "~");
    match key {
        Some(key) if key.null && null => Ok(Node { what: What::Scalar(text.to_owned(), Is::Null), at: at.clone() }),
        Some(key) if structured(key.kind, text) => {
            file::value(text, at).map_err(|broken| format!("the value is not YAML: {}", broken.message))
        }
        _ => Ok(Node::raw(text, at.clone())),
    }
}

/// Whether a key path ends with an index.
fn is_index(path: &str) -> bool {
    path.rsplit('.').next().is_some_and(|last| last.parse::<usize>().is_ok())
}

fn structured(kind: Kind, text: &str) -> bool {
    match kind {
        Kind::Texts(_) | Kind::Names | Kind::Section(_) | Kind::Sections(_) => true,
        Kind::TextOrTexts(_) => text.trim_start().starts_with('['),
        _ => false,
    }
}

/// The value under a key, made when it is not there. The key keeps the place where the file has it: a key that is
/// written twice stays a problem of the file.
fn entry<'a>(node: &'a mut Node, step: &str, at: &At) -> Result<&'a mut Node, String> {
    if !matches!(node.what, What::Map(_)) {
        *node = Node { what: What::Map(Vec::new()), at: at.clone() };
    }
    let What::Map(entries) = &mut node.what else { return Err("this is no section".to_owned()) };
    let index = entries.iter().rposition(|entry| entry.key == step).unwrap_or(entries.len());
    if index == entries.len() {
        entries.push(Entry { key: step.to_owned(), at: at.clone(), value: Node::raw("", at.clone()) });
    }
    Ok(&mut entries[index].value)
}

fn item<'a>(node: &'a mut Node, step: &str, at: &At) -> Result<&'a mut Node, String> {
    if !matches!(node.what, What::List(_)) {
        *node = Node { what: What::List(Vec::new()), at: at.clone() };
    }
    let What::List(items) = &mut node.what else { return Err("this is no list".to_owned()) };
    let count = items.len();
    match step.parse::<usize>() {
        Ok(index) if index < count => Ok(&mut items[index]),
        Ok(index) if index == count => {
            items.push(Node { what: What::Map(Vec::new()), at: at.clone() });
            Ok(&mut items[index])
        }
        _ => Err(format!("found the index {step}; allowed: a number from 0 to {count} ({count} adds one)")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::Document;
    use super::*;

    const FILE: &str = "nims:\n  - model_name: a\n    tag: 1.8\nlabels: [x]\ndata_split_config: {limit: 5}\n";

    fn with(vars: &[(&str, &str)], flags: &[&str]) -> (Node, Vec<Problem>) {
        let mut root = Document::read(FILE).unwrap().root;
        let mut problems = Vec::new();
        variables(&mut root, vars.iter().copied(), &mut problems);
        sets(&mut root, &flags.iter().map(ToString::to_string).collect::<Vec<_>>(), &mut problems);
        (root, problems)
    }

    fn text(root: &Node, path: &str) -> Option<String> {
        match &root.find(path)?.what {
            What::Scalar(text, _) => Some(text.clone()),
            other => Some(format!("{other:?}")),
        }
    }

    #[test]
    fn a_flag_is_stronger_than_a_variable_and_that_than_the_file() {
        let (root, problems) = with(
            &[
                ("DFWFD__NIMS__0__TAG", "1.10"),
                ("DFWFD__NIMS__0__MODEL_NAME", "b"),
                ("OTHER", "x"),
                ("DFWFD__GPUS", ""),
            ],
            &["nims.0.model_name=c", "nims.0.model_name=d=e"],
        );
        assert_eq!(problems, []);
        assert_eq!(text(&root, "nims.0.tag").unwrap(), "1.10");
        assert_eq!(text(&root, "nims.0.model_name").unwrap(), "d=e");
        assert_eq!(root.place_of("nims.0.tag"), Some(&At::Variable("DFWFD__NIMS__0__TAG".into())));
        assert_eq!(root.place_of("nims.0.model_name"), Some(&At::Set("nims.0.model_name".into())));
        assert_eq!(text(&root, "gpus"), None);
    }

    #[test]
    fn the_key_decides_how_a_value_is_read() {
        let (root, problems) = with(
            &[("DFWFD__NMP_CONFIG__HEADERS__X-Team", "a: b")],
            &[
                "labels=[1.10, b]",
                "labels.1=c: d",
                "data_split_config.limit=null",
                "label_pattern=[a-z]+",
                "logs.path=a*.jsonl",
            ],
        );
        assert_eq!(problems, []);
        assert_eq!(text(&root, "labels.0").unwrap(), "1.10");
        assert_eq!(text(&root, "labels.1").unwrap(), "c: d");
        assert!(root.find("data_split_config.limit").unwrap().is_null());
        assert_eq!(text(&root, "label_pattern").unwrap(), "[a-z]+");
        assert_eq!(text(&root, "logs.path").unwrap(), "a*.jsonl");
        assert_eq!(text(&root, "nmp_config.headers.X-Team").unwrap(), "a: b");
    }

    #[test]
    fn a_candidate_can_be_added_but_none_skipped() {
        let (root, problems) = with(&[("DFWFD__NIMS__1__MODEL_NAME", "b")], &["nims.3.tag=x", "nims.two.tag=x"]);
        assert_eq!(text(&root, "nims.1.model_name").unwrap(), "b");
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "--set: nims.3.tag: found the index 3; allowed: a number from 0 to 2 (2 adds one)",
                "--set: nims.two.tag: found the index two; allowed: a number from 0 to 2 (2 adds one)",
            ]
        );
    }

    #[test]
    fn what_is_no_override_is_a_problem() {
        let (_, problems) = with(&[], &["limit", "=3", "a..b=3", "nims=[a"]);
        assert_eq!(problems.len(), 4);
    }
}
