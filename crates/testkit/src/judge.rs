//! Judges a server by what an application service received from it, and by nothing else.

use bytes::Bytes;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// The most events that one transaction may carry.
const MOST_EVENTS: usize = 100;

/// One transaction request that arrived whole.
#[derive(Clone, Debug)]
pub struct Record {
    /// The transaction id, from the path.
    pub txn_id: String,
    /// The body exactly as it arrived.
    pub body: Bytes,
    /// When it had arrived.
    pub received_at: Instant,
    /// The body as JSON; null if it is none.
    pub parsed: Value,
}

impl Record {
    /// The room events in it.
    pub fn events(&self) -> &[Value] {
        self.parsed["events"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The typing, receipts and presence in it, under this key.
    pub fn ephemeral(&self, key: &str) -> &[Value] {
        self.parsed[key].as_array().map_or(&[], Vec::as_slice)
    }
}

/// A promise that was broken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A body that is no JSON object with a list of events.
    #[error("transaction {txn_id} has no list of events")]
    Malformed {
        /// The transaction's id.
        txn_id: String,
    },
    /// More events than one transaction may carry.
    #[error("transaction {txn_id} carries {events} events")]
    TooLarge {
        /// The transaction's id.
        txn_id: String,
        /// How many events it has.
        events: usize,
    },
    /// Ids count transactions, so they are decimal numbers.
    #[error("transaction id {txn_id:?} is not a decimal number")]
    NotDecimal {
        /// The transaction's id.
        txn_id: String,
    },
    /// A retry must bring what the first try brought.
    #[error("transaction {txn_id} was repeated with other bytes")]
    ChangedOnRepeat {
        /// The transaction's id.
        txn_id: String,
    },
    /// A transaction came after a later one, so two were under way at once, or the order was lost.
    #[error("transaction {txn_id} came after transaction {after}")]
    NotIncreasing {
        /// The transaction's id.
        txn_id: String,
        /// The greatest id before it.
        after: String,
    },
    /// One event in two transactions.
    #[error("event {event_id} is in transaction {first} and in transaction {second}")]
    EventTwice {
        /// The event's id.
        event_id: String,
        /// The transaction it came in.
        first: String,
        /// The transaction it came in again.
        second: String,
    },
    /// An expected event never came.
    #[error("event {event_id} was never received")]
    Missing {
        /// The event's id.
        event_id: String,
    },
    /// The expected events came in another order.
    #[error("event {found} was received where event {expected} was expected")]
    OutOfOrder {
        /// The event that was due.
        expected: String,
        /// The event that came.
        found: String,
    },
}

/// What a service received from a server that kept its promises.
#[derive(Debug)]
pub struct Verdict {
    /// Transactions with different ids.
    pub transactions: usize,
    /// Requests that repeated an earlier one.
    pub repeats: usize,
    /// All events, each once, in the order received.
    pub events: Vec<Value>,
}

/// Checks the transactions by themselves, and that the events with the expected ids came all, once, in that order.
///
/// Other events may lie between them.
///
/// # Errors
///
/// The first promise found broken.
pub fn judge(records: &[Record], expected: &[String]) -> Result<Verdict, Fault> {
    let firsts = distinct_transactions(records)?;
    let mut events = Vec::new();
    let mut came_in = BTreeMap::new();
    for record in &firsts {
        for event in record.events() {
            let event_id = event["event_id"].as_str().unwrap_or_default();
            if let Some(first) = came_in.insert(event_id, &record.txn_id) {
                return Err(Fault::EventTwice {
                    event_id: event_id.to_owned(),
                    first: first.clone(),
                    second: record.txn_id.clone(),
                });
            }
            events.push(event.clone());
        }
    }
    check_order(&events, expected)?;
    let (transactions, repeats) = (firsts.len(), records.len() - firsts.len());
    Ok(Verdict {
        transactions,
        repeats,
        events,
    })
}

/// The first request of each transaction, after checking that repeats are true repeats and that ids only grow.
fn distinct_transactions(records: &[Record]) -> Result<Vec<&Record>, Fault> {
    let mut firsts: Vec<&Record> = Vec::new();
    let mut greatest = None;
    for record in records {
        let txn_id = record.txn_id.clone();
        let is_decimal = txn_id.bytes().all(|byte| byte.is_ascii_digit());
        let Some(number) = txn_id.parse::<u64>().ok().filter(|_| is_decimal) else {
            return Err(Fault::NotDecimal { txn_id });
        };
        let last = firsts.last().copied();
        if let Some(last) = last.filter(|_| greatest == Some(number)) {
            if last.body != record.body {
                return Err(Fault::ChangedOnRepeat { txn_id });
            }
            continue;
        }
        if let Some(last) = last.filter(|_| greatest > Some(number)) {
            return Err(Fault::NotIncreasing {
                txn_id,
                after: last.txn_id.clone(),
            });
        }
        check_shape(record)?;
        greatest = Some(number);
        firsts.push(record);
    }
    Ok(firsts)
}

fn check_shape(record: &Record) -> Result<(), Fault> {
    let txn_id = record.txn_id.clone();
    if !record.parsed["events"].is_array() {
        return Err(Fault::Malformed { txn_id });
    }
    let events = record.events().len();
    if events > MOST_EVENTS {
        return Err(Fault::TooLarge { txn_id, events });
    }
    Ok(())
}

fn check_order(events: &[Value], expected: &[String]) -> Result<(), Fault> {
    let received_ids = || events.iter().filter_map(|event| event["event_id"].as_str());
    let received = received_ids().collect::<BTreeSet<_>>();
    if let Some(event_id) = expected
        .iter()
        .find(|event_id| !received.contains(event_id.as_str()))
    {
        return Err(Fault::Missing {
            event_id: event_id.clone(),
        });
    }
    let wanted = expected.iter().map(String::as_str).collect::<BTreeSet<_>>();
    let in_order = received_ids().filter(|event_id| wanted.contains(event_id));
    match expected
        .iter()
        .zip(in_order)
        .find(|(expected, found)| expected != found)
    {
        Some((expected, found)) => Err(Fault::OutOfOrder {
            expected: expected.clone(),
            found: found.to_owned(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(txn_id: &str, event_ids: &[&str]) -> Record {
        let events = event_ids
            .iter()
            .map(|id| json!({ "event_id": id }))
            .collect::<Vec<_>>();
        let parsed = json!({ "events": events });
        let body = Bytes::from(parsed.to_string());
        Record {
            txn_id: txn_id.to_owned(),
            body,
            received_at: Instant::now(),
            parsed,
        }
    }

    #[track_caller]
    fn check(records: &[Record], expected: &[&str], fault: Option<Fault>) {
        let expected = expected.iter().map(|&id| id.to_owned()).collect::<Vec<_>>();
        assert_eq!(judge(records, &expected).err(), fault);
    }

    #[test]
    fn a_faultless_record_is_counted() {
        let records = [
            record("1", &["a"]),
            record("1", &["a"]),
            record("9", &["b", "x"]),
            record("10", &["c"]),
        ];
        let verdict = judge(&records, &["a".into(), "b".into(), "c".into()]).unwrap();
        assert_eq!(
            (verdict.transactions, verdict.repeats, verdict.events.len()),
            (3, 1, 4)
        );
    }

    #[test]
    fn a_repeat_with_other_bytes_is_a_fault() {
        let mut spaced = record("1", &["a"]);
        spaced.body = Bytes::from(format!("{} ", spaced.parsed));
        let fault = Fault::ChangedOnRepeat { txn_id: "1".into() };
        check(&[record("1", &["a"]), spaced], &[], Some(fault));
    }

    #[test]
    fn ids_grow_as_numbers() {
        let fault = Fault::NotIncreasing {
            txn_id: "9".into(),
            after: "10".into(),
        };
        check(
            &[record("9", &[]), record("10", &[]), record("9", &[])],
            &[],
            Some(fault),
        );
        for odd in ["", "+1", "1a", "x"] {
            check(
                &[record(odd, &[])],
                &[],
                Some(Fault::NotDecimal { txn_id: odd.into() }),
            );
        }
    }

    #[test]
    fn an_event_comes_in_one_transaction_only() {
        let fault = Fault::EventTwice {
            event_id: "a".into(),
            first: "1".into(),
            second: "2".into(),
        };
        check(
            &[record("1", &["a"]), record("2", &["a"])],
            &[],
            Some(fault),
        );
    }

    #[test]
    fn loss_and_disorder_are_told_apart() {
        let records = [record("1", &["a", "c"]), record("2", &["b"])];
        check(
            &records,
            &["a", "b", "d"],
            Some(Fault::Missing {
                event_id: "d".into(),
            }),
        );
        let fault = Fault::OutOfOrder {
            expected: "b".into(),
            found: "c".into(),
        };
        check(&records, &["a", "b", "c"], Some(fault));
        check(&records, &["a", "c", "b"], None);
    }

    #[test]
    fn bodies_have_a_list_of_at_most_a_hundred_events() {
        let mut no_list = record("1", &[]);
        no_list.parsed = Value::Null;
        check(
            &[no_list],
            &[],
            Some(Fault::Malformed { txn_id: "1".into() }),
        );
        let ids = (0..101).map(|n| n.to_string()).collect::<Vec<_>>();
        let ids = ids.iter().map(String::as_str).collect::<Vec<_>>();
        check(&[record("1", &ids[..100])], &[], None);
        check(
            &[record("1", &ids)],
            &[],
            Some(Fault::TooLarge {
                txn_id: "1".into(),
                events: 101,
            }),
        );
    }
}
