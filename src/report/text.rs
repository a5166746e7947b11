//! Text as a terminal may show it: control characters taken out, widths, and durations as people write them.
//! Owns no layout and no stream.

use std::borrow::Cow;

use console::Style;

pub(crate) use crate::numbers::{count, counted};

/// Returns a text that cannot drive a terminal: control characters (line feed and tab stay) and the invisible characters
/// that reverse or hide the following text become U+FFFD.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    replaced(text, |c| unsafe_char(c) && c != '\n' && c != '\t')
}

/// Like [`clean`], and on one line: line breaks and tabs become spaces.
pub(crate) fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.split(['\n', '\r', '\t']).map(str::trim).filter(|part| !part.is_empty()).collect();
    clean(&lines.join(" ")).into_owned()
}

/// Like [`clean`], but colour and weight (SGR sequences, which our own tables hold) pass.
pub(crate) fn clean_styled(text: &str) -> Cow<'_, str> {
    if !text.contains('\u{1b}') {
        return clean(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        out.push_str(&clean(&rest[..at]));
        let length = sgr_length(&rest[at..]).unwrap_or(0);
        if length == 0 {
            out.push('\u{fffd}');
        }
        out.push_str(&rest[at..at + length]);
        rest = &rest[at + length.max(1)..];
    }
    out.push_str(&clean(rest));
    Cow::Owned(out)
}

/// Bytes of the SGR sequence (`ESC [ digits and semicolons m`) that this text begins with.
fn sgr_length(text: &str) -> Option<usize> {
    let body = text.strip_prefix("\u{1b}[")?;
    let end = body.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    body[end..].starts_with('m').then_some(end + 3)
}

fn replaced(text: &str, bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&bad) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if bad(c) { '\u{fffd}' } else { c }).collect())
}

/// Control characters, and the format characters that change the direction or the order of what is shown.
fn unsafe_char(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Columns that a text takes on a terminal; styles take none.
pub(crate) fn width(text: &str) -> usize {
    console::measure_text_width(text)
}

/// A time as a person writes it: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 07 min`.
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "-".into();
    }
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// The meaning of a stretch of text. It decides the colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// A heading.
    Heading,
    /// Less important.
    Faint,
    /// Went well, or better than before.
    Good,
    /// Worth a look.
    Warning,
    /// Went wrong, or worse than before.
    Bad,
}

/// The text in its tone, or as it is when colour is off.
pub(crate) fn paint(color: bool, tone: Tone, text: &str) -> String {
    if !color || text.is_empty() {
        return text.to_owned();
    }
    let style = Style::new().force_styling(true);
    let style = match tone {
        Tone::Heading => style.bold(),
        Tone::Faint => style.dim(),
        Tone::Good => style.green(),
        Tone::Warning => style.yellow(),
        Tone::Bad => style.red(),
    };
    style.apply_to(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_cannot_drive_a_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\u{7}\r\n\tc\u{9b}31m"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}\n\tc\u{fffd}31m");
        assert_eq!(clean("\u{202e}gnp.exe"), "\u{fffd}gnp.exe");
        assert_eq!(one_line(" two\r\nlines\tand more \n"), "two lines and more");
        assert!(matches!(clean("plain äöü 漢字"), Cow::Borrowed(_)));
    }

    #[test]
    fn styles_of_ours_pass_and_nothing_else() {
        let ours = paint(true, Tone::Bad, "worse");
        assert!(ours.contains("\u{1b}[31m"));
        assert_eq!(clean_styled(&ours), ours);
        for hostile in ["\u{1b}[2J", "\u{1b}]0;title\u{7}", "\u{1b}", "\u{1b}[1", "\u{1b}[31\u{1b}"] {
            assert!(!clean_styled(hostile).contains('\u{1b}'), "{hostile:?}");
        }
        assert_eq!(clean_styled("\u{1b}[1mä\u{1b}]b"), "\u{1b}[1mä\u{fffd}]b");
    }

    #[test]
    fn numbers_read_well() {
        let times = [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (185.0, "3 min 05 s")];
        for (seconds, text) in times {
            assert_eq!(duration(seconds), text);
        }
        assert_eq!(duration(7_620.0), "2 h 07 min");
        assert_eq!((duration(f64::NAN), duration(-1.0)), ("-".into(), "-".into()));
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!((counted(1, "row"), counted(1_206, "row")), ("1 row".into(), "1,206 rows".into()));
    }

    #[test]
    fn without_colour_nothing_is_added() {
        assert_eq!(paint(false, Tone::Heading, "x"), "x");
    }
}
