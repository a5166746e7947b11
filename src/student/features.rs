//! Turns text into numbers: TF-IDF over words and over character n-grams within words, as sparse rows of unit length per
//! block. Follows scikit-learn's `TfidfVectorizer` (`word` and `char_wb` analysers, smooth idf), so that the two can be
//! compared.

use std::collections::HashMap;

use super::size::StudentSize;

/// The characters that are read of a text. Bounds time and memory, far beyond any headline.
const MAX_CHARS: usize = 4_000;

/// The number of n-gram blocks: words and character n-grams. Each is scaled to unit length on its own.
const BLOCKS: usize = 2;

/// The features that one size of student reads from a text.
#[derive(Debug, Clone, Copy, PartialEq)]
struct FeatureSet {
    /// Shortest and longest n-gram of words.
    words: (usize, usize),
    /// Shortest and longest n-gram of characters within a word and the blanks around it.
    chars: (usize, usize),
    /// The number of features that a block keeps, the most frequent first.
    vocabulary: usize,
}

impl FeatureSet {
    fn of(size: StudentSize) -> FeatureSet {
        match size {
            StudentSize::Small => FeatureSet { words: (1, 1), chars: (3, 4), vocabulary: 750 },
            StudentSize::Large => FeatureSet { words: (1, 2), chars: (2, 5), vocabulary: 200_000 },
        }
    }
}

/// One text as numbers: feature index and weight, by ascending index.
pub(super) type FeatureRow = Vec<(u32, f32)>;

/// The vocabulary of a training set and the weight of each of its features.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Vectorizer {
    pub(super) size: StudentSize,
    /// Hash and weight of each feature, block by block and in hash order within a block.
    pub(super) features: Vec<(u64, f32)>,
    /// The position of each hash in `features`.
    index: HashMap<u64, u32>,
}

impl Vectorizer {
    /// Learns the vocabulary of `texts` and the weight of each feature: ln((1 + texts) / (1 + texts with it)) + 1.
    pub(super) fn fit(size: StudentSize, texts: &[String]) -> Vectorizer {
        let set = FeatureSet::of(size);
        let mut rows_with: [HashMap<u64, u32>; BLOCKS] = Default::default();
        for text in texts {
            for (block, grams) in counted(text, &set).into_iter().enumerate() {
                for (gram, _) in grams {
                    *rows_with[block].entry(gram).or_insert(0) += 1;
                }
            }
        }
        let texts = 1.0 + texts.len() as f64;
        let weight = |rows: u32| ((texts / (1.0 + f64::from(rows))).ln() + 1.0) as f32;
        let mut features = Vec::new();
        for rows_with in rows_with {
            let mut kept: Vec<(u64, u32)> = rows_with.into_iter().collect();
            kept.sort_unstable_by_key(|&(gram, rows)| (std::cmp::Reverse(rows), gram));
            kept.truncate(set.vocabulary);
            kept.sort_unstable();
            features.extend(kept.into_iter().map(|(gram, rows)| (gram, weight(rows))));
        }
        Vectorizer::from_features(size, features)
    }

    /// Creates a vectorizer from the features that `fit` has learnt.
    pub(super) fn from_features(size: StudentSize, features: Vec<(u64, f32)>) -> Vectorizer {
        let index = features.iter().enumerate().map(|(at, (gram, _))| (*gram, at as u32)).collect();
        Vectorizer { size, features, index }
    }

    /// Turns `text` into numbers: 1 + ln(count) times the weight of the feature, each block scaled to unit length. Ignores
    /// features outside the vocabulary.
    pub(super) fn row(&self, text: &str) -> FeatureRow {
        let set = FeatureSet::of(self.size);
        let mut row = FeatureRow::new();
        for grams in counted(text, &set) {
            let start = row.len();
            for (gram, count) in grams {
                if let Some(&at) = self.index.get(&gram) {
                    row.push((at, (1.0 + (count as f32).ln()) * self.features[at as usize].1));
                }
            }
            let length = row[start..].iter().map(|(_, value)| value * value).sum::<f32>().sqrt();
            if length > 0.0 {
                row[start..].iter_mut().for_each(|(_, value)| *value /= length);
            }
        }
        row
    }
}

/// Counts the n-grams of `text` by block, in hash order.
fn counted(text: &str, set: &FeatureSet) -> [Vec<(u64, u32)>; BLOCKS] {
    let end = text.char_indices().nth(MAX_CHARS).map_or(text.len(), |(at, _)| at);
    let text = text[..end].to_lowercase();
    let mut blocks: [Vec<u64>; BLOCKS] = Default::default();
    word_grams(&text, set.words, &mut |gram| blocks[0].push(hash(0, gram.as_bytes())));
    char_grams(&text, set.chars, &mut |gram| blocks[1].push(hash(1, gram.as_bytes())));
    blocks.map(|mut grams| {
        grams.sort_unstable();
        grams.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u32)).collect()
    })
}

/// Passes every n-gram of `from..=to` words of lower-cased `text` to `each`.
pub(super) fn word_grams(text: &str, (from, to): (usize, usize), each: &mut dyn FnMut(&str)) {
    let words: Vec<&str> = words(text).collect();
    let mut joined = String::new();
    for length in from..=to {
        for run in words.windows(length) {
            if let [word] = run {
                each(word);
                continue;
            }
            joined.clear();
            for word in run {
                joined.push_str(word);
                joined.push(' ');
            }
            each(joined.trim_end());
        }
    }
}

/// Splits `text` into words of two or more letters, digits and underscores.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| word.chars().nth(1).is_some())
}

/// Passes every n-gram of `from..=to` characters of lower-cased `text` to `each`, within a word and the blank on either
/// side of it. A word that is shorter than the n-gram counts once, whole.
pub(super) fn char_grams(text: &str, (from, to): (usize, usize), each: &mut dyn FnMut(&str)) {
    let mut padded = String::new();
    let mut ends = Vec::new();
    for word in text.split_whitespace() {
        padded.clear();
        padded.push(' ');
        padded.push_str(word);
        padded.push(' ');
        ends.clear();
        ends.extend(padded.char_indices().map(|(at, _)| at));
        ends.push(padded.len());
        let chars = ends.len() - 1;
        for length in from..=to {
            if chars <= length {
                each(&padded);
                break;
            }
            for start in 0..=chars - length {
                each(&padded[ends[start]..ends[start + length]]);
            }
        }
    }
}

/// Hashes a salt and the bytes with FNV-1a, then mixes so that every bit counts. Saved adapters depend on it, so it never
/// changes.
pub(super) fn hash(salt: u8, bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let start = (0xcbf2_9ce4_8422_2325 ^ u64::from(salt)).wrapping_mul(PRIME);
    let mut state = bytes.iter().fold(start, |state, byte| (state ^ u64::from(*byte)).wrapping_mul(PRIME));
    state ^= state >> 32;
    state = state.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    state ^ (state >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Grams = fn(&str, (usize, usize), &mut dyn FnMut(&str));

    fn listed(grams: Grams, text: &str, runs: (usize, usize)) -> Vec<String> {
        let mut all = Vec::new();
        grams(text, runs, &mut |gram| all.push(gram.to_string()));
        all
    }

    #[test]
    fn words_have_two_characters_and_join_to_pairs() {
        assert_eq!(
            listed(word_grams, "q1 profit: a é b_c", (1, 2)),
            ["q1", "profit", "b_c", "q1 profit", "profit b_c"]
        );
        assert!(listed(word_grams, "a - ! é", (1, 2)).is_empty());
    }

    #[test]
    fn character_runs_stay_within_a_word_and_its_blanks() {
        assert_eq!(listed(char_grams, "up éa", (3, 4)), [" up", "up ", " up ", " éa", "éa ", " éa "]);
        // A word shorter than the run counts once, whole.
        assert_eq!(listed(char_grams, "a", (3, 5)), [" a "]);
        assert!(listed(char_grams, " \t\n", (2, 5)).is_empty());
    }

    #[test]
    fn each_block_of_a_row_has_unit_length_and_rare_features_weigh_more() {
        let texts = ["profit up", "profit down", "profit flat"].map(String::from);
        let vectorizer = Vectorizer::fit(StudentSize::Small, &texts);
        let row = vectorizer.row("Profit up up");
        let weight = |word: &str| {
            let gram = hash(0, word.as_bytes());
            row.iter().find(|(at, _)| vectorizer.features[*at as usize].0 == gram).map(|(_, value)| *value)
        };
        // By hand: "profit" stands in all 3 texts, idf 1; "up" in one, idf ln(4 / 2) + 1, and twice here: 1 + ln 2 of it.
        let up = (1.0 + 2f32.ln()) * (2f32.ln() + 1.0);
        let length = (1.0 + up * up).sqrt();
        assert!((weight("profit").unwrap() - 1.0 / length).abs() < 1e-6);
        assert!((weight("up").unwrap() - up / length).abs() < 1e-6);
        let squares: f32 = row.iter().map(|(_, value)| value * value).sum();
        assert!((squares - BLOCKS as f32).abs() < 1e-5);
        assert!(row.is_sorted_by_key(|(at, _)| *at));
    }

    #[test]
    fn a_text_without_known_features_is_an_empty_row() {
        let vectorizer = Vectorizer::fit(StudentSize::Large, &["profit up".to_string()]);
        assert!(vectorizer.row("").is_empty());
        assert!(vectorizer.row("ЖЖЖЖЖЖ").is_empty());
    }

    #[test]
    fn the_small_vocabulary_keeps_what_most_texts_have() {
        let texts: Vec<String> = (0..1000).map(|at| format!("common w{at:04}")).collect();
        let vectorizer = Vectorizer::fit(StudentSize::Small, &texts);
        assert!(vectorizer.features.len() <= 2 * FeatureSet::of(StudentSize::Small).vocabulary);
        assert!(vectorizer.features.iter().any(|(gram, _)| *gram == hash(0, b"common")));
    }

    #[test]
    fn hashes_do_not_change_between_versions() {
        // Saved adapters depend on them.
        assert_eq!(hash(0, b"profit"), 0x052e_690e_8032_cd35);
        assert_ne!(hash(1, b"profit"), hash(0, b"profit"));
    }
}
