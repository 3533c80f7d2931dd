//! What the network tells later of what it was given: that it has it, or that it has it not after all.

use std::{sync::Arc, time::Duration};

use bridgehead_appservice::bridge::{
    Action, Cause, Outgoing, Receipt, Rejected, Remote, SendError,
};
use bridgehead_testkit::lab::Lab;
use parking_lot::Mutex;

use super::plain::{ECHOES, EDITS, Plain, Scene, hall};

const FLAGS: u32 = ECHOES | EDITS;

/// A network that has a key for each line that it hears, and tells whoever connects of them.
#[derive(Clone, Default)]
struct Line {
    is_open: Arc<Mutex<bool>>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Line {
    fn answer(&self, outgoing: &Outgoing<Plain<FLAGS>>) -> Result<Receipt, SendError> {
        if !*self.is_open.lock() {
            return Err(SendError::away("not connected"));
        }
        let mut heard = self.heard.lock();
        heard.push(outgoing.key.clone());
        Ok(Receipt::id(format!("m{}", heard.len())))
    }

    async fn connect(&self, remote: &Remote<Plain<FLAGS>>) {
        let heard = self.heard.lock().clone();
        for (index, key) in heard.iter().enumerate() {
            let receipt = Receipt::id(format!("m{}", index + 1));
            remote.echo(&hall(), key, receipt).await.expect("taken");
        }
        *self.is_open.lock() = true;
        remote.connected();
    }

    fn plain(&self) -> Plain<FLAGS> {
        let (answering, connecting) = (self.clone(), self.clone());
        Plain::new(move |outgoing| answering.answer(outgoing)).saying(move |remote| {
            let line = connecting.clone();
            Box::pin(async move {
                line.connect(&remote).await;
                Ok(())
            })
        })
    }
}

async fn told(scene: &Scene<FLAGS>) -> anyhow::Result<Vec<String>> {
    let events = scene.events("com.beeper.message_send_status").await?;
    let told = events.iter().filter_map(|event| event.text("status"));
    Ok(told.map(str::to_owned).collect())
}

#[test]
fn what_the_network_has_is_not_sent_again_after_a_crash() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let line = Line::default();
        let scene = Scene::new(&lab, line.plain()).await?;
        scene.plain.state.lock().delay = Duration::from_secs(5);
        let said = scene.alice.say(&scene.room, "once").await?;
        lab.pass(Duration::from_secs(1)).await;
        assert_eq!(line.heard.lock().len(), 1, "heard, and not answered yet");
        *line.is_open.lock() = false;
        scene.plain.state.lock().delay = Duration::ZERO;
        scene.restart().await?;
        assert_eq!(*line.heard.lock(), [said.to_string()]);
        // And it is known which it is.
        let message = scene.remote().message_of(&hall(), "m1").await?;
        let message = message.expect("known");
        assert_eq!(
            (&message.sender, &message.events[..]),
            (scene.alice.id(), &[said.clone()][..])
        );
        scene.alice.edit(&scene.room, &said, "twice").await?;
        scene.settle().await;
        let last = scene.plain.state.lock().sent.pop().expect("edited");
        let Action::Edit { target, .. } = last.action else {
            panic!("{last:?}");
        };
        assert_eq!(target.ids, ["m1"]);
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn an_echo_of_what_was_thought_lost_says_that_it_is_there() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let plain = Plain::<FLAGS>::new(|_| Err(SendError::retry("no answer")));
        let scene = Scene::new(&lab, plain).await?;
        let said = scene.alice.say(&scene.room, "hello?").await?;
        scene.settle().await;
        assert_eq!(told(&scene).await?, ["PENDING", "FAIL_RETRIABLE"]);
        let remote = scene.remote();
        remote
            .echo(&hall(), said.as_str(), Receipt::id("m1"))
            .await?;
        remote
            .echo(&hall(), said.as_str(), Receipt::id("m1"))
            .await?;
        scene.settle().await;
        assert_eq!(
            told(&scene).await?,
            ["PENDING", "FAIL_RETRIABLE", "SUCCESS"]
        );
        assert!(remote.message_of(&hall(), "m1").await?.is_some());
        assert!(
            remote
                .echo(&hall(), "no key", Receipt::new())
                .await
                .is_err()
        );
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn what_turns_out_to_be_lost_is_told_and_may_be_tried_again() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let plain = Plain::<FLAGS>::new(|_| Ok(Receipt::id("m1")));
        let scene = Scene::new(&lab, plain).await?;
        let remote = scene.remote();
        let said = scene.alice.say(&scene.room, "hello?").await?;
        scene.settle().await;
        let no = Rejected::new(Cause::Network, "404: cannot send to channel");
        remote.failed(&hall(), said.as_str(), no.clone()).await?;
        remote.failed(&hall(), said.as_str(), no.clone()).await?;
        scene.settle().await;
        assert_eq!(told(&scene).await?, ["FAIL_RETRIABLE"]);
        assert!(remote.message_of(&hall(), "m1").await?.is_none());
        let texts = scene.alice.texts(&scene.room).await?;
        assert!(
            texts[1].contains("404: cannot send to channel"),
            "{texts:?}"
        );

        scene.alice.react(&scene.room, &said, "🔁").await?;
        scene.settle().await;
        assert_eq!(scene.plain.sent(), ["message: hello?", "message: hello?"]);
        assert_eq!(told(&scene).await?, ["FAIL_RETRIABLE", "SUCCESS"]);
        remote.failed(&hall(), said.as_str(), no.clone()).await?;
        scene.settle().await;
        assert_eq!(told(&scene).await?.len(), 3, "it is told each time");

        // Of what nobody has said nobody is told, and the room goes on.
        remote.failed(&hall(), "$nothing", no).await?;
        scene.settle().await;
        assert_eq!(told(&scene).await?.len(), 3);
        Ok(())
    })
    .expect("it goes through");
}
