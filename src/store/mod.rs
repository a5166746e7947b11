//! The SQLite store: runs, facts and the ledger of remote resources. Knows rows, not meaning.
