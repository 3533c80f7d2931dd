//! The outlet without a network: who takes what, and what the delivery task is told.

use std::{sync::Arc, time::Duration};

use bridgehead_admin_api::Transport as TransportKind;
use bridgehead_store::{FrozenTransaction, StreamPosition};
use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::{Ending, Outlet, SocketLink};
use crate::appservices::delivery::transport::{Failure, Transport as _};

const DEADLINE: Duration = Duration::from_secs(60);

fn outlet() -> Arc<Outlet> {
    Arc::new(Outlet::new())
}

fn transaction(txn_id: u64) -> FrozenTransaction {
    FrozenTransaction {
        txn_id,
        upto: StreamPosition(txn_id),
        body: format!(r#"{{"events":[],"number":{txn_id}}}"#).into_bytes(),
        ..FrozenTransaction::default()
    }
}

fn socket() -> Arc<SocketLink> {
    Arc::new(SocketLink::new().0)
}

type Push = tokio::task::JoinHandle<Result<(), Failure>>;

fn push(outlet: &Arc<Outlet>, txn_id: u64) -> Push {
    let outlet = outlet.clone();
    tokio::spawn(async move { outlet.push(&transaction(txn_id)).await })
}

#[tokio::test(start_paused = true)]
async fn a_transaction_counts_when_it_is_answered() {
    let outlet = outlet();
    let seat = outlet.sit_with_socket(socket()).unwrap();
    let pushed = push(&outlet, 7);
    let handed = seat.next().await;
    assert_eq!(
        (handed.txn_id, &handed.body[..]),
        (7, &transaction(7).body[..])
    );
    assert!(seat.next().now_or_never().is_none(), "handed out once");
    assert!(!pushed.is_finished(), "writing is not acknowledging");
    assert!(!outlet.answer(8, Ok(())), "another one's answer");
    assert!(outlet.answer(7, Ok(())));
    assert_eq!(pushed.await.unwrap(), Ok(()));
    assert!(outlet.has_acknowledged(7));
    assert_eq!(outlet.kind(), TransportKind::Websocket);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_and_the_same_seat_is_no_reason_to_try_again() {
    let outlet = outlet();
    let seat = outlet.sit_with_socket(socket()).unwrap();
    let pushed = push(&outlet, 1);
    seat.next().await;
    let refusal = Failure::Refused {
        status: 500,
        body: "no".to_owned(),
    };
    outlet.answer(1, Err(refusal.clone()));
    assert_eq!(pushed.await.unwrap(), Err(refusal));
    assert!(outlet.has_consumer());
    assert!(outlet.reachable_again(false).now_or_never().is_none());
    let again = outlet.sit_with_socket(socket()).unwrap();
    outlet.reachable_again(true).await;
    drop(again);
}

#[tokio::test(start_paused = true)]
async fn who_comes_later_replaces_the_earlier_one() {
    let outlet = outlet();
    let earlier = outlet.sit_with_socket(socket()).unwrap();
    let pushed = push(&outlet, 1);
    earlier.next().await;
    let later = outlet.sit_with_socket(socket()).unwrap();
    assert_eq!(earlier.ended().await, Ending::Replaced);
    let failure = pushed.await.unwrap().unwrap_err();
    assert!(matches!(failure, Failure::Broken(_)), "{failure}");
    outlet.reachable_again(false).await;
    // What the earlier one does now does not touch the later one.
    drop(earlier);
    assert!(outlet.has_consumer());
    let pushed = push(&outlet, 1);
    assert_eq!(later.next().await.txn_id, 1);
    outlet.answer(1, Ok(()));
    assert_eq!(pushed.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn one_who_goes_away_breaks_what_is_under_way() {
    let outlet = outlet();
    let seat = outlet.sit_with_socket(socket()).unwrap();
    let pushed = push(&outlet, 1);
    seat.next().await;
    drop(seat);
    let failure = pushed.await.unwrap().unwrap_err();
    assert!(matches!(failure, Failure::Broken(_)), "{failure}");
    assert!(!outlet.has_consumer());
    assert_eq!(outlet.kind(), TransportKind::None);
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_the_attempt_ends_and_the_socket_with_it() {
    let outlet = outlet();
    let seat = outlet.sit_with_socket(socket()).unwrap();
    let started = Instant::now();
    let pushed = push(&outlet, 1);
    seat.next().await;
    assert_eq!(seat.ended().await, Ending::NotAcknowledged);
    assert_eq!(pushed.await.unwrap(), Err(Failure::Timeout(60_000)));
    assert_eq!(started.elapsed(), DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn nobody_there_is_told_after_a_moment() {
    let outlet = outlet();
    let failure = push(&outlet, 1).await.unwrap().unwrap_err();
    assert!(matches!(failure, Failure::Unreachable(_)), "{failure}");
    // One who comes within that moment gets it.
    let pushed = push(&outlet, 1);
    tokio::task::yield_now().await;
    let seat = outlet.sit_to_fetch().unwrap();
    assert_eq!(seat.next().await.txn_id, 1);
    seat.leave_with_lease();
    outlet.answer(1, Ok(()));
    assert_eq!(pushed.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_lease_lasts_until_the_answer() {
    let outlet = outlet();
    let seat = outlet.sit_to_fetch().unwrap();
    assert_eq!(outlet.kind(), TransportKind::Pull);
    let pushed = push(&outlet, 1);
    seat.next().await;
    seat.leave_with_lease();
    assert!(outlet.has_consumer(), "the lease holds the seat");
    outlet.answer(1, Ok(()));
    assert_eq!(pushed.await.unwrap(), Ok(()));
    assert!(!outlet.has_consumer(), "until it is answered");
}

#[tokio::test(start_paused = true)]
async fn an_answer_after_the_lease_counts_all_the_same() {
    let outlet = outlet();
    let seat = outlet.sit_to_fetch().unwrap();
    let pushed = push(&outlet, 1);
    seat.next().await;
    seat.leave_with_lease();
    assert_eq!(pushed.await.unwrap(), Err(Failure::Timeout(60_000)));
    assert!(!outlet.has_consumer());
    let again = outlet.reachable_again(false);
    assert!(outlet.answer(1, Ok(())));
    again.await;
    assert!(outlet.has_consumer());
    assert_eq!(push(&outlet, 1).await.unwrap(), Ok(()));
    // It is good for that one only.
    assert!(!outlet.has_consumer());
    assert!(push(&outlet, 2).await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn coming_again_without_an_answer_gets_the_same_one() {
    let outlet = outlet();
    let first = outlet.sit_to_fetch().unwrap();
    let pushed = push(&outlet, 1);
    first.next().await;
    first.leave_with_lease();
    let second = outlet.sit_to_fetch().unwrap();
    assert!(pushed.await.unwrap().is_err());
    outlet.reachable_again(false).await;
    let pushed = push(&outlet, 1);
    assert_eq!(second.next().await.txn_id, 1);
    second.leave_with_lease();
    outlet.answer(1, Ok(()));
    assert_eq!(pushed.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_push_given_up_leaves_nothing_behind() {
    let outlet = outlet();
    let seat = outlet.sit_with_socket(socket()).unwrap();
    let pushed = push(&outlet, 1);
    seat.next().await;
    pushed.abort();
    pushed.await.unwrap_err();
    assert!(seat.next_now().is_none());
    // The service's answer comes nevertheless, and counts when the same one is pushed again.
    assert!(outlet.answer(1, Ok(())));
    assert_eq!(push(&outlet, 1).await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_websocket_needs_no_fetching() {
    let outlet = outlet();
    let seat = outlet.sit_with_socket(socket()).unwrap();
    assert!(outlet.sit_to_fetch().is_none());
    drop(seat);
    assert!(outlet.sit_to_fetch().is_some());
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_the_answer_and_sends_everybody_away() {
    let outlet = outlet();
    let seat = outlet.sit_with_socket(socket()).unwrap();
    let pushed = push(&outlet, 1);
    seat.next().await;
    let closing = {
        let outlet = outlet.clone();
        tokio::spawn(async move { outlet.close(Duration::from_secs(5)).await })
    };
    tokio::task::yield_now().await;
    outlet.answer(1, Ok(()));
    assert_eq!(pushed.await.unwrap(), Ok(()));
    assert_eq!(seat.ended().await, Ending::ServerStops);
    drop(seat);
    closing.await.unwrap();
    assert!(outlet.sit_with_socket(socket()).is_none());
}
