//! Rows of named columns, such as those of Parquet: tells tables of texts and labels from records, and turns them into
//! CSV, for `table` to read.

use serde_json::value::RawValue;

use crate::data::json::members::Members;

/// Columns of records and chat rows. Tables have none of them.
const OF_RECORDS: [&str; 3] = ["request", "response", "messages"];

/// Returns true if rows of these columns are those of a table, and not records.
pub(crate) fn are_of_a_table(columns: &[String]) -> bool {
    !columns.iter().any(|column| OF_RECORDS.contains(&column.as_str()))
}

/// Turns lines with a JSON object each into CSV with a header. Texts stand in the cells without quotes and escapes of JSON,
/// other values as JSON. An absent value is an empty cell.
pub(crate) fn csv_of(columns: &[String], lines: &str) -> csv::Result<Vec<u8>> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(columns)?;
    for line in lines.lines() {
        let row: Members<'_> = serde_json::from_str(line).unwrap_or_default();
        out.write_record(columns.iter().map(|column| row.get(column).map(cell).unwrap_or_default()))?;
    }
    out.into_inner().map_err(|error| error.into_error().into())
}

fn cell(value: &RawValue) -> String {
    serde_json::from_str::<String>(value.get()).unwrap_or_else(|_| value.get().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_hold_texts_as_they_are_and_other_values_as_json() {
        let columns = ["text", "label", "score"].map(str::to_owned);
        let lines = "{\"text\":\"a \\\"b\\\",\\nc\",\"label\":1}\n{\"score\":0.5,\"label\":[\"x\"]}\n";
        let csv = String::from_utf8(csv_of(&columns, lines).unwrap()).unwrap();
        assert_eq!(csv, "text,label,score\n\"a \"\"b\"\",\nc\",1,\n,\"[\"\"x\"\"]\",0.5\n");
        assert!(are_of_a_table(&columns) && !are_of_a_table(&["text".to_owned(), "messages".to_owned()]));
    }
}
