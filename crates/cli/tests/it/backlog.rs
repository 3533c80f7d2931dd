//! What waits for a dead service costs disk, not memory.

use crate::BRIDGEHEAD;
use crate::lane::{self, Lane, Sending, wait_for_more};
use bridgehead_testkit::{AppserviceOptions, RecordingAppservice, ServerProcess, free_port};
use serde_json::json;
use tempfile::TempDir;

/// Each message's text: large, so that the backlog is much larger than anything that is cached.
const MESSAGE_BYTES: usize = 55_000;
/// Messages before the server's memory is looked at the first time.
const WARM_UP: usize = 200;
const QUEUED: usize = 4_000;
/// How much more memory the server may have at most while they are queued: a page cache of 32 MB for each of the
/// connections that read and write then, and what the allocator keeps. The backlog is 220 MB.
const MORE_AT_MOST: u64 = 110 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_not_kept_in_memory() {
    let folder = TempDir::with_prefix("bridgehead-backlog-").unwrap();
    // Its address is where nobody listens.
    let options = AppserviceOptions::with_users("dead", "dead_");
    let dead = RecordingAppservice::start(options).await.unwrap();
    let nowhere = format!("http://127.0.0.1:{}", free_port().unwrap());
    let file = folder.path().join("dead.yaml");
    let registration = dead.registration().replace(&dead.url(), &nowhere);
    std::fs::write(&file, registration).unwrap();
    let mut server = ServerProcess::start(BRIDGEHEAD, &[file]).await.unwrap();
    let bot = server.client().with_token(&dead.as_token());
    let mut lanes = Vec::new();
    for number in 0..4 {
        let ghost = bot
            .register_ghost(&format!("dead_ghost{number}"))
            .await
            .unwrap();
        let public = json!({ "preset": "public_chat" });
        let room_id = ghost.create_room(&public).await.unwrap();
        let sending = Sending {
            filler_bytes: MESSAGE_BYTES,
            ..Sending::default()
        };
        lanes.push(Lane::start(ghost, &room_id, sending));
    }
    wait_for_more(&lanes, WARM_UP).await.unwrap();
    let before = server.process().memory().unwrap();
    wait_for_more(&lanes, QUEUED).await.unwrap();
    let after = server.process().memory().unwrap();
    lane::finish(lanes).await.unwrap();

    let more = after.highest_bytes.saturating_sub(before.resident_bytes);
    eprintln!("{before:?} {after:?}");
    assert!(
        more < MORE_AT_MOST,
        "{QUEUED} queued messages cost {more} bytes of memory"
    );
}
