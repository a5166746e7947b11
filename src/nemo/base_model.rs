//! The base model of a candidate, as the platform knows it.

use super::secret::Secret;

/// A base model. Version 1 knows it by its name alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BaseModel {
    /// The name in the configuration, such as `meta/llama-3.2-1b-instruct`.
    pub name: String,
    /// The model entity, `workspace/name` or a bare name. `None`: the one that is named after the model.
    pub entity: Option<String>,
    /// The Hugging Face repository that the entity is made from if it does not exist.
    pub repository: Option<String>,
    /// The Hugging Face Hub that has the repository. `None`: the platform's default, huggingface.co.
    pub hub: Option<String>,
    /// The token of that repository.
    pub token: Option<Secret>,
}
