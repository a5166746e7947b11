//! The two sizes of student: their names, and which of them answers for a model.

/// The students' own names, smaller first.
pub const NAMES: [&str; 2] = ["dfwfd/ngram-small", "dfwfd/ngram-large"];

/// The largest parameter count, in billions, for which the small student stands in.
const SMALL_UP_TO_BILLION: f64 = 2.0;

/// A size of student. The sizes differ in the features that they read from a text, not in how they learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StudentSize {
    /// Single words and runs of three and four characters, of each kind only the 750 that most training rows have.
    Small,
    /// Words, word pairs and runs of two to five characters, nearly without limit.
    Large,
}

impl StudentSize {
    /// Returns the student's own name, as the embedded platform lists it.
    pub fn name(self) -> &'static str {
        match self {
            StudentSize::Small => NAMES[0],
            StudentSize::Large => NAMES[1],
        }
    }
}

/// Returns the size that answers for `model`. The students' own names mean themselves. Any other name gets the small
/// student when it states at most two billion parameters (`-1b-`, `350m`), and the large one otherwise.
pub(crate) fn stand_in(model: &str) -> StudentSize {
    if model == NAMES[0] {
        return StudentSize::Small;
    }
    match billions(model) {
        Some(billions) if billions <= SMALL_UP_TO_BILLION => StudentSize::Small,
        _ => StudentSize::Large,
    }
}

/// Returns the parameters that the name of a model states, in billions.
pub(crate) fn billions(model: &str) -> Option<f64> {
    model
        .to_lowercase()
        .split(['-', '/', '_', '@', ':'])
        .filter_map(|part| {
            let billions = |digits: &str, unit: f64| digits.parse::<f64>().ok().map(|n| n * unit);
            part.strip_suffix('b')
                .and_then(|digits| billions(digits, 1.0))
                .or_else(|| part.strip_suffix('m').and_then(|digits| billions(digits, 1e-3)))
        })
        .next_back()
}
