//! What people read, from answers as the API gives them.

use bridgehead_admin_api::{
    AuditEntry, AuditPage, DoctorReport, DoctorStep, EventKind, Finding, FindingKind, History,
    InFlight, LastError, LintReport, OperatorEvent, Pause, PausedBy, Progress, RemovalReport,
    Rotated, Sample, Service, ServiceList, Severity, Skip, SkipList, State, StepOutcome, Stuck,
    TransactionEvent, TransactionView, Transport,
};
use serde_json::json;

use super::{
    audit, describe, doctor, lint, list, registration, remove, show, skip, transaction, watch,
};
use crate::output::Look;

/// 2026-01-02 03:04:05 UTC
const NOW_MS: i64 = 1_767_323_045_000;
const MINUTE_MS: i64 = 60_000;

fn healthy(id: &str) -> Service {
    serde_json::from_value(json!({
        "id": id,
        "sender": format!("@{id}bot:example.org"),
        "url": "http://127.0.0.1:9000",
        "transport": "http",
        "state": "idle",
        "cursor": 1204,
        "depth": 0,
        "rates": {"delivered_last_minute": 1500, "attempts_last_5_minutes": 40, "failed_percent": 0.0},
        "last_success_at_ms": NOW_MS - 3 * MINUTE_MS,
        "batch_limit": 100,
        "dialect": {"legacy_paths": false, "query_token": false},
        "revision": 1,
        "source": "api",
        "skipped": 0,
    }))
    .unwrap()
}

fn stuck() -> Service {
    let mut service = healthy("irc");
    service.state = State::Retrying;
    service.depth = 12;
    service.oldest_waiting_ms = Some(7_500_000);
    service.rates.delivered_last_minute = 0;
    service.rates.attempts_last_5_minutes = 9;
    service.rates.failed_percent = 100.0;
    service.next_try_at_ms = Some(NOW_MS + 12_000);
    service.batch_limit = 1;
    service.dialect.legacy_paths = true;
    service.source = "/etc/bridgehead/irc.yaml".to_owned();
    service.skipped = 2;
    service.skip_stuck_after = Some(20);
    service.in_flight = Some(InFlight {
        transaction_id: "17".to_owned(),
        events: 1,
        bytes: 1536,
        failed_attempts: 9,
        since_ms: NOW_MS - 5 * MINUTE_MS,
    });
    service.stuck = Some(Stuck {
        transaction_id: "17".to_owned(),
        since_ms: NOW_MS - 4 * MINUTE_MS,
        position: 1205,
        event_id: Some("$poison".to_owned()),
        room_id: Some("!room:example.org".to_owned()),
        sender: Some("@eve:example.org".to_owned()),
        event_type: Some("m.room.message".to_owned()),
        answer: "500: \u{1b}[2Jboom".to_owned(),
    });
    service.last_error = Some(LastError {
        at_ms: NOW_MS - 8_000,
        transaction_id: "17".to_owned(),
        message: "the service answered 500".to_owned(),
        status: Some(500),
        body: Some("\u{1b}[2Jboom".to_owned()),
    });
    service
}

fn event() -> TransactionEvent {
    TransactionEvent {
        event_id: "$poison".to_owned(),
        event_type: "m.room.message".to_owned(),
        room_id: "!room:example.org".to_owned(),
        sender: "@eve:example.org".to_owned(),
        bytes: 700,
    }
}

fn view() -> TransactionView {
    TransactionView {
        transaction_id: "17".to_owned(),
        upto: 1205,
        created_at_ms: NOW_MS - 5 * MINUTE_MS,
        failed_attempts: 9,
        bytes: 1536,
        events: vec![event()],
        body: json!({"events": []}),
    }
}

#[test]
fn a_list_shows_what_matters_and_what_is_wrong() {
    let mut paused = healthy("telegram");
    paused.depth = 3;
    paused.oldest_waiting_ms = Some(30_000);
    paused.last_success_at_ms = None;
    paused.paused = Some(Pause {
        by: PausedBy::Operator,
        since_ms: NOW_MS - 30_000,
        reason: Some("moving house".to_owned()),
        until_ms: Some(NOW_MS + 3_600_000),
    });
    let all = ServiceList {
        server_name: "example.org".to_owned(),
        version: "0.1.0".to_owned(),
        position: 1216,
        services: vec![stuck(), paused, healthy("slack")],
    };
    let wanted = "\
ID        STATE            WAITING  OLDEST    PER MIN  LAST OK  NOTE
irc       retrying, stuck       12  2 h 5 min        0  3 min ago     refuses m.room.message from @eve:example.org: 500: \\u{1b}[2Jboom
telegram  idle, paused           3  30 s         1,500  never         paused by an operator, 30 s ago, ends in 1 h: moving house
slack     idle                   0               1,500  3 min ago

3 services on example.org, 1 needs attention
";
    let shown = list::render(&all, Look::plain(), NOW_MS);
    assert_eq!(words(&shown), words(wanted));
    let none = ServiceList {
        services: Vec::new(),
        ..all.clone()
    };
    assert!(list::render(&none, Look::plain(), NOW_MS).contains("bridgehead appservice add"));

    let narrow = Look {
        colours: false,
        width: Some(80),
    };
    let shown = list::render(&all, narrow, NOW_MS);
    assert!(
        shown.lines().all(|line| line.chars().count() <= 80),
        "{shown}"
    );
    let below = "irc: refuses m.room.message from @eve:example.org: 500: \\u{1b}[2Jboom\n\
                 telegram: paused by an operator, 30 s ago, ends in 1 h: moving house\n";
    assert!(shown.contains(below), "{shown}");
}

#[test]
fn events_of_a_transaction_fit_a_narrow_terminal() {
    let narrow = Look {
        colours: false,
        width: Some(80),
    };
    let wanted = "
  m.room.message
    from @eve:example.org in !room:example.org, 700 B
    $poison
  and 1 more
";
    assert_eq!(transaction::events(&[event(), event()], narrow, 1), wanted);
}

/// The words, wherever the columns stand.
fn words(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .map(|line| line.split_whitespace().collect())
        .collect()
}

#[test]
fn a_service_is_shown_with_all_that_holds_it_up() {
    let history = History {
        step_ms: 30_000,
        samples: vec![
            Sample {
                at_ms: NOW_MS - 30_000,
                depth: 3,
                lag_ms: 1_000,
                delivered: 40,
                failed: 0,
            },
            Sample {
                at_ms: NOW_MS,
                depth: 12,
                lag_ms: 90_000,
                delivered: 0,
                failed: 2,
            },
        ],
    };
    let shown = show::View {
        service: &stuck(),
        in_flight: Some(&view()),
        history: Some(&history),
    }
    .render(Look::plain(), NOW_MS);
    let wanted = "\
irc  retrying, stuck

Registration
  Own user        @ircbot:example.org
  Address         http://127.0.0.1:9000
  Transactions    pushed to its url
  Comes from      /etc/bridgehead/irc.yaml
  Revision        1
  Old habits      paths without /_matrix/app/v1

Delivery
  Waiting         12 entries wait, the oldest for 2 h 5 min
  Next try        in 12 s, or at a sign of life
  Last success    3 min ago
  Last minute     0 entries delivered
  Last 5 minutes  9 attempts, 100 % of them failed
  Cursor          1,204
  Batch           at most 1 entry
  A stuck event   is skipped after 20 attempts
  Skipped         2 transactions

Last hour
  Waiting         ▃█  at most 12
  Lag             ▂█  at most 1 min
  Delivered       █▁  at most 40
  Failed          ▁█  at most 2

In flight
  Transaction     17
  Made            5 min ago
  Size            1 event, 1.5 KiB
  So far          9 failed attempts

  EVENT    TYPE            SENDER            ROOM                SIZE
  $poison  m.room.message  @eve:example.org  !room:example.org  700 B

Stuck on one event
  Event           $poison
  What            m.room.message from @eve:example.org
  Room            !room:example.org
  Position        1,205
  Transaction     17
  Known           4 min ago
  Answer          500: \\u{1b}[2Jboom

Last error
  When            8 s ago, 2026-01-02 03:03:57 UTC
  Transaction     17
  What            the service answered 500
  Status          500
  Answer          \\u{1b}[2Jboom

What to do
  bridgehead appservice transaction irc  lays the refused event open
  bridgehead appservice skip irc  goes on behind it
  bridgehead appservice doctor irc  finds out what is wrong
  bridgehead appservice retry irc  tries now
  bridgehead appservice skips irc  lists what was skipped
";
    assert_eq!(shown, wanted);
}

#[test]
fn states_and_notes_follow_what_is_worst() {
    let mut service = healthy("irc");
    assert_eq!(describe::brief(&service), "idle; nothing waits");
    assert_eq!(describe::note(&service, NOW_MS), "");
    service.transport = Transport::None;
    service.depth = 1;
    assert_eq!(describe::brief(&service), "idle; 1 entry waits");
    assert_eq!(describe::note(&service, NOW_MS), "not reachable now");
    service.drain = Some(Progress {
        from: 100,
        at: 150,
        upto: 200,
    });
    assert_eq!(
        describe::note(&service, NOW_MS),
        "drains, 50 %, at position 150 of 100 to 200"
    );
    service.state = State::Failed;
    assert_eq!(describe::state(&service).0, "failed");
    assert!(describe::needs_attention(&service));
    // A cursor beyond the end, or an empty stretch, is done.
    let done = |from, at, upto| describe::done_of(&Progress { from, at, upto });
    assert_eq!(
        (done(5, 9, 7), done(5, 5, 5), done(5, 3, 7)),
        ((2, 2), (0, 0), (0, 2))
    );
}

#[test]
fn a_skip_says_what_is_lost() {
    assert_eq!(
        skip::question(&stuck(), "17"),
        "Transaction 17 of irc will be skipped: one event, m.room.message from @eve:example.org ($poison).\n\
         irc will not get what is in it, and goes on with what is behind it. It is kept, and can be replayed."
    );
    let mut fresh = stuck();
    fresh.stuck = None;
    fresh.in_flight.as_mut().unwrap().failed_attempts = 0;
    let question = skip::question(&fresh, "17");
    assert!(
        question.contains(": 1 event, and no attempt of it has failed yet."),
        "{question}"
    );
    let other = skip::question(&stuck(), "16");
    assert!(
        other.starts_with("Transaction 16 of irc will be skipped.\n"),
        "{other}"
    );
}

#[test]
fn skips_and_acts_stand_in_tables() {
    let skips = SkipList {
        skips: vec![Skip {
            skip_id: 3,
            transaction_id: "17".to_owned(),
            from: 1204,
            upto: 1205,
            events: vec![event()],
            by: "ada".to_owned(),
            at_ms: NOW_MS - MINUTE_MS,
            reason: Some("poison".to_owned()),
            answer: None,
            replayed_at_ms: None,
        }],
    };
    let shown = skip::render(&skips, "irc", Look::plain(), NOW_MS);
    let wanted = "\
NUMBER  SKIPPED    BY   WHAT                                  REPLAYED  WHY
     3  1 min ago  ada  m.room.message from @eve:example.org  no        poison

`bridgehead appservice replay irc --skip NUMBER` sends one of them again
";
    assert_eq!(shown, wanted);

    let page = AuditPage {
        entries: vec![AuditEntry {
            audit_id: 9,
            at_ms: NOW_MS - MINUTE_MS,
            who: "ada".to_owned(),
            action: "skip".to_owned(),
            service_id: Some("irc".to_owned()),
            reason: Some("poison".to_owned()),
            detail: Some("transaction 17".to_owned()),
        }],
        next: Some(9),
    };
    let wanted = "\
NUMBER  WHEN       WHO  WHAT  SERVICE  WHY     DETAIL
     9  1 min ago  ada  skip  irc      poison  transaction 17

`--before 9` shows what came before
";
    assert_eq!(audit::render(&page, Look::plain(), NOW_MS), wanted);
}

#[test]
fn a_transaction_is_laid_open() {
    let wanted = "\
Transaction 17
  Made            5 min ago
  Size            1 event, 1.5 KiB
  So far          9 failed attempts
  Ends at         position 1,205

  EVENT    TYPE            SENDER            ROOM                SIZE
  $poison  m.room.message  @eve:example.org  !room:example.org  700 B
";
    assert_eq!(transaction::render(&view(), Look::plain(), NOW_MS), wanted);
    let many = vec![event(); 12];
    let shown = transaction::events(&many, Look::plain(), 10);
    assert!(shown.ends_with("  and 2 more\n"), "{shown}");
}

#[test]
fn a_doctor_marks_each_step_and_names_the_cure() {
    let step = |name: &str, outcome, detail: &str, cure: Option<&str>| DoctorStep {
        name: name.to_owned(),
        outcome,
        took_ms: 3,
        detail: detail.to_owned(),
        cure: cure.map(str::to_owned),
    };
    let report = DoctorReport {
        id: "irc".to_owned(),
        healthy: false,
        steps: vec![
            step("dns", StepOutcome::Ok, "127.0.0.1", None),
            step(
                "tls",
                StepOutcome::Warning,
                "the certificate ends in 2 days",
                None,
            ),
            step(
                "tcp",
                StepOutcome::Failed,
                "connection refused",
                Some("start the service"),
            ),
            step("round_trip", StepOutcome::Skipped, "not tried", None),
        ],
    };
    let wanted = "\
✓  dns             3 ms  127.0.0.1
!  tls             3 ms  the certificate ends in 2 days
✗  tcp             3 ms  connection refused
                         start the service
–  round_trip            not tried

irc is not healthy
";
    assert_eq!(doctor::render(&report, Look::plain()), wanted);
}

#[test]
fn findings_have_their_examples_and_cures() {
    let finding = Finding {
        kind: FindingKind::ExclusiveOverlap,
        severity: Severity::Error,
        service_id: Some("irc".to_owned()),
        other_id: Some("slack".to_owned()),
        pattern: Some("@irc_.*".to_owned()),
        witnesses: vec!["@irc_a:example.org".to_owned()],
        count: Some(12),
        message: "slack claims the same users".to_owned(),
        cure: "Give each its own prefix.".to_owned(),
    };
    let report = LintReport {
        findings: vec![finding],
    };
    let wanted = "\
error: irc: slack claims the same users
    pattern: @irc_.*
    for example: @irc_a:example.org (12 in all)
    Give each its own prefix.
1 error
";
    assert_eq!(lint::render(&report, Look::plain()), wanted);
    let none = LintReport {
        findings: Vec::new(),
    };
    assert_eq!(lint::render(&none, Look::plain()), "nothing found\n");
}

#[test]
fn a_removal_says_what_goes_and_what_stays() {
    let report = RemovalReport {
        id: "irc".to_owned(),
        dry_run: true,
        finished: false,
        ghosts: 1,
        memberships: 2,
        aliases: 1,
        directory_entries: 0,
        queued: 1,
        examples: vec!["@irc_a:example.org".to_owned()],
    };
    let wanted = "\
irc would be removed. Its users, aliases and rooms stay.
Not delivered any more: 1 entry.
`bridgehead appservice remove irc --purge --dry-run` counts them, too.
";
    assert_eq!(remove::render(&report, false, Look::plain()), wanted);
    let wanted = "\
irc would be removed, and with it:
  Users           1 user, in 2 memberships
  Aliases         1 alias
  Directory       0 directory entries
  Queue           1 entry
  Such as         @irc_a:example.org
";
    assert_eq!(remove::render(&report, true, Look::plain()), wanted);
    let done = RemovalReport {
        dry_run: false,
        finished: true,
        ..report
    };
    let shown = remove::render(&done, true, Look::plain());
    assert!(
        shown.starts_with("irc is removed, and with it:\n"),
        "{shown}"
    );
}

#[test]
fn new_tokens_are_written_as_a_registration_has_them() {
    let rotated = Rotated {
        id: "irc".to_owned(),
        as_token: "it's".to_owned(),
        hs_token: "b".to_owned(),
        revision: 2,
        overlap_until_ms: None,
    };
    assert_eq!(
        registration::tokens(&rotated),
        "as_token: 'it''s'\nhs_token: 'b'\n"
    );
}

#[test]
fn each_event_is_a_line() {
    let line = |kind| {
        watch::render_event(
            &OperatorEvent {
                at_ms: NOW_MS,
                kind,
            },
            Look::plain(),
        )
    };
    let service_id = "irc".to_owned();
    let transaction_id = "17".to_owned();
    let delivered = EventKind::EventsDelivered {
        service_id: service_id.clone(),
        transaction_id: transaction_id.clone(),
        event_count: 2,
    };
    assert_eq!(
        line(delivered),
        "03:04:05  irc  delivered 2 events in transaction 17\n"
    );
    let failed = EventKind::DeliveryFailed {
        service_id,
        transaction_id,
        retry_count: 1,
    };
    assert_eq!(
        line(failed),
        "03:04:05  irc  did not take transaction 17, 1 failed attempt so far\n"
    );
    assert_eq!(
        watch::render_state("irc", Some(&stuck()), Look::plain(), NOW_MS),
        "03:04:05  irc  retrying, stuck; 12 entries wait, the oldest for 2 h 5 min; \
         refuses m.room.message from @eve:example.org: 500: \\u{1b}[2Jboom\n"
    );
    assert_eq!(
        watch::render_state("irc", None, Look::plain(), NOW_MS),
        "03:04:05  irc  registered no more\n"
    );
}
