//! Read connections: clients and deliveries do not wait for each other.

use std::{sync::mpsc, time::Duration};

use bridgehead_store::{Error, StreamPosition};
use tokio::time::timeout;

use crate::Fixture;

#[tokio::test]
async fn a_delivery_reads_while_clients_keep_every_connection_of_theirs() {
    let fixture = Fixture::new();
    // More slow readers than there are connections.
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let store = fixture.store.clone();
            let (release, released) = mpsc::channel::<()>();
            let reading = tokio::spawn(async move {
                store
                    .read(move |_| {
                        released.recv_timeout(Duration::from_secs(60)).ok();
                        Ok::<_, Error>(())
                    })
                    .await
            });
            (release, reading)
        })
        .collect();
    tokio::task::yield_now().await;

    let delivery = fixture
        .store
        .read_for_delivery(|snapshot| snapshot.log_after(StreamPosition::ZERO, 1));
    let log = timeout(Duration::from_secs(30), delivery).await.unwrap();
    assert_eq!(log.unwrap(), []);

    for (release, reading) in readers {
        drop(release);
        reading.await.unwrap().unwrap();
    }
}
