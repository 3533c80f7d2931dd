//! The homeserver is away, or answers everybody but this event.

use super::*;

/// Fails with these errors, one after another, and then succeeds; notes when.
fn failing_with(
    log: &Log,
    errors: impl Fn(u32) -> Option<Error> + Clone + Send + Sync + 'static,
) -> Service {
    let begun = tokio::time::Instant::now();
    Service::new("test")
        .state(log.clone())
        .limits(|limits| limits.attempts = 3)
        .on(
            move |text: Text, State(log): State<Log>, delivery: Delivery| {
                let failure = errors(delivery.attempt);
                async move {
                    if let Some(error) = failure {
                        return Err(error);
                    }
                    let seconds = begun.elapsed().as_secs();
                    log.lock().push(format!("{} {seconds}", text.body));
                    Ok(())
                }
            },
        )
}

fn refused(status: u16) -> Error {
    Error::Refused {
        what: "GET /x".to_owned(),
        status,
        errcode: String::new(),
        message: String::new(),
        retry_after: None,
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_homeserver_parks_nothing() {
    for status in [502, 401] {
        let log = Log::default();
        let away = move |attempt| (attempt <= 60).then(|| refused(status));
        let stage = Stage::start(failing_with(&log, away)).await;
        assert!(stage.take_texts("1", &[("$a", "!r:x", "a")]).await);
        stage.settle().await;
        assert_eq!(stage.running.parked(0, 10).await.expect("parked").len(), 0);
        assert_eq!(log.lock().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_homeserver_that_never_comes_back_is_waited_for_no_longer_than_declared() {
    let log = Log::default();
    let service = failing_with(&log, |_| Some(refused(502)))
        .limits(|limits| limits.give_up_after = Duration::from_secs(3600));
    let begun = tokio::time::Instant::now();
    let stage = Stage::start(service).await;
    assert!(stage.take_texts("1", &[("$a", "!r:x", "a")]).await);
    stage.settle().await;
    let parked = stage.running.parked(0, 10).await.expect("parked");
    assert_eq!((parked.len(), parked[0].attempts), (1, 3));
    assert!((3600..3700).contains(&begun.elapsed().as_secs()));
}

#[tokio::test(start_paused = true)]
async fn what_fails_while_all_else_is_answered_does_not_wait_for_long() {
    let service = Service::new("test").on(|_: Text, context: Context| async move {
        let call = Call::get("/fine");
        context.core.client.call::<Value>(&call).await?;
        Err::<(), _>(refused(500))
    });
    let begun = tokio::time::Instant::now();
    let stage = Stage::start(service).await;
    assert!(stage.take_texts("1", &[("$a", "!r:x", "a")]).await);
    stage.settle().await;
    assert_eq!(stage.running.parked(0, 10).await.expect("parked").len(), 1);
    assert!(begun.elapsed() < Duration::from_secs(3600));
}

#[tokio::test(start_paused = true)]
async fn a_homeserver_that_comes_back_is_not_kept_waiting() {
    let log = Log::default();
    let is_back = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let back = is_back.clone();
    let away = move |_| (!back.load(Ordering::SeqCst)).then(|| refused(502));
    let stage = Stage::start(failing_with(&log, away)).await;
    assert!(stage.take_texts("1", &[("$a", "!r:x", "a")]).await);
    // By now it is asked twice a minute.
    tokio::time::sleep(Duration::from_secs(600)).await;
    let client = &stage.running.core().client;
    is_back.store(true, Ordering::SeqCst);
    stage.host.say([Said::Broken]);
    let asked = tokio::time::Instant::now();
    assert!(client.call::<Value>(&Call::get("/x")).await.is_err());
    assert!(client.call::<Value>(&Call::get("/x")).await.is_ok());
    while log.lock().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(
        asked.elapsed() < Duration::from_millis(100),
        "{:?}",
        asked.elapsed()
    );
}
