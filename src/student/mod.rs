//! The small text models that the embedded platform serves and trains.
