//! The form of a reply: a label in double (or more) square brackets. Owns reading it from training replies and writing it
//! in answers; how the flywheel scores replies is not decided here.

/// The label in the last pair of double (or more) square brackets of `reply`, trimmed; none when there is no such pair or
/// nothing between them.
pub(super) fn bracketed(reply: &str) -> Option<&str> {
    let mut rest = reply;
    while let Some(close) = rest.rfind("]]") {
        let inside = rest[..close].trim_end_matches(']');
        let open = inside.rfind("[[")?;
        let label = inside[open + 2..].trim();
        if !label.is_empty() {
            return Some(label);
        }
        rest = &rest[..open];
    }
    None
}

/// The reply that names `label`.
pub(super) fn naming(label: &str) -> String {
    format!("[[[{label}]]]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bracketed_label_is_read() {
        assert_eq!(bracketed("[[[Earnings]]]"), Some("Earnings"));
        assert_eq!(bracketed("maybe [[A]], no: [[[ Price  Targets ]]]."), Some("Price  Targets"));
        assert_eq!(bracketed("[[[[É]]]]"), Some("É"));
        assert_eq!(bracketed("[[A]] and [[ ]]"), Some("A"));
    }

    #[test]
    fn a_reply_without_a_label_has_none() {
        for reply in ["", "Earnings", "[Earnings]", "[[", "]]", "]] [[", "[[]]", "[[[ ]]]"] {
            assert_eq!(bracketed(reply), None, "{reply:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(bracketed(&naming("Products-Services")), Some("Products-Services"));
    }
}
