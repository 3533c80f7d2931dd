//! Write Matrix application services.

pub mod backoff;
pub mod bridge {
    //! What bridges need on top of a service.

    pub mod signed;
}
pub mod client {
    //! Calls from the service to the homeserver.

    pub mod gate;
    pub mod limiter;
    pub mod retry_after;
}
