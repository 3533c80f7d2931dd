//! Graceful shutdown: asked for once, seen by every task.

use tokio::sync::watch;

/// A cheap handle that tells whether the server is to end.
#[derive(Clone)]
pub(crate) struct Shutdown {
    receiver: watch::Receiver<bool>,
}

/// Asks for the shutdown; dropping it asks too.
pub(crate) struct ShutdownTrigger {
    sender: watch::Sender<bool>,
}

/// A trigger and a handle on it.
pub(crate) fn shutdown() -> (ShutdownTrigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (ShutdownTrigger { sender }, Shutdown { receiver })
}

impl ShutdownTrigger {
    /// Asks every task to end.
    pub(crate) fn request(&self) {
        self.sender.send_replace(true);
    }
}

impl Shutdown {
    /// Whether the shutdown was asked for.
    pub(crate) fn is_requested(&self) -> bool {
        *self.receiver.borrow() || self.receiver.has_changed().is_err()
    }

    /// Returns once the shutdown was asked for.
    pub(crate) async fn requested(&self) {
        // An error means that the trigger is gone: the server is being dropped.
        self.receiver
            .clone()
            .wait_for(|requested| *requested)
            .await
            .ok();
    }
}
