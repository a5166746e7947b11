//! The services of version 1: where each one is, and how it deviates.

use std::fmt;

use crate::nemo::transport::{Base, Endpoint, Quirks};

/// A service of the platform. It displays as its name with the key of its base URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Namespaces, dataset entities and model entities.
    EntityStore,
    /// Files.
    DataStore,
    /// Deployment Management.
    Deployments,
    /// Training.
    Customizer,
    /// Evaluation.
    Evaluator,
    /// The NIM proxy.
    Nim,
}

/// The services that no other call of a plan's check reaches.
pub(crate) const PROBED: [Service; 3] = [Service::DataStore, Service::Customizer, Service::Evaluator];

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Service::EntityStore => "the Entity Store (nmp_config.nemo_base_url)",
            Service::DataStore => "the Data Store (nmp_config.datastore_base_url)",
            Service::Deployments => "Deployment Management (nmp_config.nemo_base_url)",
            Service::Customizer => "the Customizer (nmp_config.nemo_base_url)",
            Service::Evaluator => "the Evaluator (nmp_config.nemo_base_url)",
            Service::Nim => "the NIM proxy (nmp_config.nim_base_url)",
        })
    }
}

impl From<Service> for Endpoint {
    fn from(service: Service) -> Endpoint {
        let base = match service {
            Service::EntityStore | Service::Deployments | Service::Customizer | Service::Evaluator => Base::Nemo,
            Service::DataStore => Base::DataStore,
            Service::Nim => Base::Nim,
        };
        let quirks = Quirks {
            exists_in_text: service == Service::Deployments,
            starts_with_errors: service == Service::Nim,
            ..Quirks::default()
        };
        Endpoint { base, quirks }
    }
}
