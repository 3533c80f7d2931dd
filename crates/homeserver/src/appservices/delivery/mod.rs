//! Station 8: from the log to the service.
//!
//! - `task`: one task a service, the loop;
//! - `state`: where it stands, and the only legal moves;
//! - `batch`: what of the log goes into the next transaction;
//! - `device_news`: what it says of devices and their keys;
//! - `transport`: how it gets there;
//! - `lane`: typing and presence, which ride along.

mod batch;
mod device_news;
mod lane;
mod state;
mod task;
pub(crate) mod transport;

pub(crate) use lane::EphemeralLane;
pub(crate) use task::{DeliveryHandle, run, wake_interested};
