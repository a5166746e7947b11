//! Base models that are made from a Hugging Face repository: an entity, a fileset of the same name that points to the
//! repository, and a secret with its token (docs/helix-api.md, Base models). Runs share them.

use std::time::Duration;

use serde_json::{Value, json};

use super::jobs::JobService;
use super::models::MODELS;
use super::{Helix, OURS, PLATFORM, delete_named, get_named, is_ours, names, path};
use crate::nemo::removal::Removal;
use crate::nemo::secret::Secret;
use crate::nemo::transport::{ApiError, ApiRequest, ErrorKind, read_json};

/// The jobs of all services, in which the platform analyses new models.
const ALL_JOBS: JobService<'static> = JobService { service: "jobs", jobs: &["jobs"] };

/// The origin of the jobs that analyse models.
const ANALYSIS: &str = "models-system";

/// The pause between two tries to delete a job that still ends.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// Returns the name of the secret with the token of a base model's repository.
fn token_secret(model: &str) -> String {
    format!("{}-token", model.replace(['.', '@', '+', '_'], "-"))
}

/// The fileset of a base model.
struct Files {
    is_ours: bool,
    /// The Hugging Face repository that it points to.
    repository: Option<String>,
}

impl Files {
    /// Returns the repository, if it is another one. The hub does not tell upper from lower case.
    fn other_than(&self, wanted: &str) -> Option<&str> {
        self.repository.as_deref().filter(|there| !there.eq_ignore_ascii_case(wanted))
    }
}

impl Helix {
    /// Stores the token of a repository, and returns the name of its secret.
    pub(super) async fn keep_token(&self, reference: &str, token: Option<&Secret>) -> Result<Option<String>, ApiError> {
        let Some(token) = token else { return Ok(None) };
        let (workspace, name) = names::split(reference, &self.workspace);
        let secret = token_secret(name);
        self.store_secret(workspace, &secret, token).await?;
        Ok(Some(secret))
    }

    /// Returns the fileset of a base model, `workspace/name`, if it has one. `None` if the entity does not exist.
    pub(super) async fn base_model_files(&self, reference: &str) -> Result<Option<Option<String>>, ApiError> {
        let (workspace, name) = names::split(reference, &self.workspace);
        let request = get_named(&path(MODELS, workspace, &["models", name]));
        let found = self.transport.find(request, |model| Some(read_json::text(model, &["fileset"]))).await?;
        let whole = |fileset: String| match fileset.contains('/') {
            true => fileset,
            false => format!("{workspace}/{fileset}"),
        };
        Ok(found.map(|fileset| fileset.map(whole)))
    }

    /// Tells in which way the fileset of a base model is of another repository than the configured one. Files that the
    /// operator has put there are of no repository.
    pub(super) async fn repository_difference(&self, fileset: &str, wanted: &str) -> Result<Option<String>, ApiError> {
        Ok(match self.files(fileset).await? {
            None => Some(format!("names the fileset {fileset}, which does not exist")),
            Some(files) => {
                files.other_than(wanted).map(|there| format!("is of the repository {there}, not of {wanted}"))
            }
        })
    }

    /// Tells why the files of a base model cannot be made under its name: a fileset of that name is not ours, or is of
    /// another repository.
    pub(super) async fn foreign_files(&self, reference: &str, wanted: &str) -> Result<Option<String>, ApiError> {
        let Some(files) = self.files(reference).await? else { return Ok(None) };
        if !files.is_ours || files.repository.is_none() {
            return Ok(Some(format!("cannot be made: a fileset of that name exists, and is not the one of {wanted}")));
        }
        let other = files.other_than(wanted);
        Ok(other.map(|there| format!("cannot be made: its fileset is of the repository {there}, not of {wanted}")))
    }

    async fn files(&self, fileset: &str) -> Result<Option<Files>, ApiError> {
        let (workspace, name) = names::split(fileset, &self.workspace);
        let read = |fileset: &Value| {
            let repository = read_json::text(fileset, &["storage", "repo_id"]);
            Some(Files { is_ours: is_ours(fileset), repository })
        };
        self.transport.find(get_named(&path("files", workspace, &["filesets", name])), read).await
    }

    /// Makes the entity of a base model out of a Hugging Face repository, under a name that is free.
    pub(super) async fn create_base_model(
        &self,
        reference: &str,
        repository: &str,
        hub: Option<&str>,
        token_secret: Option<&str>,
    ) -> Result<(), ApiError> {
        let (workspace, name) = names::split(reference, &self.workspace);
        let mut storage = json!({ "type": "huggingface", "repo_id": repository, "repo_type": "model" });
        if let Some(hub) = hub {
            storage["endpoint"] = json!(hub);
        }
        if let Some(secret) = token_secret {
            storage["token_secret"] = json!(secret);
        }
        let fileset = json!({ "name": name, "purpose": "model", "description": OURS, "storage": storage });
        match self.transport.send(ApiRequest::create(PLATFORM, &path("files", workspace, &["filesets"]), fileset)).await
        {
            Ok(_) => {}
            // Of a try that did not get further.
            Err(error) if error.already_exists() && self.foreign_files(reference, repository).await?.is_none() => {}
            Err(error) => return Err(error),
        }
        let model = json!({ "name": name, "description": OURS, "fileset": format!("{workspace}/{name}") });
        let request = ApiRequest::create(PLATFORM, &path(MODELS, workspace, &["models"]), model);
        self.transport.send(request).await.map(drop)
    }

    /// Deletes a base model that was made from a repository: entity, fileset, token, and the platform's own jobs for it.
    pub(crate) async fn delete_base_model(&self, reference: &str) -> Result<Removal, ApiError> {
        let (workspace, name) = names::split(reference, &self.workspace);
        let entity = path(MODELS, workspace, &["models", name]);
        match self.is_made(&entity).await? {
            Some(true) => {
                let stays = match self.user_of(reference).await {
                    Ok(user) => user.map(|user| format!("{user} uses it, so it stays")),
                    Err(error) if error.is_refused() => {
                        Some(format!("it stays, because nobody can tell whether another workspace uses it: {error}"))
                    }
                    Err(error) => return Err(error),
                };
                if let Some(why) = stays {
                    return Err(ApiError::new(
                        format!("delete the base model {reference}"),
                        ErrorKind::Options(why),
                        None,
                    ));
                }
                self.transport.remove(delete_named(&entity)).await?
            }
            // The operator made it, and everything of its name.
            Some(false) => return Ok(Removal::Absent),
            // A process that was killed may have got as far as the token or the fileset.
            None => Removal::Absent,
        };
        let files = path("files", workspace, &["filesets", name]);
        if self.is_made(&files).await? == Some(true) {
            self.transport.remove(delete_named(&files)).await?;
        }
        self.delete_our_secret(workspace, &token_secret(name)).await?;
        let end = format!(" {workspace}/{name}");
        for job in self.transport.all(PLATFORM, &path("jobs", workspace, &["jobs"])).await? {
            let is_of_model = read_json::text(&job, &["description"]).is_some_and(|text| text.ends_with(&end));
            let is_analysis = read_json::text(&job, &["source"]).as_deref() == Some(ANALYSIS);
            if let Some(job) = read_json::text(&job, &["name"]).filter(|_| is_of_model && is_analysis) {
                self.end_and_delete(&format!("{workspace}/{job}")).await?;
            }
        }
        Ok(Removal::Removed)
    }

    /// Reports whether dfwfd has made an object, or `None` if it does not exist.
    async fn is_made(&self, place: &[&str]) -> Result<Option<bool>, ApiError> {
        self.transport.find(get_named(place), |object| Some(is_ours(object))).await
    }

    async fn end_and_delete(&self, id: &str) -> Result<(), ApiError> {
        self.cancel_job(ALL_JOBS, id).await?;
        loop {
            match self.delete_job(ALL_JOBS, id).await {
                // It still ends. The time of the release bounds this.
                Err(error) if error.status() == Some(409) => tokio::time::sleep(BETWEEN_TRIES).await,
                other => return other.map(|_| ()),
            }
        }
    }
}
