//! Work that takes its time (hashing, images, the disk): on threads of its own, or there and then.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Where long work is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Blocking {
    /// On the runtime's threads for it; what a server wants.
    #[default]
    Threads,
    /// By the calling task, which blocks its thread for as long as it takes: so that a runtime of
    /// one thread, whose time stands still, repeats a run exactly.
    Inline,
}

/// The work panicked, or the runtime is ending.
#[derive(Debug, thiserror::Error)]
#[error("work that was under way came to no end: {0}")]
pub(crate) struct Unfinished(String);

impl Blocking {
    /// Does `work`; a panic in it is an error here.
    pub(crate) async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unfinished> {
        match self {
            Self::Threads => tokio::task::spawn_blocking(work)
                .await
                .map_err(|error| Unfinished(error.to_string())),
            Self::Inline => catch_unwind(AssertUnwindSafe(work))
                .map_err(|_| Unfinished("it panicked".to_owned())),
        }
    }

    /// The same for work with files.
    pub(crate) async fn io<T: Send + 'static>(
        self,
        work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
    ) -> std::io::Result<T> {
        self.run(work).await.map_err(std::io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use super::Blocking;

    #[tokio::test]
    async fn both_places_give_the_answer_and_survive_a_panic() {
        for place in [Blocking::Threads, Blocking::Inline] {
            assert_eq!(place.run(|| 2 + 2).await.unwrap(), 4);
            let panicked = place.run(|| std::panic::resume_unwind(Box::new(()))).await;
            let _: super::Unfinished = Result::<(), _>::unwrap_err(panicked);
        }
    }
}
