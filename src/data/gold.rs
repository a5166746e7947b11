//! Labels that people gave, read from a CSV or JSONL file. Knows nothing of eval rows.

use serde::Deserialize;

use crate::data::hand_made;

/// A label that a person gave to a record.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct GoldRow {
    /// The id of the record: 32 hex digits.
    #[serde(default)]
    pub(crate) id: Option<String>,
    /// The last message of the user.
    #[serde(default)]
    pub(crate) text: Option<String>,
    pub(crate) label: String,
}

/// Reads a file: JSONL if it begins with a brace, else CSV whose first line names the columns.
///
/// # Errors
/// Says what is wrong, with the line.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<GoldRow>, String> {
    let rows = hand_made::rows::<GoldRow>(bytes, |header| {
        if header.contains(&"label") && (header.contains(&"id") || header.contains(&"text")) {
            return Ok(());
        }
        Err(format!("it needs the columns label and id or text, and has {}", header.join(", ")))
    })?;
    let given = |cell: Option<String>| cell.filter(|cell| !cell.is_empty());
    let row = |(at, row): (usize, GoldRow)| {
        checked(GoldRow { id: given(row.id), text: given(row.text), label: row.label }, at)
    };
    rows.into_iter().map(row).collect()
}

fn checked(row: GoldRow, at: usize) -> Result<GoldRow, String> {
    if row.label.trim().is_empty() {
        return Err(format!("line {at}: the label is empty"));
    }
    if row.id.is_none() && row.text.is_none() {
        return Err(format!("line {at}: neither id nor text is given"));
    }
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: Option<&str>, text: Option<&str>, label: &str) -> GoldRow {
        GoldRow { id: id.map(str::to_owned), text: text.map(str::to_owned), label: label.to_owned() }
    }

    #[test]
    fn tables_and_lines_are_read_alike() {
        let expected = [row(None, Some("a, b"), "X"), row(Some("0f"), None, "Y")];
        let table = "id,label,text,who\n,X,\"a, b\",ann\n0f,Y,,bob\n";
        let lines = "{\"text\":\"a, b\",\"label\":\"X\",\"who\":\"ann\"}\n\n{\"id\":\"0f\",\"label\":\"Y\"}\n";
        assert_eq!(read(table.as_bytes()).unwrap(), expected);
        assert_eq!(read(format!("\u{feff}{lines}").as_bytes()).unwrap(), expected);
    }

    #[test]
    fn a_file_that_cannot_be_used_says_why() {
        for (file, told) in [
            (&b"text,class\na,b\n"[..], "it needs the columns label and id or text, and has text, class"),
            (b"text,label\na,\n", "line 2: the label is empty"),
            (b"{\"label\":\"A\"}", "line 1: neither id nor text is given"),
            (b"{\"text\":\"a\",\"label\":\"A\"}\n{", "line 2: "),
            (b"text,label\n", "it holds no row"),
            (b"\xff", "it is neither UTF-8 text nor marked as UTF-16"),
        ] {
            let said = read(file).unwrap_err();
            assert!(said.starts_with(told), "{said}");
        }
    }
}
