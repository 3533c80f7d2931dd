//! The server over real HTTP, in the test's process. Modules mirror the API's chapters.

mod account_data;
mod append;
mod ephemeral;
mod presence;
mod profile;
mod push_rules;
mod receipts;
mod typing;
