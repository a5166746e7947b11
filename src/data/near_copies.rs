//! Near-copies of texts by MinHash (Broder 1997): texts that share most of their shingles of three words. Remembers 64 bytes
//! of a text and compares no texts, except two that are at hand.

use std::collections::{HashMap, HashSet};

use xxhash_rust::xxh3::xxh3_64;

use super::normal_form::mask;

/// Bands of a text. Two texts are near-copies if [`EQUAL_BANDS`] of them are equal.
const BANDS: usize = 16;
/// A single equal band is too often a chance.
const EQUAL_BANDS: usize = 2;
/// Words of a shingle.
const SHINGLE: usize = 3;
/// Share of texts at the threshold that [`EQUAL_BANDS`] of [`BANDS`] find, as the probability of one band: 90 %.
const BAND_AT_THRESHOLD: f64 = 0.222;
/// The most rows of a band, which a threshold of 0.93 needs.
const MOST_ROWS: usize = 20;
/// Texts of a bucket that a text is compared with. Of a large bucket each has others in its other bands.
const COMPARED: usize = 8;
/// Texts from which on their template is looked for.
const MANY_TEXTS: usize = 20;

/// The hashes of the bands of a text.
pub(crate) type Bands = [u32; BANDS];
/// Stands for the bands of a text that has none.
pub(crate) const NO_BANDS: Bands = [0; BANDS];

/// Makes bands for a threshold of similarity.
#[derive(Clone, Debug)]
pub(crate) struct NearCopies {
    /// Multiplier and summand of each hash function, band by band.
    functions: Vec<(u64, u64)>,
    rows: usize,
}

impl NearCopies {
    /// Finds texts whose Jaccard similarity is at least `threshold`, between 0 and 1, in nine of ten cases.
    pub(crate) fn new(threshold: f64) -> NearCopies {
        let rows = (BAND_AT_THRESHOLD.ln() / threshold.ln()).floor().clamp(1.0, MOST_ROWS as f64) as usize;
        let draw = |n: usize, salt: u8| xxh3_64(&[&n.to_le_bytes()[..], &[salt]].concat());
        // An odd multiplier is a permutation.
        let functions = (0..BANDS * rows).map(|n| (draw(n, 0) | 1, draw(n, 1))).collect();
        NearCopies { functions, rows }
    }

    /// Returns the bands of the shingles of a masked text, apart from usual ones. [`NO_BANDS`] if it has no others.
    pub(crate) fn bands(&self, masked: &[u8], usual: &UsualShingles) -> Bands {
        let mut least = vec![u64::MAX; self.functions.len()];
        let mut count = 0;
        for shingle in shingles(masked).filter(|shingle| !usual.0.contains(shingle)) {
            count += 1;
            for (least, (multiplier, summand)) in least.iter_mut().zip(&self.functions) {
                *least = (*least).min(shingle.wrapping_mul(*multiplier).wrapping_add(*summand));
            }
        }
        let mut bands = NO_BANDS;
        if count == 0 {
            return bands;
        }
        let hash = |band: &[u64]| band.iter().fold(0_u64, |hash, row| (hash ^ row).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        bands.iter_mut().zip(least.chunks(self.rows)).for_each(|(of, band)| *of = (hash(band) >> 32) as u32);
        bands
    }
}

/// The shingles of most texts: the template that the texts to classify were put into. It makes no copies.
#[derive(Debug, Default)]
pub(crate) struct UsualShingles(HashSet<u64>);

impl UsualShingles {
    /// Finds the shingles that more than half of some masked texts have. Of few texts none are usual, because copies of one
    /// text may be most of them.
    pub(crate) fn of(masked: &[Vec<u8>]) -> UsualShingles {
        let mut texts_with: HashMap<u64, usize> = HashMap::new();
        for text in masked.iter().filter(|_| masked.len() >= MANY_TEXTS) {
            let distinct: HashSet<u64> = shingles(text).collect();
            distinct.into_iter().for_each(|shingle| *texts_with.entry(shingle).or_default() += 1);
        }
        texts_with.retain(|_, texts| *texts * 2 > masked.len());
        UsualShingles(texts_with.into_keys().collect())
    }
}

/// Returns the hashes of the shingles of a masked text.
fn shingles(masked: &[u8]) -> impl Iterator<Item = u64> {
    let mut words = Words { text: masked, at: 0 };
    let mut starts = [0; SHINGLE];
    let mut count = 0;
    std::iter::from_fn(move || {
        loop {
            let (start, end) = words.next()?;
            starts.rotate_left(1);
            starts[SHINGLE - 1] = start;
            count += 1;
            if count >= SHINGLE {
                return Some(xxh3_64(&masked[starts[0]..end]));
            }
        }
    })
}

/// Returns the Jaccard similarity of the shingles of two texts. `None` if one has fewer words than a shingle.
pub(crate) fn similarity(one: &str, other: &str) -> Option<f64> {
    let of = |text: &str| {
        let mut masked = Vec::new();
        mask(text, &mut masked);
        shingles(&masked).collect::<HashSet<u64>>()
    };
    let (one, other) = (of(one), of(other));
    let shared = one.intersection(&other).count();
    let all = one.len() + other.len() - shared;
    (!one.is_empty() && !other.is_empty()).then(|| shared as f64 / all as f64)
}

/// The words of a masked text, which gaps part.
struct Words<'a> {
    text: &'a [u8],
    at: usize,
}

impl Words<'_> {
    /// Returns the place of the next word.
    fn next(&mut self) -> Option<(usize, usize)> {
        let start = self.at + self.text[self.at..].iter().position(|byte| *byte != b' ')?;
        let end = memchr::memchr(b' ', &self.text[start..]).map_or(self.text.len(), |length| start + length);
        self.at = end;
        Some((start, end))
    }
}

/// Returns pairs of texts that are near-copies, by the places of their bands.
pub(crate) fn pairs(of: &[Bands]) -> Vec<(u32, u32)> {
    let mut pairs = Vec::new();
    let mut buckets: Vec<u64> = Vec::new();
    for band in 0..BANDS {
        buckets.clear();
        let some = of.iter().zip(0_u32..).filter(|(bands, _)| **bands != NO_BANDS);
        buckets.extend(some.map(|(bands, at)| (u64::from(bands[band]) << 32) | u64::from(at)));
        buckets.sort_unstable();
        for bucket in buckets.chunk_by(|a, b| a >> 32 == b >> 32) {
            for (n, &one) in bucket.iter().enumerate() {
                let others = bucket[n.saturating_sub(COMPARED)..n].iter();
                pairs.extend(
                    others
                        .map(|&other| (other as u32, one as u32))
                        .filter(|&(a, b)| are_near(&of[a as usize], &of[b as usize])),
                );
            }
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

fn are_near(a: &Bands, b: &Bands) -> bool {
    a.iter().zip(b).filter(|(a, b)| a == b).count() >= EQUAL_BANDS
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "the board of acme said on monday that it would raise the dividend of its common shares after a strong \
                        quarter in which sales rose and costs fell";

    /// Returns the share of made-up texts that are near-copies of one another after `changed` of their words were replaced.
    fn found(near: &NearCopies, changed: usize) -> f64 {
        let words: Vec<&str> = TEXT.split_whitespace().collect();
        let is_found = |n: usize| {
            let of = |which: &str| words.iter().map(|word| format!("{word}{n}{which}")).collect::<Vec<_>>();
            let (one, mut other) = (of(""), of(""));
            (0..changed).for_each(|at| other[at * words.len() / changed.max(1)] = format!("new{n}x{at}"));
            let bands = [one, other].map(|words| near.bands(words.join(" ").as_bytes(), &UsualShingles::default()));
            pairs(&bands) == [(0, 1)]
        };
        (0..400).filter(|&n| is_found(n)).count() as f64 / 400.0
    }

    #[test]
    fn similar_texts_are_found_and_others_are_not() {
        // Of 26 shingles, a changed word takes three, and the first word takes one. The similarities are 1, 25/27, 22/30,
        // 16/36 and nearly 0.
        let near = NearCopies::new(0.7);
        let shares = [0, 1, 2, 4, 8].map(|changed| found(&near, changed));
        assert!((shares[0] - 1.0).abs() < 1e-9 && shares[1] > 0.97 && shares[2] > 0.9, "{shares:?}");
        assert!(shares[3] < 0.2 && shares[4] < 0.01, "{shares:?}");
        assert!(found(&NearCopies::new(0.95), 2) < 0.02);
    }

    #[test]
    fn short_texts_have_no_bands_and_spaces_do_not_matter() {
        let near = NearCopies::new(0.8);
        assert!(
            [&b""[..], b" ", b"one two"].iter().all(|text| near.bands(text, &UsualShingles::default()) == NO_BANDS)
        );
        assert_eq!(
            near.bands(b" one  two three", &UsualShingles::default()),
            near.bands(b"one  two three ", &UsualShingles::default())
        );
        assert!(pairs(&[NO_BANDS; 3]).is_empty());
    }

    #[test]
    fn the_template_of_most_texts_makes_no_copies() {
        let near = NearCopies::new(0.5);
        let asked = |n: usize, end: &str| {
            let template = "read the headline and choose the one class that fits best";
            format!("{template} {} {end}", headline(n).join(" ")).into_bytes()
        };
        let pairs_of = |texts: &[Vec<u8>]| {
            let usual = UsualShingles::of(texts);
            let bands: Vec<Bands> = texts.iter().map(|text| near.bands(text, &usual)).collect();
            pairs(&bands)
        };
        let twins = [asked(0, "now"), asked(0, "then")];
        let texts: Vec<Vec<u8>> = (0..40).map(|n| asked(n, "now")).chain([asked(0, "then")]).collect();
        assert_eq!((pairs_of(&texts), pairs_of(&twins)), (vec![(0, 40)], vec![(0, 1)]));
        let bare: Vec<Vec<u8>> = (0..30).map(|_| b"choose the one class".to_vec()).collect();
        assert!(pairs_of(&bare).is_empty(), "a template alone has no bands");
    }

    /// Returns a headline of words that occur in many headlines.
    fn headline(n: usize) -> Vec<String> {
        let word = |at: usize| xxh3_64(&[&n.to_le_bytes()[..], &at.to_le_bytes()].concat()) % 400;
        (0..14).map(|at| format!("w{}x", word(at))).collect()
    }

    /// Returns the headline as another desk publishes it.
    fn republished(n: usize) -> Vec<String> {
        let mut words = headline(n);
        let at = 2 + n % 11;
        match n % 7 {
            0 => words[at] = "other".to_owned(),
            1 => drop(words.remove(at)),
            2 => words.insert(at, "now".to_owned()),
            3 => words.swap(at, at + 1),
            4 => words.splice(0..0, ["update".to_owned(), "news".to_owned()]).for_each(drop),
            5 => words.extend(["agency", "says", "today"].map(str::to_owned)),
            _ => words.truncate(12),
        }
        words
    }

    /// Returns precision and recall of the pairs of 2,000 headlines and their copies, and the share of 500 headlines of one
    /// template that are taken for copies.
    fn measured(threshold: f64) -> [f64; 3] {
        let near = NearCopies::new(threshold);
        let found = |texts: &[String]| {
            let bands: Vec<Bands> =
                texts.iter().map(|text| near.bands(text.as_bytes(), &UsualShingles::default())).collect();
            pairs(&bands)
        };
        let twins = (0..2000).flat_map(|n| [headline(n), republished(n)]).map(|words| words.join(" "));
        let twins = found(&twins.collect::<Vec<_>>());
        let right = twins.iter().filter(|(a, b)| a % 2 == 0 && b - a == 1).count() as f64;
        let template = |n: usize| format!("shares of name{n}x rise after results beat forecasts for quarter{}y", n % 9);
        let alike = found(&(0..500).map(template).collect::<Vec<_>>());
        let alike: std::collections::BTreeSet<u32> = alike.iter().flat_map(|(a, b)| [*a, *b]).collect();
        [right / twins.len().max(1) as f64, right / 2000.0, alike.len() as f64 / 500.0]
    }

    #[test]
    fn republished_headlines_are_found_and_templates_only_at_low_thresholds() {
        for (threshold, least_recall, most_alike) in [(0.5, 0.97, 1.0), (0.7, 0.75, 1.0), (0.9, 0.1, 0.02)] {
            let [precision, recall, alike] = measured(threshold);
            // docs/benchmarks.md has these figures.
            eprintln!("threshold {threshold}: precision {precision:.3}, recall {recall:.3}, template {alike:.3}");
            assert!(precision > 0.99 && recall >= least_recall && alike <= most_alike, "{precision} {recall} {alike}");
        }
    }
}
