//! The subcommands: open things, call one domain function, hand the result to ui or report.
