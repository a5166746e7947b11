//! Rows that ask nearly the same. The split keeps groups apart, which it makes by the first message of the user and by
//! hashes. Examples are compared by their last message, and the texts are at hand: here each pair is looked at again.

use xxhash_rust::xxh3::xxh3_64;

use crate::data::groups::majority;
use crate::data::near_copies::similarity;
use crate::data::normal_form::normal_form;

/// The question of a row, and hashes of it and of all messages in their normal forms.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) question: String,
    form: u64,
    whole: u64,
}

impl Asked {
    /// Remembers the text of all messages by its hash.
    pub(super) fn new(question: String, whole: &str) -> Asked {
        let hash = |text: &str| xxh3_64(normal_form(text).as_bytes());
        Asked { form: hash(&question), whole: hash(whole), question }
    }
}

/// Tells twins from rows of which one may be an example of the other.
pub(crate) struct Twins {
    /// The question of most rows. The text to classify stands elsewhere there.
    usual: Option<u64>,
    /// `near_duplicate_threshold`.
    least: Option<f64>,
}

impl Twins {
    /// Looks at all rows. `least` is the share of runs of three words that near-copies have in common.
    pub(crate) fn new<'a>(rows: impl Iterator<Item = &'a Asked> + Clone, least: Option<f64>) -> Twins {
        Twins { usual: majority(rows.map(|asked| asked.form)), least }
    }

    /// Returns true if the rows ask the same or nearly the same.
    pub(crate) fn are(&self, one: &Asked, other: &Asked) -> bool {
        if Some(one.form) == self.usual && Some(other.form) == self.usual {
            return one.whole == other.whole;
        }
        let near = |least: f64| similarity(&one.question, &other.question).is_some_and(|found| found >= least);
        one.form == other.form || self.least.is_some_and(near)
    }
}
