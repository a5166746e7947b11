//! Labels that people gave, read from a CSV or JSONL file. Knows nothing of eval rows.

use serde::Deserialize;

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
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())?;
    let text = text.trim_start_matches('\u{feff}');
    let rows = if text.trim_start().starts_with('{') { read_lines(text)? } else { read_table(text)? };
    if rows.is_empty() {
        return Err("it holds no row".to_owned());
    }
    Ok(rows)
}

fn read_lines(text: &str) -> Result<Vec<GoldRow>, String> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let row = |(at, line): (usize, &str)| match serde_json::from_str(line) {
        Ok(row) => checked(row, at),
        Err(error) => Err(format!("line {at}: {error}")),
    };
    lines.map(row).collect()
}

fn read_table(text: &str) -> Result<Vec<GoldRow>, String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| error.to_string())?;
    if !header.iter().any(|name| name == "label") || !header.iter().any(|name| name == "id" || name == "text") {
        let found: Vec<&str> = header.iter().collect();
        return Err(format!("it needs the columns label and id or text, and has {}", found.join(", ")));
    }
    let row = |row: Result<GoldRow, csv::Error>| {
        let row = row.map_err(|error| error.to_string())?;
        let given = |cell: Option<String>| cell.filter(|cell| !cell.is_empty());
        Ok(GoldRow { id: given(row.id), text: given(row.text), label: row.label })
    };
    let rows = reader.deserialize().map(row);
    (2..).zip(rows).map(|(at, row): (usize, Result<GoldRow, String>)| checked(row?, at)).collect()
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
            (b"\xff", "it is not UTF-8 text"),
        ] {
            let said = read(file).unwrap_err();
            assert!(said.starts_with(told), "{said}");
        }
    }
}
