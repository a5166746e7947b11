//! Fills in `${NAME}` in the values of the file from the environment. `$${` stands for a literal `${`.

use super::check::join;
use super::env::Environment;
use super::node::{ConfigNode, NodeContent, ScalarType, WrittenAt};

/// Headers keep theirs until they are sent, because a plan holds no secret.
const KEPT: &str = "nmp_config.headers";

/// The ways in which a shell gives a variable a default.
const DEFAULTS: [&str; 4] = [":-", ":=", ":?", ":+"];

/// A variable that a value names and that cannot be filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnsetName {
    pub line: Option<usize>,
    /// The key path.
    pub path: String,
    /// The text between the brackets.
    pub name: String,
}

impl UnsetName {
    /// Says what is wrong.
    pub(super) fn sentence(&self) -> String {
        match with_default(&self.name) {
            Some(name) => no_default(name),
            None => {
                format!("names the environment variable {}, which is not set; write $${{ for a literal ${{", self.name)
            }
        }
    }
}

/// Returns the names in `${NAME}` of a text.
pub(super) fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

/// Returns the name in `NAME:-default` and its relatives.
pub(super) fn with_default(text: &str) -> Option<&str> {
    DEFAULTS.iter().find_map(|sign| text.split_once(sign).map(|(name, _)| name)).filter(|name| is_name(name))
}

/// Says that a variable has a default.
pub(super) fn no_default(name: &str) -> String {
    format!("gives the variable {name} a default, which is not supported: write ${{{name}}} and set the variable")
}

/// Fills in the values of a tree. Returns the variables that are not set.
pub(super) fn fill(root: &mut ConfigNode, environment: &Environment) -> Vec<UnsetName> {
    let mut unset = Vec::new();
    below(root, "", environment, &mut unset);
    unset
}

fn below(node: &mut ConfigNode, path: &str, environment: &Environment, unset: &mut Vec<UnsetName>) {
    if path == KEPT {
        return;
    }
    match &mut node.content {
        NodeContent::Scalar(text, scalar_type) if text.contains("${") => match filled(text, environment) {
            Ok(value) => {
                *text = value;
                // Like the value of an override, it is what its key expects.
                *scalar_type = ScalarType::Untyped;
            }
            Err(name) => {
                let line = if let WrittenAt::File(line) = node.at { Some(line) } else { None };
                unset.push(UnsetName { line, path: path.to_owned(), name });
            }
        },
        NodeContent::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                below(item, &join(path, &index.to_string()), environment, unset);
            }
        }
        NodeContent::Section(entries) => {
            for entry in entries {
                below(&mut entry.value, &join(path, &entry.key), environment, unset);
            }
        }
        NodeContent::Scalar(..) | NodeContent::Tagged(_) => {}
    }
}

/// Returns a text with its variables, or the name of the first one that is not set. A `${` without an end, or around
/// what is no name, stays as it is: it may be part of a pattern.
fn filled(text: &str, environment: &Environment) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            filled.push_str(&rest[..at - 1]);
            filled.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        filled.push_str(&rest[..at]);
        let after = &rest[at + 2..];
        let inside = after.split_once('}').map(|(inside, _)| inside);
        if let Some(inside) = inside.filter(|inside| with_default(inside).is_some()) {
            return Err(inside.to_owned());
        }
        let name = inside.filter(|name| is_name(name));
        match name {
            Some(name) => {
                filled.push_str(environment.get(name).ok_or_else(|| name.to_owned())?);
                rest = &after[name.len() + 1..];
            }
            None => {
                filled.push_str("${");
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml;

    #[test]
    fn a_name_is_filled_in_and_a_doubled_sign_is_literal() {
        let environment = Environment::of([("HOST", "nemo.test"), ("N", "4")]);
        let of = |text: &str| filled(text, &environment);
        assert_eq!(of("http://${HOST}/x${N}").unwrap(), "http://nemo.test/x4");
        assert_eq!(of("$${HOST} costs $5").unwrap(), "${HOST} costs $5");
        assert_eq!(of("^a${2,} ${open").unwrap(), "^a${2,} ${open");
        assert_eq!(of("${HOST}${NOPE}").unwrap_err(), "NOPE");
        assert_eq!(of("http://${HOST:-nemo.test}").unwrap_err(), "HOST:-nemo.test");
        assert_eq!(with_default("HOST:-nemo.test"), Some("HOST"));
    }

    #[test]
    fn a_value_has_the_type_of_its_key_and_an_unset_name_its_line() {
        let mut root =
            yaml::read("gpus: ${N}\nnims:\n  - tag: ${TAG}\nnmp_config:\n  headers: {x: '${KEPT}'}\n").unwrap();
        let unset = fill(&mut root, &Environment::of([("N", "4")]));
        let tag = UnsetName { line: Some(3), path: "nims.0.tag".to_owned(), name: "TAG".to_owned() };
        assert_eq!(unset, [tag]);
        assert_eq!(root.find("gpus").unwrap().content, NodeContent::Scalar("4".to_owned(), ScalarType::Untyped));
    }
}
