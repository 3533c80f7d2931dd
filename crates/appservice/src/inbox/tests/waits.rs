//! How long it is waited between attempts.

use super::*;

#[tokio::test(start_paused = true)]
async fn waits_between_attempts_grow_to_the_longest_and_a_little_apart() {
    let begun: Arc<Mutex<Vec<tokio::time::Instant>>> = Arc::default();
    let service = Service::new("test")
        .state(begun.clone())
        .limits(|limits| {
            limits.first_retry = Duration::from_secs(2);
            limits.max_retry = Duration::from_secs(30);
            limits.attempts = 9;
        })
        .on(
            |_: Text, State(begun): State<Arc<Mutex<Vec<tokio::time::Instant>>>>| async move {
                begun.lock().push(tokio::time::Instant::now());
                Err::<(), _>(HandlerError::new("no"))
            },
        );
    let stage = Stage::start(service).await;
    assert!(stage.take_texts("1", &[("$a", "!r:x", "a")]).await);
    stage.settle().await;
    let begun = begun.lock().clone();
    let waits = begun.windows(2).map(|pair| (pair[1] - pair[0]).as_millis());
    let waits: Vec<u128> = waits.collect();
    let full = [2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000, 30_000];
    assert_eq!(waits.len(), full.len());
    for (wait, full) in waits.iter().zip(full) {
        // Up to a quarter less, so that what failed together does not come back together.
        let range = full * 3 / 4..=full + 10;
        assert!(range.contains(wait), "{waits:?}");
    }
    let distinct: std::collections::BTreeSet<&u128> = waits[4..].iter().collect();
    assert!(distinct.len() > 1, "{waits:?}");
    assert_eq!(stage.running.parked(0, 10).await.expect("read").len(), 1);
}
