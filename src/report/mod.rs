//! A recorded run as table and JSON: values in, text out.
