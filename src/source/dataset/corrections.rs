//! The file with labels that people gave, and how much of it was used.

use std::path::PathBuf;

use crate::data::corrections::Corrections;
use crate::data::intake::Intake;
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
    /// Checks the labels against the records that were read. A list of labels has been asked already. Returns the number of
    /// records whose label was corrected to another one, and of requests that were met.
    ///
    /// # Errors
    /// [`Unusable::Corrections`].
    pub(super) fn checked(&self, intake: &Intake, request: &DatasetRequest) -> Result<(u64, usize), Unusable> {
        if let Some((path, _)) = self.file.as_ref().filter(|_| request.labels.allowed.is_none()) {
            let refused = |why| Unusable::Corrections { path: path.clone(), why };
            intake.check_corrections(&self.labels).map_err(refused)?;
        }
        Ok(intake.corrected())
    }

    /// Returns what became of them. `None` if no file was given.
    pub(super) fn counts(self, (records, met): (u64, usize)) -> Option<CorrectionCounts> {
        let given = self.labels.len() as u64;
        let (path, blake3) = self.file?;
        Some(CorrectionCounts { path, blake3, given, unused: given - met as u64, records })
    }
}
