//! Statistics of an evaluation, pure.
