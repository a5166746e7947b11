//! The words that the database holds for the values of closed sets.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use super::ledger::{ResourceKind, ResourceState};
use crate::vocabulary::{PlatformId, PlatformKind, RunState};

impl ResourceKind {
    const ALL: [ResourceKind; 7] = [
        ResourceKind::Deployment,
        ResourceKind::Training,
        ResourceKind::Evaluation,
        ResourceKind::Dataset,
        ResourceKind::TrainingConfig,
        ResourceKind::Adapter,
        ResourceKind::BaseModel,
    ];

    /// Returns the word for the kind in tables, in events and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            ResourceKind::Deployment => "deployment",
            ResourceKind::Training => "training",
            ResourceKind::Evaluation => "evaluation",
            ResourceKind::Dataset => "dataset",
            ResourceKind::TrainingConfig => "training_config",
            ResourceKind::Adapter => "adapter",
            ResourceKind::BaseModel => "base_model",
        }
    }

    /// Returns the name of the kind in a sentence.
    pub fn in_words(self) -> &'static str {
        match self {
            ResourceKind::Deployment => "deployment",
            ResourceKind::Training => "training job",
            ResourceKind::Evaluation => "evaluation job",
            ResourceKind::Dataset => "dataset",
            ResourceKind::TrainingConfig => "training config",
            ResourceKind::Adapter => "adapter",
            ResourceKind::BaseModel => "base model",
        }
    }
}

impl ResourceState {
    const ALL: [ResourceState; 3] = [ResourceState::Intended, ResourceState::Live, ResourceState::Released];

    /// Returns the word for the state in tables and in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            ResourceState::Intended => "intended",
            ResourceState::Live => "live",
            ResourceState::Released => "released",
        }
    }
}

/// Stores a closed set as the words of `as_str` and reads it back from `ALL`.
macro_rules! stored_as_word {
    ($($set:ty),*) => {$(
        impl ToSql for $set {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.as_str().into())
            }
        }

        impl FromSql for $set {
            fn column_result(word: ValueRef<'_>) -> FromSqlResult<$set> {
                let word = word.as_str()?;
                <$set>::ALL.into_iter().find(|value| value.as_str() == word).ok_or(FromSqlError::InvalidType)
            }
        }
    )*};
}

stored_as_word!(ResourceKind, ResourceState, RunState, PlatformKind);

impl ToSql for PlatformId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.to_string().into())
    }
}

impl FromSql for PlatformId {
    fn column_result(text: ValueRef<'_>) -> FromSqlResult<PlatformId> {
        text.as_str().map(PlatformId::from)
    }
}
