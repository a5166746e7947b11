//! How many records to ask for at once, so that pages have about the same number of bytes whatever the records are like.

/// Bytes that a page should have.
const PAGE: usize = 4 << 20;
/// Records of a page, at most: more than this no server gives out by default.
const MOST: usize = 5_000;
/// How much larger the next page may be than the last one: what comes next is not known.
const GROWTH: usize = 4;

/// The number of records to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageSize {
    records: usize,
    fixed: bool,
}

impl PageSize {
    /// For records of about this many bytes; `None`: nothing is known of them.
    pub(super) fn of(average: Option<usize>) -> PageSize {
        PageSize { records: average.map_or(MOST, fitting), fixed: false }
    }

    /// Always the same.
    #[cfg(test)]
    pub(super) fn fixed(records: usize) -> PageSize {
        PageSize { records, fixed: true }
    }

    /// Records.
    pub(super) fn records(self) -> usize {
        self.records
    }

    /// The next one, when a page of this many records had this many bytes.
    pub(super) fn after(self, records: usize, bytes: usize) -> PageSize {
        match bytes.checked_div(records) {
            Some(average) if !self.fixed => {
                PageSize { records: fitting(average).min(self.records.saturating_mul(GROWTH)), ..self }
            }
            _ => self,
        }
    }
}

fn fitting(average: usize) -> usize {
    (PAGE / average.max(1)).clamp(1, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_about_the_same_bytes_and_grow_slowly() {
        assert_eq!(PageSize::of(None).records(), MOST);
        assert_eq!(PageSize::of(Some(1)).records(), MOST);
        assert_eq!(PageSize::of(Some(10 << 20)).records(), 1);
        let mut size = PageSize::of(Some(10 << 20));
        let mut sizes = Vec::new();
        for _ in 0..7 {
            size = size.after(size.records(), size.records() * 1000);
            sizes.push(size.records());
        }
        assert_eq!(sizes, [4, 16, 64, 256, 1024, 4096, PAGE / 1000]);
        assert_eq!(size.after(4000, 4000 << 20).records(), 4, "it shrinks at once");
        assert_eq!(size.after(0, 30), size);
        assert_eq!(PageSize::fixed(7).after(7, 7 << 30).records(), 7);
    }
}
