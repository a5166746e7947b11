//! The file with labels that people gave, and how much of it was used.

use std::path::PathBuf;

use crate::data::corrections::Corrections;
use crate::data::options::DatasetRequest;
use crate::data::unusable::Unusable;
use crate::source::given_file;
use crate::source::manifest::CorrectionCounts;

/// Labels that people gave, and the file that they stand in.
#[derive(Default)]
pub(super) struct GivenLabels {
    pub(super) labels: Corrections,
    file: Option<(PathBuf, String)>,
}

/// Reads the file that a request names, if it names one.
pub(super) fn read(request: &DatasetRequest) -> Result<GivenLabels, Unusable> {
    let Some(path) = &request.corrections else { return Ok(GivenLabels::default()) };
    let refused = |why: String| Unusable::Corrections { path: path.clone(), why };
    let bytes = given_file::read(path).map_err(refused)?;
    let labels = Corrections::read(&bytes, &request.labels).map_err(refused)?;
    let file = Some((path.clone(), blake3::hash(&bytes).to_hex().to_string()));
    Ok(GivenLabels { labels, file })
}

/// Checks that the corrections of a request can be used, without making datasets.
///
/// # Errors
/// [`Unusable::Corrections`].
pub(crate) fn check(request: &DatasetRequest) -> Result<(), Unusable> {
    read(request).map(drop)
}

impl GivenLabels {
    /// Returns what became of them. `None` if no file was given.
    pub(super) fn counts(self, (records, met): (u64, usize)) -> Option<CorrectionCounts> {
        let given = self.labels.len() as u64;
        let (path, blake3) = self.file?;
        Some(CorrectionCounts { path, blake3, given, unused: given - met as u64, records })
    }
}
