//! Labels in replies: reads them from training replies and writes them in answers, in double (or more) square brackets.
//! The flywheel scores replies by rules of its own.

/// Returns the trimmed label in the last pair of double (or more) square brackets of `reply` that is not empty.
pub(super) fn bracketed_label(reply: &str) -> Option<&str> {
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

/// Returns the reply that names `label`.
pub(super) fn label_reply(label: &str) -> String {
    format!("[[[{label}]]]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bracketed_label_is_read() {
        assert_eq!(bracketed_label("[[[Earnings]]]"), Some("Earnings"));
        assert_eq!(bracketed_label("maybe [[A]], no: [[[ Price  Targets ]]]."), Some("Price  Targets"));
        assert_eq!(bracketed_label("[[[[É]]]]"), Some("É"));
        assert_eq!(bracketed_label("[[A]] and [[ ]]"), Some("A"));
    }

    #[test]
    fn a_reply_without_a_label_has_none() {
        for reply in ["", "Earnings", "[Earnings]", "[[", "]]", "]] [[", "[[]]", "[[[ ]]]"] {
            assert_eq!(bracketed_label(reply), None, "{reply:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(bracketed_label(&label_reply("Products-Services")), Some("Products-Services"));
    }
}
