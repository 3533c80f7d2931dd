//! A network of short lines: a long message is several there, and an edit changes those that it touches.

use std::{collections::BTreeMap, sync::Arc};

use bridgehead_appservice::{
    Content,
    bridge::{Action, Outgoing, Receipt, RemoteMessage, SendError},
    format::{
        Rich,
        compose::{Budget, Part, PartChange, PartMap, edit_parts, split},
    },
};
use bridgehead_testkit::lab::Lab;
use parking_lot::Mutex;
use serde_json::json;

use super::plain::{EDITS, Plain, REDACTIONS, Scene, hall};

const BOTH: u32 = EDITS | REDACTIONS;

/// What stands on the network: lines of at most 64 bytes, and what was done to them.
#[derive(Default)]
struct Board {
    lines: BTreeMap<String, String>,
    done: Vec<String>,
    numbers: usize,
}

impl Board {
    fn add(&mut self, text: &str) -> String {
        let id = format!("l{}", self.numbers);
        self.numbers += 1;
        assert!(text.len() <= 64, "too long for a line: {text}");
        self.done.push(format!("add {id}"));
        self.lines.insert(id.clone(), text.to_owned());
        id
    }

    fn edit(&mut self, ids: &[String], changes: Vec<PartChange<String>>) -> Receipt {
        let map = PartMap::after(&changes);
        let mut left = Vec::new();
        for change in changes {
            match change {
                PartChange::Keep { old, .. } => left.push(ids[old].clone()),
                PartChange::Edit { old, part } => {
                    self.done.push(format!("edit {}", ids[old]));
                    self.lines.insert(ids[old].clone(), part.value);
                    left.push(ids[old].clone());
                }
                PartChange::Add(part) => left.push(self.add(&part.value)),
                PartChange::Remove { old } => {
                    self.done.push(format!("remove {}", ids[old]));
                    self.lines.remove(&ids[old]);
                }
            }
        }
        Receipt::parts(left, map)
    }
}

fn cut(rich: &Rich) -> Vec<Part<String>> {
    split(rich, Budget::line(64))
}

fn write(board: &mut Board, outgoing: &Outgoing<Plain<BOTH>>) -> Result<Receipt, SendError> {
    match &outgoing.action {
        Action::Message { content, .. } => {
            let parts = cut(&content.rich().unwrap_or_default());
            let ids = parts.iter().map(|part| board.add(&part.value)).collect();
            Ok(Receipt::parts(ids, PartMap::new(&parts)))
        }
        Action::Edit { target, content } => {
            let old = target.content.as_ref().and_then(Content::rich);
            let (old, new) = (old.expect("a text"), content.rich().expect("a text"));
            let changes = edit_parts(&old, &target.map, &new, &cut);
            Ok(board.edit(&target.ids, changes))
        }
        Action::Redact { target, .. } => {
            for id in &target.ids {
                board.done.push(format!("remove {id}"));
                board.lines.remove(id);
            }
            Ok(Receipt::new())
        }
        _ => Err(SendError::unsupported("lines alone")),
    }
}

#[test]
fn an_edit_touches_the_lines_that_it_changes() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let board = Arc::new(Mutex::new(Board::default()));
        let written = board.clone();
        let plain = Plain::<BOTH>::new(move |outgoing| write(&mut written.lock(), outgoing));
        let scene = Scene::new(&lab, plain).await?;
        let (alice, room) = (&scene.alice, &scene.room);
        let text = |middle: &str| {
            format!(
                "The first sentence of this message is of a good length. {middle} \
                 The last of its sentences is long enough for one line."
            )
        };
        let lines = || board.lock().lines.values().cloned().collect::<Vec<_>>();
        let done = || std::mem::take(&mut board.lock().done);

        let said = alice
            .say(
                room,
                &text("The secnd one has a mistake in one of its words."),
            )
            .await?;
        scene.settle().await;
        assert_eq!(done(), ["add l0", "add l1", "add l2"]);
        assert!(lines()[1].starts_with("The secnd one"), "{:?}", lines());

        let mended = text("The second one has a mistake in one of its words.");
        alice.edit(room, &said, &mended).await?;
        scene.settle().await;
        assert_eq!(done(), ["edit l1"], "the others stay as they are");
        assert!(lines()[1].starts_with("The second one"), "{:?}", lines());

        // After a crash it is known as well which line has which part.
        scene.restart().await?;
        alice
            .edit(room, &said, &mended.replace("last", "third"))
            .await?;
        scene.settle().await;
        assert_eq!(done(), ["edit l2"]);

        // Fewer lines, and a number that was free.
        let short = "The first sentence of this message is of a good length.";
        alice.edit(room, &said, short).await?;
        scene.settle().await;
        assert_eq!(done(), ["remove l1", "remove l2"]);
        assert_eq!(lines(), [short]);
        alice.edit(room, &said, &mended).await?;
        scene.settle().await;
        assert_eq!(done().len(), 2, "two are new");
        assert_eq!(lines().len(), 3);

        // Whichever line is answered, the message is.
        let last = board.lock().lines.keys().last().cloned().expect("a line");
        let answer = RemoteMessage::new("a", hall(), "ann".to_owned(), "I see").in_reply_to(last);
        scene.remote().message(answer).await?;
        scene.settle().await;
        let heard = alice.hears(room, "I see").await?;
        assert_eq!(
            heard.content["m.relates_to"]["m.in_reply_to"]["event_id"],
            json!(said)
        );
        alice.redact(room, &said).await?;
        scene.settle().await;
        assert!(lines().is_empty(), "{:?}", lines());
        Ok(())
    })
    .expect("it goes through");
}
