//! The number of records to request at once, so that pages have about the same number of bytes whatever the records hold.

/// The bytes that a page should have.
const PAGE_BYTES: usize = 4 << 20;
/// The most records of a page. Servers refuse more than 10,000 by default.
const MAX_RECORDS: usize = 5_000;
/// The factor by which a page may be larger than the last one, because the size of the next records is not known.
const MAX_GROWTH: usize = 4;

/// The number of records to request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageSize {
    records: usize,
    fixed: bool,
}

impl PageSize {
    /// Chooses a size for records of about this many bytes, if their size is known.
    pub(super) fn for_average(average: Option<usize>) -> PageSize {
        PageSize { records: average.map_or(MAX_RECORDS, records_for), fixed: false }
    }

    /// Creates a size that never changes.
    #[cfg(test)]
    pub(super) fn fixed(records: usize) -> PageSize {
        PageSize { records, fixed: true }
    }

    pub(super) fn records(self) -> usize {
        self.records
    }

    /// Returns the next size, after a page of this many records and bytes.
    pub(super) fn after(self, records: usize, bytes: usize) -> PageSize {
        match bytes.checked_div(records) {
            Some(average) if !self.fixed => {
                PageSize { records: records_for(average).min(self.records.saturating_mul(MAX_GROWTH)), ..self }
            }
            _ => self,
        }
    }
}

fn records_for(average: usize) -> usize {
    (PAGE_BYTES / average.max(1)).clamp(1, MAX_RECORDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_about_the_same_bytes_and_grow_slowly() {
        assert_eq!(PageSize::for_average(None).records(), MAX_RECORDS);
        assert_eq!(PageSize::for_average(Some(1)).records(), MAX_RECORDS);
        assert_eq!(PageSize::for_average(Some(10 << 20)).records(), 1);
        let mut size = PageSize::for_average(Some(10 << 20));
        let mut sizes = Vec::new();
        for _ in 0..7 {
            size = size.after(size.records(), size.records() * 1000);
            sizes.push(size.records());
        }
        assert_eq!(sizes, [4, 16, 64, 256, 1024, 4096, PAGE_BYTES / 1000]);
        assert_eq!(size.after(4000, 4000 << 20).records(), 4, "it shrinks at once");
        assert_eq!(size.after(0, 30), size);
        assert_eq!(PageSize::fixed(7).after(7, 7 << 30).records(), 7);
    }
}
