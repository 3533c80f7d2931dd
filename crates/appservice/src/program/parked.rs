//! `parked` and `replay`: what could not be handled, listed, given up, or handled again. A running service is asked to
//! do it; of one that does not run, the database is opened.

use std::path::Path;

use bridgehead_registration::Secret;
use http::Method;
use serde_json::Value;

use super::{
    Failure, Result,
    api::Api,
    cli,
    control::{self, Door, PAGE},
    site::Site,
    terminal::{ago, clean, say},
};
use crate::{
    Parked, Service,
    config::Config,
    store::{Location, Store, StoreError},
    surroundings::{Clock as _, SystemClock},
};

/// Characters of an error in a list.
const SHOWN_ERROR: usize = 120;

/// Whoever has the parked events.
enum Shelf {
    /// The running service.
    Live(Api),
    /// The database of one that does not run; nobody else can open it meanwhile.
    Still { store: Store },
}

/// `parked`, and `parked drop`.
pub(super) async fn parked<C: Config>(
    site: &Site<C>,
    service: &Service,
    asked: &cli::Parked,
) -> Result<()> {
    let shelf = Shelf::open(site.database_file(), service).await?;
    let done = match &asked.command {
        Some(cli::ParkedCommand::Drop { numbers }) => shelf.each(numbers, Order::Drop).await,
        None => shelf.list(asked.json).await,
    };
    shelf.close().await;
    done
}

/// `replay`.
pub(super) async fn replay<C: Config>(
    site: &Site<C>,
    service: &Service,
    asked: &cli::Replay,
) -> Result<()> {
    let shelf = Shelf::open(site.database_file(), service).await?;
    let done = if asked.all {
        shelf.replay_all().await
    } else {
        shelf.each(&asked.numbers, Order::Replay).await
    };
    shelf.close().await;
    done
}

/// What is to be done with a parked event.
#[derive(Clone, Copy)]
enum Order {
    Replay,
    Drop,
}

impl Shelf {
    async fn open(database: &Path, service: &Service) -> Result<Self> {
        if !database.exists() {
            return Err(Failure::Tried(format!(
                "there is no database {}: the service has not run yet",
                database.display()
            )));
        }
        let location = Location::File(database.to_owned());
        match Store::open(&location, true, &service.migrations) {
            Ok(store) => Ok(Self::Still { store }),
            Err(StoreError::InUse(_)) => Self::of_running(database),
            Err(error) => Err(Failure::tried(error)),
        }
    }

    fn of_running(database: &Path) -> Result<Self> {
        let file = control::file_of(database);
        let unreadable = |error: &dyn std::fmt::Display| {
            Failure::Tried(format!(
                "the service runs, and cannot be asked: {}: {error}; use the account that it runs as",
                file.display()
            ))
        };
        let text = std::fs::read(&file).map_err(|error| unreadable(&error))?;
        let door: Door = serde_json::from_slice(&text).map_err(|error| unreadable(&error))?;
        let api = Api::new(&door.address, Some(&Secret::new(door.token)));
        Ok(Self::Live(api.map_err(Failure::tried)?))
    }

    async fn close(self) {
        if let Self::Still { store } = self {
            store.close().await;
        }
    }

    async fn page(&self, after: i64) -> Result<Vec<Parked>> {
        match self {
            Self::Still { store } => {
                let rows = store.read(move |unit| unit.parked(after, PAGE)).await;
                let rows = rows.map_err(Failure::tried)?;
                Ok(rows.into_iter().map(Parked::from).collect())
            }
            Self::Live(api) => {
                let body = ask(api, Method::GET, &format!("/parked?after={after}")).await?;
                serde_json::from_value(body).map_err(Failure::tried)
            }
        }
    }

    /// Whether there was such an event.
    async fn obey(&self, number: i64, order: Order) -> Result<bool> {
        match (self, order) {
            (Self::Still { store }, Order::Replay) => {
                let row = store.write(move |unit| unit.unpark(number)).await;
                Ok(row.map_err(Failure::tried)?.is_some())
            }
            (Self::Still { store }, Order::Drop) => {
                let dropped = store.write(move |unit| unit.drop_parked(number)).await;
                dropped.map_err(Failure::tried)
            }
            (Self::Live(api), order) => {
                let (method, path) = match order {
                    Order::Replay => (Method::POST, format!("/parked/{number}/replay")),
                    Order::Drop => (Method::DELETE, format!("/parked/{number}")),
                };
                let body = ask(api, method, &path).await?;
                Ok(body.get("found") == Some(&Value::Bool(true)))
            }
        }
    }

    async fn list(&self, as_json: bool) -> Result<()> {
        let now_ms = SystemClock.now_ms();
        let (mut after, mut count) = (0, 0);
        loop {
            let page = self.page(after).await?;
            for parked in &page {
                if as_json {
                    say(&serde_json::to_string(parked).map_err(Failure::tried)?);
                } else {
                    say(&describe(parked, now_ms));
                }
            }
            count += page.len();
            match page.last() {
                Some(last) if page.len() == PAGE => after = last.number,
                _ => break,
            }
        }
        if count == 0 && !as_json {
            say("nothing is set aside");
        }
        Ok(())
    }

    async fn each(&self, numbers: &[i64], order: Order) -> Result<()> {
        let mut missing = 0;
        for number in numbers {
            let found = self.obey(*number, order).await?;
            let text = match (found, order, self) {
                (false, ..) => "there is nothing under this number",
                (true, Order::Drop, _) => "given up",
                (true, Order::Replay, Self::Live(_)) => {
                    "waits to be handled, behind what waits in its room"
                }
                (true, Order::Replay, Self::Still { .. }) => {
                    "will be handled when the service runs"
                }
            };
            missing += usize::from(!found);
            say(&format!("{number}: {text}"));
        }
        if missing == 0 {
            Ok(())
        } else {
            Err(Failure::Told)
        }
    }

    /// Replays what is there now. What is parked again meanwhile has higher numbers.
    async fn replay_all(&self) -> Result<()> {
        let (mut numbers, mut after) = (Vec::new(), 0);
        loop {
            let page = self.page(after).await?;
            numbers.extend(page.iter().map(|parked| parked.number));
            match page.last() {
                Some(last) if page.len() == PAGE => after = last.number,
                _ => break,
            }
        }
        if numbers.is_empty() {
            say("nothing is set aside");
        }
        self.each(&numbers, Order::Replay).await
    }
}

async fn ask(api: &Api, method: Method, path: &str) -> Result<Value> {
    let answer = api.ask(method, path, None).await.map_err(Failure::tried)?;
    if answer.status.is_success() {
        return Ok(answer.body);
    }
    let error = answer.body.get("error").and_then(Value::as_str);
    Err(Failure::Tried(match error {
        Some(error) => error.to_owned(),
        None => format!("the running service says {}", answer.status),
    }))
}

/// An event on one line, and its error on the next.
fn describe(parked: &Parked, now_ms: i64) -> String {
    let event: Value = serde_json::from_str(&parked.event).unwrap_or_default();
    let text = |key: &str| clean(event.get(key).and_then(Value::as_str).unwrap_or("?"), 100);
    format!(
        "{}  {}, after {} attempts  {}  {} by {} in {}\n    {}",
        parked.number,
        ago(parked.parked_ms, now_ms),
        parked.attempts,
        text("event_id"),
        text("type"),
        text("sender"),
        clean(&parked.lane, 100),
        clean(&parked.error, SHOWN_ERROR),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_fails_is_told_in_two_lines() {
        let parked = Parked {
            number: 7,
            lane: "!r:x".into(),
            event: r#"{"event_id":"$e","type":"m.room.message","sender":"@a:x","content":{}}"#
                .into(),
            txn_id: "1".into(),
            attempts: 10,
            error: "not\u{1b} in the mood".into(),
            received_ms: 0,
            parked_ms: 1_000,
        };
        assert_eq!(
            describe(&parked, 61_000),
            "7  1 min ago, after 10 attempts  $e  m.room.message by @a:x in !r:x\n    not\u{fffd} in the mood"
        );
    }
}
