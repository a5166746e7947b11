//! A tree against the schema: every unknown key, every key written twice, every value that its key may not hold, and
//! the keys whose feature is not built. What values mean together is checked where they are read (`settings` and on).

use std::collections::BTreeSet;

use super::node::{At, Node, What};
use super::schema::{self, Form, Key, Kind};
use super::values::{self, Complaint};

/// One finding, before it knows the file and the line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    /// Where.
    pub at: At,
    /// Key path.
    pub path: String,
    /// What.
    pub what: Fault,
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// No such key.
    Unknown {
        /// The key that was probably meant, in full.
        nearest: Option<String>,
        /// Keys of that section.
        allowed: String,
    },
    /// A key written more than once; where the one before is.
    Twice(At),
    /// A value that the key may not hold.
    Value(Complaint),
}

/// What a check found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checked {
    /// Problems, in the order of the tree.
    pub findings: Vec<Finding>,
    /// Key paths that cannot be relied on: of bad values, and of keys that an unknown one was probably meant to be.
    pub bad: BTreeSet<String>,
    /// What is accepted but noteworthy.
    pub warnings: Vec<String>,
}

/// Checks a whole tree.
pub(crate) fn check(root: &Node) -> Checked {
    let mut checked = Checked::default();
    match &root.what {
        What::Map(_) => checked.section(root, schema::TOP, ""),
        _ => {
            let complaint = values::complain(root, Kind::Section(schema::TOP));
            checked.bad_value(root.at.clone(), "", complaint);
        }
    }
    checked
}

impl Checked {
    /// Whether what is read at this path is what the user meant.
    pub(crate) fn good(&self, path: &str) -> bool {
        let above = path.match_indices('.').map(|(end, _)| &path[..end]);
        !above.chain([path]).any(|path| self.bad.contains(path)) && !self.bad.contains("")
    }

    fn bad_value(&mut self, at: At, path: &str, complaint: Complaint) {
        self.bad.insert(path.to_owned());
        self.findings.push(Finding { at, path: path.to_owned(), what: Fault::Value(complaint) });
    }

    fn section(&mut self, node: &Node, keys: &'static [Key], path: &str) {
        let What::Map(entries) = &node.what else { return };
        for (index, entry) in entries.iter().enumerate() {
            let inner = join(path, &entry.key);
            if let Some(first) = entries[..index].iter().find(|before| before.key == entry.key) {
                self.bad.insert(inner.clone());
                self.findings.push(Finding { at: entry.at.clone(), path: inner, what: Fault::Twice(first.at.clone()) });
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
                        what: Fault::Unknown { nearest, allowed },
                    });
                }
            }
        }
    }

    fn value(&mut self, node: &Node, at: &At, key: &'static Key, path: &str) {
        if let (Some(feature), false) = (key.later, node.is_null()) {
            self.warnings.push(format!("{path} is accepted but has no effect yet: {feature} is not built"));
        }
        match (key.kind, &node.what) {
            (Kind::Section(keys), What::Map(_)) => self.section(node, keys, path),
            (Kind::Section(_), _) if node.is_null() => {}
            (Kind::Sections(_), _) if node.is_null() => {}
            (Kind::Sections(keys), What::List(items)) => {
                for (index, item) in items.iter().enumerate() {
                    let inner = join(path, &index.to_string());
                    match item.what {
                        What::Map(_) => self.section(item, keys, &inner),
                        _ => self.bad_value(item.at.clone(), &inner, values::complain(item, Kind::Section(keys))),
                    }
                }
            }
            (Kind::Texts(form), What::List(items)) | (Kind::TextOrTexts(form), What::List(items))
                if !items.is_empty() =>
            {
                for (index, item) in items.iter().enumerate() {
                    if let Err(complaint) = values::text(item, form) {
                        self.bad.insert(path.to_owned());
                        self.bad_value(item.at.clone(), &join(path, &index.to_string()), complaint);
                    }
                }
            }
            (Kind::Names, What::Map(entries)) => {
                for entry in entries {
                    if let Err(mut complaint) = values::text(&entry.value, Form::Loose) {
                        complaint.found = values::found(&entry.value, true);
                        self.bad.insert(path.to_owned());
                        self.bad_value(entry.place().clone(), &join(path, &entry.key), complaint);
                    }
                }
            }
            _ => {
                if let Err(mut complaint) = values::accept(node, key) {
                    say_more(&mut complaint, node, path);
                    self.bad_value(at.clone(), path, complaint);
                } else if matches!(key.kind, Kind::Text(Form::Secret)) && !node.is_null() {
                    self.warnings.push(format!(
                        "{path} holds a secret in plain text; keep it in the environment or in a .env file instead"
                    ));
                }
            }
        }
    }
}

/// Values that are allowed elsewhere, or will be, get a word of explanation.
fn say_more(complaint: &mut Complaint, node: &Node, path: &str) {
    let What::Scalar(text, _) = &node.what else { return };
    let explanation = match (path.rsplit('.').next(), text.as_str()) {
        (Some("workload_type"), "text") => " (free text is not built yet)",
        (Some("model_type"), "embedding") => " (an embedding model is no candidate)",
        (Some("nmp_namespace" | "model_name"), text) if text.parse::<f64>().is_ok() => " (in quotes if it is a number)",
        _ => return,
    };
    complaint.allowed.push_str(explanation);
}

/// The key that was probably meant: one of the same section by spelling, else the same name in another section.
fn nearest<'a>(
    written: &str,
    keys: &[Key],
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

/// A key path and one step more.
pub(crate) fn join(path: &str, step: &str) -> String {
    if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") }
}

#[cfg(test)]
mod tests {
    use super::super::file::Document;
    use super::*;

    fn checked(text: &str) -> Checked {
        check(&Document::read(text).unwrap().root)
    }

    fn unknown(text: &str) -> Option<String> {
        match &checked(text).findings[..] {
            [Finding { what: Fault::Unknown { nearest, .. }, .. }] => nearest.clone(),
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
        assert!(!checked.good("nmp_config.nemo_base_url"));
        assert!(checked.good("nmp_config.nim_base_url"));
        assert!(!checked.good("nims.0.tag"));
    }

    #[test]
    fn features_that_are_not_built_warn_once_each() {
        let text = "icl_config: {max_examples: 3, similarity_config: {embedding_nim_config: {gpus: 1}}}\n\
                    mlflow_config: {enabled: false}\nembedding_nim_config:\n";
        let checked = checked(text);
        assert_eq!(checked.findings, []);
        let starts: Vec<_> = checked.warnings.iter().filter_map(|warning| warning.split(' ').next()).collect();
        assert_eq!(starts, ["icl_config", "mlflow_config"]);
    }
}
