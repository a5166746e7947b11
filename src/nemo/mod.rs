//! Typed client of the NeMo microservices: knows HTTP, nothing about runs.
