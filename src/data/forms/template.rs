//! Prompt templates: texts with `{column}` placeholders that the cells of a table row fill in.

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Cell(usize),
}

/// The meaning of a placeholder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The cell of this column.
    Cell(usize),
    /// A text that is equal in every row.
    Constant(String),
}

/// A placeholder without a meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnknownPlaceholder(pub String);

impl Template {
    /// Reads a template. `{name}` is a placeholder, and `{{` and `}}` are braces. Braces around text that cannot be a name,
    /// such as JSON, stand for themselves.
    pub(crate) fn parse(text: &str, meaning: impl Fn(&str) -> Option<Meaning>) -> Result<Template, UnknownPlaceholder> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                literal.push_str(brace);
                rest = after;
                continue;
            }
            let name = if brace == "{" { rest.split_once('}').map(|(name, _)| name) } else { None };
            let Some(name) = name.filter(|name| may_be_a_name(name)) else {
                literal.push_str(brace);
                continue;
            };
            match meaning(name).ok_or_else(|| UnknownPlaceholder(name.to_owned()))? {
                Meaning::Constant(text) => literal.push_str(&text),
                Meaning::Cell(column) => {
                    if !literal.is_empty() {
                        pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                    }
                    pieces.push(Piece::Cell(column));
                }
            }
            rest = &rest[name.len() + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Template(pieces))
    }

    /// Creates a template without placeholders.
    pub(crate) fn constant(text: &str) -> Template {
        Template(vec![Piece::Literal(text.to_owned())])
    }

    /// Returns true if it has no text.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|piece| matches!(piece, Piece::Literal(text) if text.is_empty()))
    }

    /// Returns true if it contains the cell of a column.
    pub(crate) fn shows(&self, column: usize) -> bool {
        self.0.contains(&Piece::Cell(column))
    }

    /// Returns true if it differs from row to row.
    pub(crate) fn varies(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Cell(_)))
    }

    /// Returns the text for one row.
    pub(crate) fn fill(&self, cells: &[&str]) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Literal(text) => text.clone(),
            Piece::Cell(column) => cells.get(*column).copied().unwrap_or_default().to_owned(),
        };
        self.0.iter().map(text).collect()
    }
}

fn may_be_a_name(name: &str) -> bool {
    let first = name.chars().next();
    first.is_some_and(|c| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(name: &str) -> Option<Meaning> {
        match name {
            "text" => Some(Meaning::Cell(0)),
            "source name" => Some(Meaning::Cell(1)),
            "labels" => Some(Meaning::Constant("- A {text}".to_owned())),
            _ => None,
        }
    }

    #[test]
    fn placeholders_are_filled_and_other_braces_stay() {
        for (template, want) in [
            ("{text}", "é {text}"),
            ("News: {text} ({source name})", "News: é {text} (wire)"),
            ("{labels}!", "- A {text}!"),
            (r#"{"text": {text}}"#, r#"{"text": é {text}}"#),
            (r#"{{"label": "..."}} {{text}} {text}}}"#, r#"{"label": "..."} {text} é {text}}"#),
            ("{} { text} {7} {open", "{} { text} {7} {open"),
            ("", ""),
        ] {
            let filled = Template::parse(template, meaning).unwrap().fill(&["é {text}", "wire"]);
            assert_eq!(filled, want, "{template}");
        }
    }

    #[test]
    fn a_name_that_stands_for_nothing_is_named() {
        assert_eq!(Template::parse("a {headlin}", meaning), Err(UnknownPlaceholder("headlin".to_owned())));
    }

    #[test]
    fn constants_do_not_make_a_template_vary() {
        assert!(!Template::parse("{labels} x", meaning).unwrap().varies());
        assert!(Template::parse("{labels} {text}", meaning).unwrap().varies());
    }
}
