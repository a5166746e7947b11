//! The services of version 1: where each one is, and how it deviates.

use crate::nemo::transport::{Base, Endpoint, Quirks};

/// A service of the platform.
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

impl Service {
    /// All services, in the order in which a run needs them.
    pub const ALL: [Service; 6] = [
        Service::EntityStore,
        Service::DataStore,
        Service::Deployments,
        Service::Customizer,
        Service::Evaluator,
        Service::Nim,
    ];
}

impl From<Service> for Endpoint {
    fn from(service: Service) -> Endpoint {
        let base = match service {
            Service::EntityStore | Service::Deployments | Service::Customizer | Service::Evaluator => Base::Nemo,
            Service::DataStore => Base::DataStore,
            Service::Nim => Base::Nim,
        };
        let quirks =
            Quirks { exists_in_text: service == Service::Deployments, starts_with_errors: service == Service::Nim };
        Endpoint { base, quirks }
    }
}
