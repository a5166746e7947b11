//! Converts the state into documents and back.

use std::collections::HashMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::journal::{DataDirError, DocumentChange, Documents, Journal};
use super::repository_documents;
use crate::embedded::state::adapter::{self, ServedAdapter};
use crate::embedded::state::blobs::{Blob, BlobStore};
use crate::embedded::state::entity_table::EntityTable;
use crate::embedded::state::evaluation::Evaluation;
use crate::embedded::state::tracked_list::{Entry, TrackedList};
use crate::embedded::state::training::Training;
use crate::embedded::state::{PlatformState, TABLES};
use crate::embedded::timing::Moment;

const DEPLOYMENT: &str = "deployment";
const TRAINING: &str = "training";
const ADAPTER: &str = "adapter";
const EVALUATION: &str = "evaluation";
const PLATFORM: &str = "platform";
const INSTANCE: &str = "instance";

/// Takes the changes of the state since they were last taken.
fn take_changes(state: &mut PlatformState) -> Vec<DocumentChange> {
    let mut changes = repository_documents::take_changes(&mut state.repositories);
    for (kind, table) in TABLES {
        changes.extend(named(kind, table(state).take_changes()));
    }
    changes.extend(named(DEPLOYMENT, state.deployments.take_changes()));
    changes.extend(named(TRAINING, state.trainings.take_changes()));
    changes.extend(named(ADAPTER, state.adapters.take_changes()));
    changes.extend(named(EVALUATION, state.evaluations.take_changes()));
    changes
}

fn named(kind: &'static str, touched: Vec<(String, Option<Value>)>) -> impl Iterator<Item = DocumentChange> {
    touched.into_iter().map(move |(key, document)| DocumentChange { kind, key, document })
}

/// A platform as it was saved.
pub(crate) struct Restored {
    /// The random id, which stays the same.
    pub(crate) instance: String,
    pub(crate) state: PlatformState,
    pub(crate) blobs: BlobStore,
}

impl Journal {
    /// Saves the changes of the state, and of the blobs.
    pub(crate) fn save(&self, state: &mut PlatformState, blobs: &BlobStore) {
        self.write(take_changes(state), blobs);
    }

    /// Restores the saved platform; none in a new directory.
    pub(crate) fn restore(&self) -> Result<Option<Restored>, DataDirError> {
        let mut documents = self.read()?;
        let blobs = self.blobs();
        let known = documents.remove(PLATFORM).unwrap_or_default();
        let known = known.iter().find(|(key, _)| key == INSTANCE).and_then(|(_, id)| id.as_str());
        let Some(instance) = known.map(str::to_owned) else { return Ok(None) };
        let mut reader = Reader { journal: self, blobs: &blobs, documents: &mut documents };
        let state = reader.state()?;
        // The next start tries a failed cleanup again.
        if let Err(error) = blobs.tidy() {
            tracing::warn!(%error, "tidying up the contents");
        }
        if let Err(error) = self.tidy(&blobs) {
            tracing::warn!(%error, "tidying up the small contents");
        }
        Ok(Some(Restored { instance, state, blobs }))
    }

    /// Saves the id of a new platform. It comes last: a directory without it counts as new.
    pub(crate) fn name_platform(&self, instance: &str, blobs: &BlobStore) {
        let document = Some(Value::from(instance));
        self.write(vec![DocumentChange { kind: PLATFORM, key: INSTANCE.to_owned(), document }], blobs);
    }
}

/// Rebuilds the state from documents.
struct Reader<'a> {
    journal: &'a Journal,
    blobs: &'a BlobStore,
    documents: &'a mut HashMap<String, Documents>,
}

impl Reader<'_> {
    fn take(&mut self, kind: &str) -> Documents {
        self.documents.remove(kind).unwrap_or_default()
    }

    fn state(&mut self) -> Result<PlatformState, DataDirError> {
        let mut state = PlatformState::default();
        for (kind, table) in TABLES {
            *table(&mut state) = EntityTable::restored(self.take(kind));
        }
        let kinds = repository_documents::KINDS.map(|kind| self.take(kind));
        state.repositories = repository_documents::restored(kinds, &mut |reference| self.content(reference))
            .map_err(|what| self.journal.damaged(what))?;
        state.deployments = self.list(DEPLOYMENT, |_, deployment| Some(deployment))?;
        state.trainings = self.list(TRAINING, |_, training: Training| Some(training))?;
        state.evaluations = self.list(EVALUATION, |reader, document: Value| {
            let rows = match &document["rows"] {
                Value::Null => None,
                reference => Some(reader.content(reference)?),
            };
            serde_json::from_value::<Evaluation>(document).ok().map(|job| job.restored(rows))
        })?;
        state.adapters = self.list(ADAPTER, |reader, document: Value| {
            let file = reader.content(&document["file"])?;
            let text = |key: &str| document[key].as_str().map(str::to_owned);
            let weights = Arc::new(adapter::from_weights_file(&file.bytes().ok()?)?);
            Some(ServedAdapter { id: text("id")?, base: text("base")?, weights, file, published: Moment::past() })
        })?;
        let tickets =
            state.deployments.iter().map(|one| one.ticket).chain(state.trainings.iter().map(|one| one.ticket));
        state.tickets = tickets.max().unwrap_or(0);
        // Everything restored is listed at the first read of the model list.
        state.lists = 1;
        Ok(state)
    }

    fn list<D: DeserializeOwned, T: Entry>(
        &mut self,
        kind: &str,
        make: impl Fn(&Self, D) -> Option<T>,
    ) -> Result<TrackedList<T>, DataDirError> {
        let mut entries = Vec::new();
        for (key, document) in self.take(kind) {
            let entry = serde_json::from_value(document).ok().and_then(|document| make(self, document));
            entries.push(entry.ok_or_else(|| self.journal.damaged(format!("the {kind} {key:?} cannot be read")))?);
        }
        Ok(TrackedList::restored(entries))
    }

    /// Finds the blob that a document refers to.
    fn content(&self, reference: &Value) -> Option<Blob> {
        let sha256 = reference["sha256"].as_str()?;
        self.blobs.find(sha256, reference["size"].as_u64()?, || self.journal.small(sha256))
    }
}
