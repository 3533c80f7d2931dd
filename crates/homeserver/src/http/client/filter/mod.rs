//! Filters.

pub(crate) mod create_filter;
pub(crate) mod get_filter;
