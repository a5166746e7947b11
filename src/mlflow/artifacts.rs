//! The artefacts of a run, sent to the server, which stores them (MLflow, Tracking Server, Use proxied artifact access).

use super::client::{MlflowClient, MlflowError};
use super::tracked::Artifact;

/// The scheme of places that the server keeps itself.
const PROXIED: &str = "mlflow-artifacts:";

/// Sends the artefacts to the place of a run. Returns why they cannot be, if so.
pub(super) async fn upload(
    client: &MlflowClient,
    place: &str,
    artifacts: &[Artifact],
) -> Result<Option<String>, MlflowError> {
    let Some(folder) = folder(place) else {
        return Ok(Some(format!(
            "its artefacts belong to {place}, which only the server can write: start it with --artifacts-destination, and let it \
             choose the place of the experiment"
        )));
    };
    for Artifact { name, content_type, bytes } in artifacts {
        let path = format!("mlflow-artifacts/artifacts/{folder}/{name}");
        client.put(&path, content_type, bytes.clone()).await?;
    }
    Ok(None)
}

/// Returns the path of a place below the server's own, which has no host or an empty one.
fn folder(place: &str) -> Option<&str> {
    let path = place.strip_prefix(PROXIED)?;
    if path.starts_with("//") && !path.starts_with("///") { None } else { Some(path.trim_matches('/')) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_server_keeps_is_sent() {
        assert_eq!(folder("mlflow-artifacts:/1/ab/artifacts"), Some("1/ab/artifacts"));
        assert_eq!(folder("mlflow-artifacts:///1/ab/artifacts/"), Some("1/ab/artifacts"));
        for other in
            ["mlflow-artifacts://other.test/1", "s3://bucket/1", "file:///mlruns/1", "/mlruns/1", "./mlruns", ""]
        {
            assert_eq!(folder(other), None, "{other}");
        }
    }
}
