//! Checks a tree against the schema: unknown keys, keys written twice, and values that their keys do not allow. `resolve`
//! checks what values mean together.

use std::collections::BTreeSet;

use super::node::{ConfigNode, NodeContent, WrittenAt};
use super::problem::{Mismatch, ProblemKind};
use super::schema::{self, KeyType, SchemaKey, TextForm};
use super::values;

/// A problem whose file is not known yet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub at: WrittenAt,
    /// The key path.
    pub path: String,
    pub kind: ProblemKind,
}

/// The result of a check.
#[derive(Clone, Debug, Default)]
pub(crate) struct CheckResult {
    /// The problems in the order of the tree.
    pub findings: Vec<Finding>,
    /// Key paths whose values cannot be used: those of bad values, and those that an unknown key probably meant.
    pub bad: BTreeSet<String>,
    pub warnings: Vec<String>,
}

/// Checks a whole tree.
pub(crate) fn check(root: &ConfigNode) -> CheckResult {
    let mut checked = CheckResult::default();
    match &root.content {
        NodeContent::Section(_) => checked.section(root, schema::TOP, ""),
        _ => {
            let mismatch = values::mismatch(root, KeyType::Section(schema::TOP));
            checked.bad_value(root.at.clone(), "", mismatch);
        }
    }
    checked
}

impl CheckResult {
    /// Tells whether the value at this path is what the user meant.
    pub(crate) fn is_good(&self, path: &str) -> bool {
        let above = path.match_indices('.').map(|(end, _)| &path[..end]);
        !above.chain([path]).any(|path| self.bad.contains(path)) && !self.bad.contains("")
    }

    fn bad_value(&mut self, at: WrittenAt, path: &str, mismatch: Mismatch) {
        self.bad.insert(path.to_owned());
        self.findings.push(Finding { at, path: path.to_owned(), kind: ProblemKind::Value(mismatch) });
    }

    fn section(&mut self, node: &ConfigNode, keys: &'static [SchemaKey], path: &str) {
        let NodeContent::Section(entries) = &node.content else { return };
        for (index, entry) in entries.iter().enumerate() {
            let inner = join(path, &entry.key);
            if let Some(first) = entries[..index].iter().find(|before| before.key == entry.key) {
                self.bad.insert(inner.clone());
                let first_line = if let WrittenAt::File(line) = first.at { Some(line) } else { None };
                let kind = ProblemKind::Repeated { first_line };
                self.findings.push(Finding { at: entry.at.clone(), path: inner, kind });
                continue;
            }
            match keys.iter().find(|key| key.name == entry.key) {
                Some(key) => self.value(&entry.value, entry.place(), key, &inner),
                None => {
                    let nearest = nearest(&entry.key, keys, path, entries.iter().map(|entry| entry.key.as_str()));
                    self.bad.extend(nearest.clone());
                    let allowed = values::key_names(keys);
                    self.findings.push(Finding {
                        at: entry.place().clone(),
                        path: inner,
                        kind: ProblemKind::UnknownKey { nearest, allowed },
                    });
                }
            }
        }
    }

    fn value(&mut self, node: &ConfigNode, at: &WrittenAt, key: &'static SchemaKey, path: &str) {
        match (key.key_type, &node.content) {
            (KeyType::Section(keys), NodeContent::Section(_)) => self.section(node, keys, path),
            (KeyType::Section(_), _) if node.is_null() => {}
            (KeyType::SectionList(_), _) if node.is_null() => {}
            (KeyType::SectionList(keys), NodeContent::List(items)) => {
                for (index, item) in items.iter().enumerate() {
                    let inner = join(path, &index.to_string());
                    match item.content {
                        NodeContent::Section(_) => self.section(item, keys, &inner),
                        _ => self.bad_value(item.at.clone(), &inner, values::mismatch(item, KeyType::Section(keys))),
                    }
                }
            }
            (KeyType::TextList(form), NodeContent::List(items))
            | (KeyType::TextOrList(form), NodeContent::List(items))
                if !items.is_empty() =>
            {
                for (index, item) in items.iter().enumerate() {
                    if let Err(mismatch) = values::text(item, form) {
                        self.bad.insert(path.to_owned());
                        self.bad_value(item.at.clone(), &join(path, &index.to_string()), mismatch);
                    }
                }
            }
            (KeyType::NamedTexts, NodeContent::Section(entries)) => {
                for entry in entries {
                    if let Err(mut mismatch) = values::text(&entry.value, TextForm::Loose) {
                        mismatch.found = values::found(&entry.value, true);
                        self.bad.insert(path.to_owned());
                        self.bad_value(entry.place().clone(), &join(path, &entry.key), mismatch);
                    }
                }
            }
            _ => {
                if let Err(mut mismatch) = values::accept(node, key) {
                    explain(&mut mismatch, node, path);
                    self.bad_value(at.clone(), path, mismatch);
                } else if matches!(key.key_type, KeyType::Text(TextForm::Secret)) && !node.is_null() {
                    self.warnings.push(format!(
                        "{path} holds a secret in plain text; keep it in the environment or in a .env file instead"
                    ));
                }
            }
        }
    }
}

/// Explains why a value that looks plausible is not allowed.
fn explain(mismatch: &mut Mismatch, node: &ConfigNode, path: &str) {
    let NodeContent::Scalar(text, _) = &node.content else { return };
    let explanation = match (path.rsplit('.').next(), text.as_str()) {
        (Some("model_type"), "embedding") => " (an embedding model is no candidate)",
        (Some("nmp_namespace" | "model_name"), text) if text.parse::<f64>().is_ok() => " (in quotes if it is a number)",
        _ => return,
    };
    mismatch.allowed.push_str(explanation);
}

/// Returns the key that the user probably meant: one of this section by spelling, else the same name in another section.
fn nearest<'a>(
    written: &str,
    keys: &[SchemaKey],
    path: &str,
    taken: impl Iterator<Item = &'a str> + Clone,
) -> Option<String> {
    let lower = written.to_lowercase().replace('-', "_");
    let is_taken = |name: &str| taken.clone().any(|other| other == name);
    let near = keys
        .iter()
        .map(|key| (strsim::damerau_levenshtein(&lower, key.name), key.name))
        .filter(|(distance, name)| *distance <= (name.len().max(lower.len()) / 3).clamp(1, 4))
        .min_by_key(|(distance, name)| (is_taken(name), *distance));
    if let Some((_, name)) = near {
        return Some(join(path, name));
    }
    let part_of = keys
        .iter()
        .map(|key| key.name)
        .filter(|name| lower.len() >= 4 && (name.contains(&lower) || lower.contains(name)))
        .min_by_key(|name| (is_taken(name), name.len().abs_diff(lower.len())));
    if let Some(name) = part_of {
        return Some(join(path, name));
    }
    let homes = schema::homes(&lower);
    homes.iter().find(|home| !home.contains(".N.") && !home.starts_with("llm_judge")).or(homes.first()).cloned()
}

/// Appends a step to a key path.
pub(crate) fn join(path: &str, step: &str) -> String {
    if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") }
}

#[cfg(test)]
mod tests {
    use super::super::yaml;
    use super::*;

    fn checked(text: &str) -> CheckResult {
        check(&yaml::read(text).unwrap())
    }

    fn unknown(text: &str) -> Option<String> {
        match &checked(text).findings[..] {
            [Finding { kind: ProblemKind::UnknownKey { nearest, .. }, .. }] => nearest.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_typo_gets_the_nearest_key() {
        let cases = [
            ("data_split_config: {eval_sise: 5}", Some("data_split_config.eval_size")),
            ("nmp_confg: {}", Some("nmp_config")),
            ("nims: [{model: a}]", Some("nims.0.model_name")),
            ("nmp_config: {namespace: a}", Some("nmp_config.nmp_namespace")),
            ("epochs: 3", Some("training_config.epochs")),
            ("lora_config: {epochs: 3}", Some("training_config.epochs")),
            ("training_config: {learning-rate: 0.1}", Some("training_config.learning_rate")),
            ("icl_config: {max_example: 3}", Some("icl_config.max_examples")),
            ("xyzzy: 3", None),
        ];
        for (text, nearest) in cases {
            assert_eq!(unknown(text).as_deref(), nearest, "{text}");
        }
    }

    #[test]
    fn a_key_that_was_meant_counts_as_bad_not_as_absent() {
        let checked = checked("nmp_config: {nemo_base_ur: 'http://a'}\nnims: 5\n");
        assert!(!checked.is_good("nmp_config.nemo_base_url"));
        assert!(checked.is_good("nmp_config.nim_base_url"));
        assert!(!checked.is_good("nims.0.tag"));
    }
}
