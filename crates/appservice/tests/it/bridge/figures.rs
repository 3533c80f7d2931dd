//! A bridge's figures move with what it does.

use std::time::Duration;

use bridgehead_testkit::lab::Lab;

use super::Stage;

/// The value of a sample, zero when there is none.
fn sample(page: &str, name: &str, label: &str) -> f64 {
    let line = page
        .lines()
        .find(|line| line.starts_with(name) && line.contains(label));
    let value = line.and_then(|line| line.rsplit(' ').next());
    value.and_then(|value| value.parse().ok()).unwrap_or(0.0)
}

#[test]
fn messages_count_by_their_fate() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        stage.village.forbid("dragon");
        stage.alice.say(&room, "a dragon!").await.expect("said");
        stage.alice.say(&room, "good day").await.expect("said");
        stage.settle().await;
        stage.village.shut(true);
        stage.alice.say(&room, "knock").await.expect("said");
        stage.lab.pass(Duration::from_secs(5)).await;
        stage.village.shut(false);
        stage.settle().await;
        let page = stage.service.running().figures().await.expect("read");
        for fate in ["delivered", "retried", "rejected"] {
            let moved = sample(&page, "appservice_bridge_events_total", fate);
            assert!(moved > 0.0, "{fate}: {page}");
        }
        let done = sample(&page, "appservice_bridge_tasks_total", "done");
        assert!(done > 0.0, "{page}");
    });
}
