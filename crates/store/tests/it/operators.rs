//! Operators and the audit log.

use bridgehead_store::{AuditRow, OperatorRow};

use crate::Fixture;

fn operator(name: &str, may_act: bool) -> OperatorRow {
    OperatorRow {
        name: name.to_owned(),
        may_act,
        created_at: 5,
        last_used_at: None,
    }
}

#[tokio::test]
async fn an_operator_is_found_by_the_tokens_hash_until_it_is_removed() {
    let fixture = Fixture::new();
    let (ann, bob) = (operator("ann", true), operator("bob", false));
    let added = fixture
        .write(move |tx| {
            Ok([
                tx.insert_operator(&bob, &[2; 32])?,
                tx.insert_operator(&ann, &[1; 32])?,
                // Neither a name nor a token is anybody else's.
                tx.insert_operator(&operator("ann", false), &[3; 32])?,
                tx.insert_operator(&operator("eve", true), &[1; 32])?,
            ])
        })
        .await;
    assert_eq!(added, [true, true, false, false]);
    let found = fixture.read(|s| s.operator_by_token(&[1; 32])).await;
    assert_eq!(found, Some(operator("ann", true)));
    assert_eq!(fixture.read(|s| s.operator_by_token(&[3; 32])).await, None);
    let names = fixture.read(|s| s.operators(9)).await;
    assert_eq!(names, [operator("ann", true), operator("bob", false)]);
    let first = fixture.read(|s| s.operators(1)).await;
    assert_eq!(first, [operator("ann", true)]);

    fixture
        .write(|tx| {
            tx.touch_operator("bob", 9)?;
            tx.touch_operator("bob", 8)
        })
        .await;
    let bob = fixture.read(|s| s.operator("bob")).await.unwrap();
    assert_eq!(bob.last_used_at, Some(9));

    assert!(fixture.write(|tx| tx.delete_operator("ann")).await);
    assert!(!fixture.write(|tx| tx.delete_operator("ann")).await);
    assert_eq!(fixture.read(|s| s.operator_by_token(&[1; 32])).await, None);
}

fn act(who: &str, service_id: Option<&str>) -> AuditRow {
    AuditRow {
        audit_id: 0,
        at_ms: 7,
        who: who.to_owned(),
        action: "pause".to_owned(),
        service_id: service_id.map(str::to_owned),
        reason: Some("because".to_owned()),
        detail: None,
    }
}

#[tokio::test]
async fn acts_are_read_in_pages_newest_first() {
    let fixture = Fixture::new();
    fixture
        .write(|tx| {
            for number in 0..5 {
                let service = if number % 2 == 0 { "irc" } else { "mail" };
                tx.insert_audit(&act(&format!("ann{number}"), Some(service)))?;
            }
            tx.insert_audit(&act("server", None))
        })
        .await;
    let first = fixture.read(|s| s.audit_page(None, None, 4)).await;
    let who = |rows: &[AuditRow]| rows.iter().map(|row| row.who.clone()).collect::<Vec<_>>();
    assert_eq!(who(&first), ["server", "ann4", "ann3", "ann2"]);
    let before = first[3].audit_id;
    let second = fixture
        .read(move |s| s.audit_page(Some(before), None, 4))
        .await;
    assert_eq!(who(&second), ["ann1", "ann0"]);
    let irc = fixture
        .read(|s| s.audit_page(Some(u64::MAX), Some("irc"), 2))
        .await;
    assert_eq!(who(&irc), ["ann4", "ann2"]);
    let expected = AuditRow {
        audit_id: irc[0].audit_id,
        ..act("ann4", Some("irc"))
    };
    assert_eq!(irc[0], expected);
}
