//! Where records come from and where datasets go.
