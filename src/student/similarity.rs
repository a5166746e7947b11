//! The stand-in for a judge of texts. Recognises a conversation that asks how alike two replies are, and compares their
//! words by rule.

use std::collections::BTreeSet;

use super::conversation::Message;

/// The headings before the two replies.
const GOOD: &str = "GOOD REPLY\n";
const OTHER: &str = "OTHER REPLY\n";

/// Rates how alike two texts are when a conversation asks for it: the user's last message shows one below `GOOD REPLY` and
/// one below `OTHER REPLY`, and some message asks for a rating. Answers `RATING: 0` to `RATING: 10`: ten times the share of
/// words that both have (Dice's coefficient), rounded.
pub(crate) fn rate_texts(messages: &[Message]) -> Option<String> {
    let asked = messages.iter().rev().find(|message| message.role == "user")?;
    let (good, other) = asked.content.split_once(GOOD)?.1.split_once(OTHER)?;
    messages.iter().find(|message| message.content.to_lowercase().contains("rating"))?;
    let words = |text: &str| -> BTreeSet<String> {
        let words = text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    };
    let (good, other) = (words(good), words(other));
    let all = (good.len() + other.len()).max(1);
    let alike = 2.0 * good.intersection(&other).count() as f64 / all as f64;
    Some(format!("{:.0} of 10 words are the same.\nRATING: {:.0}", alike * 10.0, alike * 10.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rating_is_the_share_of_common_words() {
        let rate = |good: &str, other: &str| {
            let asked = format!("CONVERSATION\nx\n\nGOOD REPLY\n{good}\n\nOTHER REPLY\n{other}");
            rate_texts(&[Message::new("system", "End with RATING: n"), Message::new("user", asked)])
        };
        let rating = |good, other| rate(good, other).unwrap().rsplit(' ').next().unwrap().to_owned();
        assert_eq!(rating("Profit rose.", "profit ROSE"), "10");
        assert_eq!(rating("Profit rose", "Profit fell"), "5");
        assert_eq!(rating("Profit rose", ""), "0");
        assert_eq!(rate_texts(&[Message::new("user", "GOOD REPLY\na\nOTHER REPLY\na")]), None, "nobody asks for it");
        assert_eq!(rate_texts(&[Message::new("user", "Give a rating of this")]), None);
    }
}
