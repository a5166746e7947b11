//! Datasets: filesets, to which files are uploaded one by one (docs/helix-api.md, Filesets).

use serde_json::json;

use super::eval_rows::{self, ROWS_FILE};
use super::{Helix, PLATFORM, delete_named, get_named, path};
use crate::nemo::datasets::{NewDataset, StoredDataset, StoredFile, UploadFile};
use crate::nemo::removal::Removal;
use crate::nemo::transport::{ApiError, ApiRequest, BodyPiece, ErrorKind, RequestBody, read_json};

const FILES: &str = "files";

impl Helix {
    /// Looks for a fileset and lists its files.
    pub(crate) async fn dataset(&self, wanted: &NewDataset) -> Result<StoredDataset, ApiError> {
        let fileset = path(FILES, &wanted.namespace, &["filesets", &wanted.name]);
        if self.transport.find(get_named(&fileset), |_| Some(())).await?.is_none() {
            return Ok(StoredDataset::Absent);
        }
        let files = ApiRequest::get(PLATFORM, &[&fileset[..], &["files"]].concat());
        let list = self.transport.send(files).await?.json()?;
        let read = |file| {
            Some(StoredFile { path: read_json::text(file, &["path"])?, size: read_json::integer(file, &["size"])? })
        };
        let files = read_json::list(&list, &["data"]).iter().filter_map(read);
        // The file for evaluations is derived from one that is compared itself.
        Ok(StoredDataset::Files(files.filter(|file| file.path != ROWS_FILE).collect()))
    }

    /// Uploads a fileset. The platform has no commit: each file replaces the one of its path.
    pub(crate) async fn create_dataset(&self, new: &NewDataset, files: &[UploadFile]) -> Result<(), ApiError> {
        let filesets = path(FILES, &new.namespace, &["filesets"]);
        let body = json!({ "name": new.name, "purpose": "dataset", "description": new.description });
        match self.transport.send(ApiRequest::create(PLATFORM, &filesets, body)).await {
            Ok(_) => {}
            Err(error) if error.already_exists() => {}
            Err(error) if error.may_have_been_accepted() => {
                let found = get_named(&[&filesets[..], &[new.name.as_str()]].concat());
                self.transport.find(found, |_| Some(())).await?.ok_or(error)?;
            }
            Err(error) => return Err(error),
        }
        for file in files {
            if file.path == eval_rows::LOGGED_FILE {
                let rows = eval_rows::encoded(&file.local).map_err(|error| unreadable(&file.local, &error))?;
                self.put(new, ROWS_FILE, BodyPiece::Text(rows)).await?;
            }
            let len = tokio::fs::metadata(&file.local).await.map_err(|error| unreadable(&file.local, &error))?.len();
            let whole = BodyPiece::File { path: file.local.clone(), from: 0, len };
            self.put(new, &file.path, whole).await?;
        }
        Ok(())
    }

    async fn put(&self, new: &NewDataset, file: &str, content: BodyPiece) -> Result<(), ApiError> {
        let place: Vec<&str> = ["filesets", &new.name, "-"].into_iter().chain(file.split('/')).collect();
        let body = RequestBody::Pieces("application/octet-stream", vec![content]);
        let request = ApiRequest::put(PLATFORM, &path(FILES, &new.namespace, &place), body).upload();
        self.transport.send(request).await.map(|_| ())
    }

    /// Reports whether a fileset is there.
    pub(crate) async fn dataset_remains(&self, workspace: &str, name: &str) -> Result<bool, ApiError> {
        let request = get_named(&path(FILES, workspace, &["filesets", name]));
        Ok(self.transport.find(request, |_| Some(())).await?.is_some())
    }

    /// Deletes a fileset with its files.
    pub(crate) async fn delete_dataset(&self, workspace: &str, name: &str) -> Result<Removal, ApiError> {
        self.transport.remove(delete_named(&path(FILES, workspace, &["filesets", name]))).await
    }
}

fn unreadable(path: &std::path::Path, error: &std::io::Error) -> ApiError {
    let shown = path.display().to_string();
    ApiError::new(format!("upload {shown}"), ErrorKind::File(format!("{shown}: {error}")), None)
}
