//! The NeMo-compatible server inside this process.
