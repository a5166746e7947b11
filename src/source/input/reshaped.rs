//! Reads a stream of documents of another shape as a stream of records, line by line.

use std::io::Read;

use super::rewritten::Rewritten;
use crate::data::forms::reshape::Reshaper;

/// Makes records of the documents of a stream.
pub(crate) fn reshaped<R: Read>(documents: R, reshaper: &mut Reshaper) -> impl Read {
    Rewritten::new(documents, |document, record| reshaper.write(document, record))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::options::Fields;

    #[test]
    fn every_line_stays_a_line() {
        let text = "\u{feff}{\"at\":1}\r\n\nbroken\n{\"at\": 2, \"x\": 3}";
        let mut reshaper = Reshaper::new(&Fields { timestamp: Some("at".to_owned()), ..Fields::default() });
        let mut records = String::new();
        reshaped(text.as_bytes(), &mut reshaper).read_to_string(&mut records).unwrap();
        assert_eq!(records, "{\"timestamp\":1}\n\nbroken\n{\"timestamp\":2,\"x\":3}");
    }
}
