//! The words of a fault's text: the fault, and its options.

/// A text that is not a fault, or a fault that cannot be used here: a sentence that says what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadFault(pub(super) String);

pub(super) type Parsed<T> = Result<T, BadFault>;

/// Returns the refusal of a text.
pub(super) fn bad<T>(sentence: impl Into<String>) -> Parsed<T> {
    Err(BadFault(sentence.into()))
}

/// A word: a name, and the value after its `=`.
pub(super) struct FaultWord {
    pub(super) name: String,
    pub(super) value: Option<String>,
}

/// Splits a text into words. A value may be quoted.
pub(super) fn split(text: &str) -> Parsed<Vec<FaultWord>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<FaultWord>, None);
    for letter in text.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '\'' | '"') if word.as_ref().is_some_and(|word| word.value.is_some()) => quote = Some(letter),
            (None, blank) if blank.is_whitespace() => words.extend(word.take()),
            _ => {
                let word = word.get_or_insert_with(|| FaultWord { name: String::new(), value: None });
                match &mut word.value {
                    Some(value) => value.push(letter),
                    None if letter == '=' => word.value = Some(String::new()),
                    None => word.name.push(letter),
                }
            }
        }
    }
    if let Some(open) = quote {
        return bad(format!("a quote {open} is never closed"));
    }
    words.extend(word);
    Ok(words)
}

/// The options that nobody has read yet.
pub(super) struct FaultOptions(Vec<FaultWord>);

impl FaultOptions {
    pub(super) fn new(words: impl Iterator<Item = FaultWord>) -> Parsed<FaultOptions> {
        let words: Vec<FaultWord> = words.collect();
        for (at, word) in words.iter().enumerate() {
            if words[..at].iter().any(|other| other.name == word.name) {
                return bad(format!("{} is given twice", word.name));
            }
        }
        Ok(FaultOptions(words))
    }

    /// Takes the value of an option; `Some(None)` if it has none.
    pub(super) fn take(&mut self, name: &str) -> Option<Option<String>> {
        let at = self.0.iter().position(|word| word.name == name)?;
        Some(self.0.remove(at).value)
    }

    /// Takes an option without a value.
    pub(super) fn flag(&mut self, name: &str) -> Parsed<bool> {
        match self.take(name) {
            None => Ok(false),
            Some(None) => Ok(true),
            Some(Some(value)) => bad(format!("{name} takes no value, but has `{value}`")),
        }
    }

    /// Takes a whole number.
    pub(super) fn number(&mut self, name: &str) -> Parsed<Option<u64>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let value = value.unwrap_or_default();
        let expected = || BadFault(format!("`{name}={value}`: expected a whole number, such as {name}=2"));
        value.parse().map(Some).map_err(|_| expected())
    }

    /// Takes a whole number that is at least 1.
    pub(super) fn count(&mut self, name: &str) -> Parsed<Option<u64>> {
        match self.number(name)? {
            Some(0) => bad(format!("`{name}=0`: {name} counts from 1")),
            other => Ok(other),
        }
    }

    /// Takes a probability, in millionths.
    pub(super) fn chance(&mut self) -> Parsed<Option<u32>> {
        let Some(value) = self.take("probability") else { return Ok(None) };
        let value = value.unwrap_or_default();
        match value.parse::<f64>() {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a million")]
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(Some((share * 1e6).round() as u32)),
            _ => bad(format!("`probability={value}`: expected a number from 0 to 1, such as probability=0.1")),
        }
    }

    /// Returns an option that nobody has read.
    pub(super) fn unread(&self) -> Option<&str> {
        self.0.first().map(|word| word.name.as_str())
    }
}
