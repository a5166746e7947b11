//! The state of a platform as documents, and made of them again. What a document holds is the business of the type that
//! it describes; which of them were touched is noted where they are kept.

use std::collections::HashMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Change, DataDirError, Documents, Journal};
use crate::embedded::clock::Mark;
use crate::embedded::contents::{Content, Contents};
use crate::embedded::customizer::artifact;
use crate::embedded::customizer::job::Training;
use crate::embedded::datastore::written;
use crate::embedded::evaluator::job::Evaluation;
use crate::embedded::nim::ServedAdapter;
use crate::embedded::roll::{Entry, Roll};
use crate::embedded::shelf::Shelf;
use crate::embedded::world::State;

/// Where a shelf stands.
type Place = fn(&mut State) -> &mut Shelf;

/// The shelves of the state, by the kind of their documents.
const SHELVES: [(&str, Place); 10] = [
    ("namespace", |state| &mut state.namespaces),
    ("project", |state| &mut state.projects),
    ("dataset", |state| &mut state.datasets),
    ("model", |state| &mut state.models),
    ("deployment_config", |state| &mut state.deployment_configs),
    ("target", |state| &mut state.targets),
    ("training_config", |state| &mut state.training_configs),
    ("evaluation_config", |state| &mut state.evaluation_configs),
    ("evaluation_target", |state| &mut state.evaluation_targets),
    ("evaluation_result", |state| &mut state.evaluation_results),
];

const DEPLOYMENT: &str = "deployment";
const TRAINING: &str = "training";
const ADAPTER: &str = "adapter";
const EVALUATION: &str = "evaluation";
const PLATFORM: &str = "platform";
const INSTANCE: &str = "instance";

impl State {
    /// Whether anything was touched since that was last written down.
    pub(in crate::embedded) fn is_touched(&mut self) -> bool {
        self.deployments.is_touched()
            || self.trainings.is_touched()
            || self.adapters.is_touched()
            || self.evaluations.is_touched()
            || self.store.is_touched()
            || SHELVES.iter().any(|(_, shelf)| shelf(self).is_touched())
    }

    /// Takes everything away, as if it were deleted piece by piece.
    pub(in crate::embedded) fn clear(&mut self) {
        for (_, shelf) in SHELVES {
            shelf(self).clear();
        }
        self.store.clear();
        self.deployments.retain(|_| false);
        self.trainings.retain(|_| false);
        self.adapters.retain(|_| false);
        self.evaluations.retain(|_| false);
    }

    /// What was touched since this was last asked.
    pub(in crate::embedded) fn changes(&mut self) -> Vec<Change> {
        let mut changes = self.store.take_touched();
        for (kind, shelf) in SHELVES {
            changes.extend(named(kind, shelf(self).take_touched()));
        }
        changes.extend(named(DEPLOYMENT, self.deployments.take_touched()));
        changes.extend(named(TRAINING, self.trainings.take_touched()));
        changes.extend(named(ADAPTER, self.adapters.take_touched()));
        changes.extend(named(EVALUATION, self.evaluations.take_touched()));
        changes
    }
}

fn named(kind: &'static str, touched: Vec<(String, Option<Value>)>) -> impl Iterator<Item = Change> {
    touched.into_iter().map(move |(key, document)| Change { kind, key, document })
}

/// A platform as it was written down.
pub(in crate::embedded) struct Restored {
    /// Its random id, which stays the same.
    pub(in crate::embedded) instance: String,
    pub(in crate::embedded) state: State,
    pub(in crate::embedded) contents: Contents,
}

impl Journal {
    /// The platform that was written down; none in a new directory.
    pub(in crate::embedded) fn restore(&self) -> Result<Option<Restored>, DataDirError> {
        let mut documents = self.read()?;
        let contents = self.contents();
        let known = documents.remove(PLATFORM).unwrap_or_default();
        let known = known.iter().find(|(key, _)| key == INSTANCE).and_then(|(_, id)| id.as_str());
        let Some(instance) = known.map(str::to_owned) else { return Ok(None) };
        let mut reader = Reader { journal: self, contents: &contents, documents: &mut documents };
        let state = reader.state()?;
        // A failure to clean up is none: what is left is tried again by the next start.
        if let Err(error) = contents.tidy() {
            tracing::warn!(%error, "tidying up the contents");
        }
        if let Err(error) = self.tidy(&contents) {
            tracing::warn!(%error, "tidying up the small contents");
        }
        Ok(Some(Restored { instance, state, contents }))
    }

    /// Names the platform of a new directory, once what it begins with is written: with its name it is one.
    pub(in crate::embedded) fn christen(&self, instance: &str, contents: &Contents) {
        let document = Some(Value::from(instance));
        self.write(vec![Change { kind: PLATFORM, key: INSTANCE.to_owned(), document }], contents);
    }
}

/// Makes the state of documents.
struct Reader<'a> {
    journal: &'a Journal,
    contents: &'a Contents,
    documents: &'a mut HashMap<String, Documents>,
}

impl Reader<'_> {
    fn take(&mut self, kind: &str) -> Documents {
        self.documents.remove(kind).unwrap_or_default()
    }

    fn state(&mut self) -> Result<State, DataDirError> {
        let mut state = State::default();
        for (kind, shelf) in SHELVES {
            *shelf(&mut state) = Shelf::restored(self.take(kind));
        }
        let kinds = written::KINDS.map(|kind| self.take(kind));
        state.store = written::restored(kinds, &mut |reference| self.content(reference))
            .map_err(|what| self.journal.damaged(what))?;
        state.deployments = self.roll(DEPLOYMENT, |_, deployment| Some(deployment))?;
        state.trainings = self.roll(TRAINING, |_, training: Training| Some(training))?;
        state.evaluations = self.roll(EVALUATION, |reader, document: Value| {
            let rows = match &document["rows"] {
                Value::Null => None,
                reference => Some(reader.content(reference)?),
            };
            serde_json::from_value::<Evaluation>(document).ok().map(|job| job.restored(rows))
        })?;
        state.adapters = self.roll(ADAPTER, |reader, document: Value| {
            let file = reader.content(&document["file"])?;
            let text = |key: &str| document[key].as_str().map(str::to_owned);
            let weights = Arc::new(artifact::adapter(&file.bytes().ok()?)?);
            Some(ServedAdapter { id: text("id")?, base: text("base")?, weights, file, published: Mark::past() })
        })?;
        let tickets =
            state.deployments.iter().map(|one| one.ticket).chain(state.trainings.iter().map(|one| one.ticket));
        state.tickets = tickets.max().unwrap_or(0);
        // Whatever is there shows from the first reading of the list.
        state.lists = 1;
        Ok(state)
    }

    fn roll<D: DeserializeOwned, T: Entry>(
        &mut self,
        kind: &str,
        make: impl Fn(&Self, D) -> Option<T>,
    ) -> Result<Roll<T>, DataDirError> {
        let mut entries = Vec::new();
        for (key, document) in self.take(kind) {
            let entry = serde_json::from_value(document).ok().and_then(|document| make(self, document));
            entries.push(entry.ok_or_else(|| self.journal.damaged(format!("the {kind} {key:?} cannot be read")))?);
        }
        Ok(Roll::restored(entries))
    }

    /// The content that a document refers to.
    fn content(&self, reference: &Value) -> Option<Content> {
        let sha256 = reference["sha256"].as_str()?;
        self.contents.find(sha256, reference["size"].as_u64()?, || self.journal.small(sha256))
    }
}
