//! Which generation of the API a platform speaks, and how that is found out.

use super::helix::Helix;
use super::transport::{ApiError, Base, ErrorKind, Transport};
use super::v1::V1;
use crate::vocabulary::{Generation, PlatformVersion};

/// A platform of each generation, with its own paths and bodies.
#[derive(Clone, Debug)]
pub(super) enum Dialect {
    V1(V1),
    Helix(Helix),
}

impl Dialect {
    /// Finds out what the platform speaks (docs/helix-api.md, Finding out the generation).
    pub(super) async fn detect(
        transport: &Transport,
        pin: Option<Generation>,
        workspace: &str,
    ) -> Result<Dialect, ApiError> {
        let v1 = V1 { transport: transport.clone() };
        if pin == Some(Generation::V1) {
            return Ok(Dialect::V1(v1));
        }
        if let Some(helix) = Helix::detect(transport, workspace).await? {
            return Ok(Dialect::Helix(helix));
        }
        if pin == Some(Generation::Helix) {
            let what = match v1.check_api().await {
                Ok(()) => {
                    "this is version 1 of the API: set nim_base_url and datastore_base_url too, and leave out generation: helix"
                }
                Err(_) => "this is not NeMo Helix, which answers GET /cluster-info",
            };
            let what = ErrorKind::Unreadable(what.to_owned());
            return Err(ApiError::new(
                format!("GET {}/cluster-info", transport.base_url(Base::Nemo).trim_end_matches('/')),
                what,
                None,
            ));
        }
        match v1.check_api().await {
            Ok(()) => Ok(Dialect::V1(v1)),
            Err(mut error) => {
                // The 404 of a gateway may have hidden it from the first look.
                if let Some(helix) = Helix::detect(transport, workspace).await? {
                    return Ok(Dialect::Helix(helix));
                }
                if let ErrorKind::Unreadable(what) = &mut error.kind {
                    what.push_str(", nor NeMo Helix");
                }
                Err(error)
            }
        }
    }

    /// Returns the name of the generation and the version of the platform.
    pub(super) fn version(&self) -> PlatformVersion {
        match self {
            Dialect::V1(_) => PlatformVersion { generation: Generation::V1, version: None },
            Dialect::Helix(helix) => {
                PlatformVersion { generation: Generation::Helix, version: Some(helix.version.clone()) }
            }
        }
    }
}
