//! Station 8: from the log to the service.
//!
//! - `task`: one task a service, the loop;
//! - `state`: where it stands, and the only legal moves;
//! - `batch`: what of the log goes into the next transaction; `limit`: how much;
//! - `device_news`: what it says of devices and their keys;
//! - `transport`: how it gets there, over `http` for one; `backoff`: when it is tried again;
//! - `handle`: what others may say to a task; `status`: what they see of it; `history`: how it
//!   went in the last hour and day;
//! - `lane`: typing and presence, which ride along.

mod backoff;
mod batch;
mod device_news;
mod handle;
mod history;
mod http;
mod lane;
mod limit;
#[cfg(test)]
mod simulation;
mod state;
pub(crate) mod status;
mod task;
pub(crate) mod transport;

pub(crate) use handle::{DeliveryHandle, Engine, Links, wake_interested};
pub(crate) use history::{Histories, run as run_history};
pub(crate) use http::HttpPush;
pub(crate) use lane::EphemeralLane;
pub(crate) use status::{describe, describe_ordered};
pub(crate) use task::run;
