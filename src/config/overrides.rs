//! Puts overrides into the tree of the file: `--set key.path=value` and the variable `DFWFD__KEY__PATH`. The type of the key
//! decides how a value is read.

use super::node::{ConfigNode, NodeContent, ScalarType, SectionEntry, WrittenAt};
use super::problem::{Location, Problem};
use super::schema::{self, KeyType};
use super::{check, yaml};
use crate::data::userinfo;

/// The prefix of variables that override a key.
pub(crate) const PREFIX: &str = "DFWFD__";

/// Variables of NVIDIA's blueprint with the keys that they set.
const BLUEPRINT_VARIABLES: [(&str, &[&str]); 2] = [
    ("ELASTICSEARCH_URL", &["logs", "elasticsearch", "url"]),
    ("ES_COLLECTION_NAME", &["logs", "elasticsearch", "index"]),
];

/// Applies the variables that override a key. Whole sections come before the keys inside them. Empty variables are ignored.
pub(crate) fn apply_variables<'a>(
    root: &mut ConfigNode,
    vars: impl Iterator<Item = (&'a str, &'a str)>,
    problems: &mut Vec<Problem>,
) {
    let mut overrides: Vec<_> = vars
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, value)| {
            let usual = BLUEPRINT_VARIABLES.iter().find(|(known, _)| *known == name).map(|(_, steps)| steps.to_vec());
            let steps = usual.or_else(|| name.strip_prefix(PREFIX).map(|path| path.split("__").collect()))?;
            Some((name, steps, value))
        })
        .collect::<Vec<(&str, Vec<&str>, &str)>>();
    // Later ones win: `DFWFD__...` wins over a variable of the blueprint.
    overrides.sort_by_key(|(name, steps, _)| (steps.len(), name.starts_with(PREFIX), *name));
    for (name, steps, value) in overrides {
        let path = key_path(&steps);
        let at = WrittenAt::Variable(name.to_owned());
        // Credentials in the URL are read elsewhere and never enter the tree.
        let bare = is_blueprint_variable(name).then(|| userinfo::apart(value).0);
        if let Err(sentence) = put(root, &path, bare.as_deref().unwrap_or(value), &at) {
            problems.push(Problem::other(Location::Variable(name.to_owned()), &path, sentence));
        }
    }
}

fn is_blueprint_variable(name: &str) -> bool {
    BLUEPRINT_VARIABLES.iter().any(|(known, _)| *known == name)
}

/// Returns the key path of a variable's name. Keys are lower case, except those that the user chooses.
pub(super) fn key_path(steps: &[&str]) -> String {
    let mut path = String::new();
    for step in steps {
        let own = matches!(schema::find(&path), Some(key) if matches!(key.key_type, KeyType::NamedTexts));
        let step = if own { (*step).to_owned() } else { step.to_lowercase() };
        path = check::join(&path, &step);
    }
    path
}

/// Applies `--set`, in the order given.
pub(crate) fn apply_sets(root: &mut ConfigNode, sets: &[String], problems: &mut Vec<Problem>) {
    for set in sets {
        let Some((path, value)) = set.split_once('=').filter(|(path, _)| !path.trim().is_empty()) else {
            problems.push(Problem::other(
                Location::Set,
                "",
                "expected key.path=value, such as data_split_config.limit=500",
            ));
            continue;
        };
        let path = path.trim();
        if let Err(sentence) = put(root, path, value, &WrittenAt::Set(path.to_owned())) {
            problems.push(Problem::other(Location::Set, path, sentence));
        }
    }
}

fn put(root: &mut ConfigNode, path: &str, text: &str, at: &WrittenAt) -> Result<(), String> {
    let value = read(path, text, at)?;
    let mut node = root;
    let mut walked = String::new();
    for step in path.split('.') {
        if step.is_empty() {
            return Err("the key path has an empty step".to_owned());
        }
        let list = matches!(schema::find(&walked), Some(key) if matches!(key.key_type, KeyType::SectionList(_) | KeyType::TextList(_) | KeyType::TextOrList(_)))
            && !is_index(&walked);
        node = if list { item(node, step, at)? } else { entry(node, step, at)? };
        walked = check::join(&walked, step);
    }
    *node = value;
    Ok(())
}

/// Reads the value of an override: as YAML for a list or a section, as text for anything else.
fn read(path: &str, text: &str, at: &WrittenAt) -> Result<ConfigNode, String> {
    let key = schema::find(path).filter(|key| !is_index(path) || matches!(key.key_type, KeyType::SectionList(_)));
    let null = matches!(text.trim(), "null" | "~");
    match key {
        Some(key) if key.null && null => {
            Ok(ConfigNode { content: NodeContent::Scalar(text.to_owned(), ScalarType::Null), at: at.clone() })
        }
        Some(key) if is_structured(key.key_type, text) => {
            yaml::value(text, at).map_err(|broken| format!("the value is not YAML: {}", broken.message))
        }
        _ => Ok(ConfigNode::untyped(text, at.clone())),
    }
}

/// Tells whether a key path ends with an index.
fn is_index(path: &str) -> bool {
    path.rsplit('.').next().is_some_and(|last| last.parse::<usize>().is_ok())
}

fn is_structured(kind: KeyType, text: &str) -> bool {
    match kind {
        KeyType::TextList(_) | KeyType::NamedTexts | KeyType::Section(_) | KeyType::SectionList(_) => true,
        KeyType::TextOrList(_) => text.trim_start().starts_with('['),
        _ => false,
    }
}

/// Returns the value of a key, which is added if missing. An existing key keeps its place in the file, so a key that is written
/// twice there stays a problem.
fn entry<'a>(node: &'a mut ConfigNode, step: &str, at: &WrittenAt) -> Result<&'a mut ConfigNode, String> {
    if !matches!(node.content, NodeContent::Section(_)) {
        *node = ConfigNode { content: NodeContent::Section(Vec::new()), at: at.clone() };
    }
    let NodeContent::Section(entries) = &mut node.content else { return Err("not a section".to_owned()) };
    let index = entries.iter().rposition(|entry| entry.key == step).unwrap_or(entries.len());
    if index == entries.len() {
        entries.push(SectionEntry { key: step.to_owned(), at: at.clone(), value: ConfigNode::untyped("", at.clone()) });
    }
    Ok(&mut entries[index].value)
}

fn item<'a>(node: &'a mut ConfigNode, step: &str, at: &WrittenAt) -> Result<&'a mut ConfigNode, String> {
    if !matches!(node.content, NodeContent::List(_)) {
        *node = ConfigNode { content: NodeContent::List(Vec::new()), at: at.clone() };
    }
    let NodeContent::List(items) = &mut node.content else { return Err("not a list".to_owned()) };
    let count = items.len();
    match step.parse::<usize>() {
        Ok(index) if index < count => Ok(&mut items[index]),
        Ok(index) if index == count => {
            items.push(ConfigNode { content: NodeContent::Section(Vec::new()), at: at.clone() });
            Ok(&mut items[index])
        }
        _ => Err(format!("found the index {step}; allowed: a number from 0 to {count} ({count} adds one)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "nims:\n  - model_name: a\n    tag: 1.8\nlabels: [x]\ndata_split_config: {limit: 5}\n";

    fn with(vars: &[(&str, &str)], flags: &[&str]) -> (ConfigNode, Vec<Problem>) {
        let mut root = yaml::read(FILE).unwrap();
        let mut problems = Vec::new();
        apply_variables(&mut root, vars.iter().copied(), &mut problems);
        apply_sets(&mut root, &flags.iter().map(ToString::to_string).collect::<Vec<_>>(), &mut problems);
        (root, problems)
    }

    fn text(root: &ConfigNode, path: &str) -> Option<String> {
        match &root.find(path)?.content {
            NodeContent::Scalar(text, _) => Some(text.clone()),
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
        assert_eq!(root.place_of("nims.0.tag"), Some(&WrittenAt::Variable("DFWFD__NIMS__0__TAG".into())));
        assert_eq!(root.place_of("nims.0.model_name"), Some(&WrittenAt::Set("nims.0.model_name".into())));
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
    fn an_invalid_override_is_a_problem() {
        let (_, problems) = with(&[], &["limit", "=3", "a..b=3", "nims=[a"]);
        assert_eq!(problems.len(), 4);
    }
}
