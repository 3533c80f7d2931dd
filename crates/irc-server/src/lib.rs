//! A small IRC server in memory, for demonstrations and tests.
