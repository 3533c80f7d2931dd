//! Who gets where, and what nobody may have: rooms that are others' to open, channels that nobody asked for, keys that
//! were not given. Homeserver, bridge and IRC server in one process.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use bridgehead_appservice::{
    axum::http::Method,
    id::{RoomId, UserId},
};
use bridgehead_irc::{
    Irc, Settings,
    ids::Place,
    link::dial::{Stream, Way},
    service_by,
    settings::ChannelSettings,
};
use bridgehead_irc_protocol::CaseMapping;
use bridgehead_irc_server::{Dialect, Person, Server};
use bridgehead_testkit::{
    SERVER_NAME,
    lab::{Lab, LabService, LabUser},
};
use serde_json::{Value, json};

use crate::stage::{
    BOT, NETWORK, alias, comes_to,
    control::{Control, ask, body_of, bot},
    nick, settings,
};

/// Somebody of each side, and the bridge between them.
pub(crate) struct Scene {
    pub(crate) lab: Lab,
    pub(crate) irc: Arc<Server>,
    pub(crate) service: LabService,
    pub(crate) alice: LabUser,
    pub(crate) bob: Person,
}

impl Scene {
    pub(crate) async fn new(lab: Lab) -> anyhow::Result<Self> {
        Self::with(lab, &settings(6667)?).await
    }

    async fn with(lab: Lab, settings: &Settings) -> anyhow::Result<Self> {
        Self::on(lab, settings, Dialect::modern()).await
    }

    async fn on(lab: Lab, settings: &Settings, dialect: Dialect) -> anyhow::Result<Self> {
        let irc = Arc::new(Server::start(dialect).await?);
        let server = irc.clone();
        let way = Way::Within(Arc::new(move |_| {
            Ok(Box::new(server.wire()) as Box<dyn Stream>)
        }));
        let service = lab.mount(service_by(settings, &way)).await?;
        let bob = irc.person("bob").await?;
        let alice = lab.user("alice").await?;
        Ok(Self {
            lab,
            irc,
            service,
            alice,
            bob,
        })
    }

    /// Everything that has been said and done has had its time.
    pub(crate) async fn passes(&self, seconds: u64) {
        self.lab.pass(Duration::from_secs(seconds)).await;
    }

    /// A room of Alice's own, with the bridge in it.
    async fn own_room(&self) -> anyhow::Result<RoomId> {
        self.room_of(&self.alice).await
    }

    /// A room of somebody's own, with the bridge in it.
    async fn room_of(&self, who: &LabUser) -> anyhow::Result<RoomId> {
        let body = json!({ "preset": "private_chat", "invite": [bot()?] });
        let room = who.create_room_with(&body).await?;
        comes_to(&Some("join".to_owned()), async || {
            Ok(who.members(&room).await?.remove(&bot()?))
        })
        .await?;
        who.set_power(&room, &bot()?, 50).await?;
        Ok(room)
    }

    /// A private room of Alice's, linked to a channel whose operator Bob is.
    pub(crate) async fn linked(&self, channel: &str) -> anyhow::Result<RoomId> {
        self.bob.join(channel).await?;
        let room = self.own_room().await?;
        ask(&self.alice, &room, &format!("!irc link {channel}")).await?;
        self.hears("asks to bridge").await?;
        self.bob.say(BOT, "yes").await?;
        let linked = "is linked to";
        self.alice
            .wait_for(&room, linked, |event| body_of(event).contains(linked))
            .await?;
        self.alice.say(&room, "linked").await?;
        self.hears("linked").await?;
        Ok(room)
    }

    /// Waits until somebody is this in a room.
    pub(crate) async fn becomes(
        &self,
        room: &RoomId,
        user: &UserId,
        membership: &str,
    ) -> anyhow::Result<()> {
        comes_to(&Some(membership.to_owned()), async || {
            Ok(self.alice.members(room).await?.remove(user))
        })
        .await
    }

    /// Waits until Bob has heard something with these words.
    async fn hears(&self, words: &str) -> anyhow::Result<()> {
        let is_it = |line: &bridgehead_irc_protocol::Line| line.text(1).contains(words);
        self.bob
            .wait_within(Duration::from_secs(120), is_it)
            .await?;
        Ok(())
    }

    /// Whether somebody is in a channel.
    async fn is_in(&self, channel: &str, nick: &str) -> bool {
        let seen = self.irc.channel(channel).await;
        seen.is_some_and(|seen| seen.member(nick).is_some())
    }

    pub(crate) async fn enters(&self, channel: &str, nick: &str) -> anyhow::Result<()> {
        comes_to(&true, async || Ok(self.is_in(channel, nick).await)).await
    }

    pub(crate) async fn join_rule(&self, room: &RoomId) -> anyhow::Result<Value> {
        let rules = self.alice.state(room, "m.room.join_rules", "").await?;
        Ok(rules["join_rule"].clone())
    }

    /// A channel is bridged no more.
    async fn unbridge(&self, channel: &str) -> anyhow::Result<()> {
        let portals = self.service.running().portals::<Irc>();
        let portals = portals.context("it is a bridge")?;
        let place = Place::channel(NETWORK, channel, CaseMapping::Ascii);
        let portal = portals.of(&place).await?.context("it is bridged")?;
        portals.unbridge(&portal, None).await?;
        Ok(())
    }

    /// Whether there is a room for a channel. The directory is not asked, for that would make one.
    async fn has_room(&self, channel: &str) -> anyhow::Result<bool> {
        let portals = self.service.running().portals::<Irc>();
        let place = Place::channel(NETWORK, channel, CaseMapping::Ascii);
        let portal = portals.context("it is a bridge")?.of(&place).await?;
        Ok(portal.is_some())
    }
}

pub(crate) fn ghost(nick: &str) -> anyhow::Result<UserId> {
    Ok(UserId::parse(&format!(
        "@irc_{NETWORK}_{nick}:{SERVER_NAME}"
    ))?)
}

/// What the bridge has told Alice in her own room with it, all in one.
async fn told(control: &Control<'_>) -> anyhow::Result<String> {
    Ok(control.user.texts(&control.room).await?.join("\n"))
}

#[test]
fn a_private_room_stays_private_whatever_becomes_of_the_channel_it_is_linked_to()
-> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab).await?;
        let room = scene.linked("#linked").await?;
        scene.passes(30).await;
        for modes in ["+i", "-i", "+k key", "-k key", "+s", "-s"] {
            scene.bob.mode("#linked", modes).await?;
            scene.passes(20).await;
            let rule = scene.join_rule(&room).await?;
            ensure!(rule == "invite", "after {modes}: {rule}");
            let path = format!("/_matrix/client/v3/directory/list/room/{room}");
            let listed = scene.alice.call(Method::GET, &path, &Value::Null).await?;
            ensure!(listed["visibility"] == "private", "after {modes}: {listed}");
        }
        anyhow::Ok(())
    })
}

#[test]
fn nobody_gets_into_a_private_room_by_being_invited_on_irc() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab).await?;
        scene.linked("#inner").await?;
        let carol = scene.lab.user("carol").await?;
        let control = Control::open(&carol).await?;
        control.expect("!whois bob", "bob").await?;
        scene.bob.invite(&nick(&carol), "#inner").await?;
        control.told("bob invites you to #inner").await?;
        scene.passes(20).await;
        let invited = carol.invitations().await?;
        ensure!(invited.is_empty(), "{invited:?}");
        // Nor by the name of the channel.
        let got = carol.join(&alias("#inner")).await;
        ensure!(got.is_err(), "she is in {got:?}");
        anyhow::Ok(())
    })
}

#[test]
fn an_invitation_to_a_channel_without_a_room_is_told_and_makes_none() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab).await?;
        let control = Control::open(&scene.alice).await?;
        control.expect("!whois bob", "bob").await?;
        for at in 0..30 {
            let channel = format!("#new{at}");
            scene.bob.join(&channel).await?;
            scene.bob.invite(&nick(&scene.alice), &channel).await?;
        }
        control
            .told("bob invites you to #new0 on net: `!join net #new0`")
            .await?;
        scene.passes(30).await;
        ensure!(
            scene.alice.invitations().await?.is_empty(),
            "she is invited"
        );
        ensure!(!scene.has_room("#new0").await?, "a room was made");
        // Nobody is told without end.
        let told = told(&control).await?.matches("invites you").count();
        ensure!((1..30).contains(&told), "told {told} times");
        // Whoever is ignored invites nobody.
        control.expect("!ignore eve", "nothing more").await?;
        let eve = scene.irc.person("eve").await?;
        eve.join("#eve").await?;
        eve.invite(&nick(&scene.alice), "#eve").await?;
        scene.passes(4000).await;
        scene.bob.join("#later").await?;
        scene.bob.invite(&nick(&scene.alice), "#later").await?;
        control.told("#later").await?;
        let told = control.user.texts(&control.room).await?.join("\n");
        ensure!(!told.contains("eve invites"), "{told}");
        anyhow::Ok(())
    })
}

#[test]
fn an_invitation_to_the_open_room_of_a_channel_is_one_to_the_room() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab).await?;
        scene.bob.join("#open").await?;
        let carol = scene.lab.user("carol").await?;
        let room = carol.join(&alias("#open")).await?;
        let control = Control::open(&scene.alice).await?;
        control.expect("!whois bob", "bob").await?;
        scene.bob.invite(&nick(&scene.alice), "#open").await?;
        control.told("bob invites you to #open").await?;
        comes_to(&vec![room.clone()], async || {
            Ok(scene.alice.invitations().await?)
        })
        .await?;
        // Whom others invite is no business of hers.
        let dave = scene.lab.user("dave").await?;
        let other = Control::open(&dave).await?;
        other.expect("!whois bob", "bob").await?;
        scene.bob.invite(&nick(&dave), "#open").await?;
        other.told("bob invites you to #open").await?;
        scene.passes(10).await;
        let heard = told(&control).await?.matches("invites you").count();
        ensure!(heard == 1, "told {heard} times");
        anyhow::Ok(())
    })
}

#[test]
fn a_channel_that_the_server_sends_somebody_to_is_left_and_not_bridged() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab).await?;
        let control = Control::open(&scene.alice).await?;
        scene.bob.join("#full").await?;
        scene.bob.join("##overflow").await?;
        let room = scene.alice.join(&alias("#full")).await?;
        scene.alice.say(&room, "first").await?;
        scene.hears("first").await?;
        scene.alice.leave(&room).await?;
        scene.passes(5).await;
        scene.bob.mode("#full", "+if ##overflow").await?;
        control.ask("!whois bob").await?;
        control.ask("!join #full").await?;
        control.told("##overflow").await?;
        scene.bob.say("##overflow", "not for them").await?;
        scene.passes(120).await;
        ensure!(!scene.has_room("##overflow").await?, "it is bridged");
        ensure!(
            !scene.is_in("##overflow", &nick(&scene.alice)).await,
            "she is still there"
        );
        anyhow::Ok(())
    })
}

#[test]
fn a_consent_whose_link_fails_bridges_nothing() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab).await?;
        scene.bob.join("#agreed").await?;
        let room = scene.own_room().await?;
        ask(&scene.alice, &room, "!irc link #agreed").await?;
        scene.hears("asks to bridge").await?;
        // Meanwhile the bridge has lost its place.
        scene.alice.ban(&room, &bot()?).await?;
        scene.passes(5).await;
        scene.bob.say(BOT, "yes").await?;
        scene.passes(30).await;
        scene.bob.say("#agreed", "for nobody").await?;
        scene.passes(30).await;
        ensure!(!scene.has_room("#agreed").await?, "it is bridged");
        ensure!(!scene.is_in("#agreed", BOT).await, "the bridge has stayed");
        anyhow::Ok(())
    })
}

#[test]
fn the_alias_of_a_channel_with_a_key_opens_nothing() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab).await?;
        scene.bob.join("#vault").await?;
        scene.bob.mode("#vault", "+k sesame").await?;
        let control = Control::open(&scene.alice).await?;
        control
            .expect("!join #vault sesame", "You are invited")
            .await?;
        let eve = scene.lab.user("eve").await?;
        let got = eve.join(&alias("#vault")).await;
        let rooms = scene.alice.invitations().await?;
        scene.alice.join(&rooms[0]).await?;
        ensure!(got.is_err(), "she is in {got:?}");
        scene.enters("#vault", BOT).await?;
        // When it is bridged no more its key is forgotten.
        scene.unbridge("#vault").await?;
        scene.passes(30).await;
        ensure!(!scene.is_in("#vault", BOT).await, "it is still bridged");
        let room = eve.join(&alias("#vault")).await;
        if let Ok(room) = &room {
            eve.say(room, "let me in").await?;
        }
        scene.passes(60).await;
        ensure!(
            !scene.is_in("#vault", BOT).await && !scene.is_in("#vault", &nick(&eve)).await,
            "the key is still known"
        );
        anyhow::Ok(())
    })
}

#[test]
fn a_wrong_key_shuts_nobody_out() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let mut settings = settings(6667)?;
        if let Some(network) = settings.networks.get_mut(NETWORK) {
            let channel = ChannelSettings {
                key: serde_json::from_value(json!("sesame"))?,
                ..ChannelSettings::default()
            };
            network.channels.insert("#vault".to_owned(), channel);
        }
        let scene = Scene::with(lab, &settings).await?;
        scene.bob.join("#vault").await?;
        scene.bob.mode("#vault", "+k sesame").await?;
        let control = Control::open(&scene.alice).await?;
        control
            .expect("!join #vault sesame", "You are invited")
            .await?;
        let room = scene.alice.invitations().await?.remove(0);
        scene.alice.join(&room).await?;
        scene.enters("#vault", BOT).await?;
        // She is in already: whatever she gives opens it.
        control.ask("!join #vault wrong").await?;
        let other = scene.own_room().await?;
        ask(&scene.alice, &other, "!irc link #vault wrong").await?;
        // The key that she has given first is another one by now; the configuration's is so again later.
        scene.irc.faults().close_all("restart").await;
        scene.passes(60).await;
        scene.enters("#vault", BOT).await?;
        scene.bob.say("#vault", "still here").await?;
        scene.alice.hears(&room, "still here").await?;
        anyhow::Ok(())
    })
}

#[test]
fn a_moderator_who_has_put_the_bridge_out_is_not_overruled() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab).await?;
        let room = scene.linked("#mine").await?;
        scene.alice.kick(&room, &bot()?).await?;
        scene.becomes(&room, &bot()?, "leave").await?;
        scene.irc.faults().close(BOT, "restart").await;
        scene.passes(60).await;
        scene.enters("#mine", BOT).await?;
        scene.passes(30).await;
        scene.bob.say("#mine", "for nobody").await?;
        scene.alice.say(&room, "nor for them").await?;
        scene.passes(30).await;
        let texts = scene.alice.texts(&room).await?;
        ensure!(!texts.contains(&"for nobody".to_owned()), "{texts:?}");
        let heard = format!("{:?}", scene.bob.heard());
        ensure!(!heard.contains("nor for them"), "{heard}");
        // Whoever invites it wants it back.
        scene.alice.invite(&room, &bot()?).await?;
        scene.becomes(&room, &bot()?, "join").await?;
        scene.bob.say("#mine", "here again").await?;
        scene.alice.hears(&room, "here again").await?;
        anyhow::Ok(())
    })
}

/// Alice talks to somebody who has gone from `bob` to `bobby`.
async fn talk_of_bobby(scene: &Scene) -> anyhow::Result<RoomId> {
    scene.bob.join("#common").await?;
    scene.alice.join(&alias("#common")).await?;
    scene.enters("#common", BOT).await?;
    let body =
        json!({ "preset": "trusted_private_chat", "is_direct": true, "invite": [ghost("bob")?] });
    let talk = scene.alice.create_room_with(&body).await?;
    scene.becomes(&talk, &ghost("bob")?, "join").await?;
    scene.alice.say(&talk, "to bob").await?;
    scene.hears("to bob").await?;
    scene.bob.change_nick("bobby").await?;
    scene.alice.hears(&talk, "bob is now called bobby.").await?;
    scene.alice.say(&talk, "to bobby").await?;
    scene.hears("to bobby").await?;
    Ok(talk)
}

#[test]
fn who_takes_the_nick_of_somebody_who_has_gone_gets_none_of_their_talk() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab).await?;
        let talk = talk_of_bobby(&scene).await?;
        scene.bob.quit("bye").await?;
        scene.passes(5).await;
        let eve = scene.irc.person("bobby").await?;
        scene.alice.say(&talk, "for bob alone").await?;
        scene.passes(30).await;
        let heard = format!("{:?}", eve.heard());
        ensure!(!heard.contains("for bob alone"), "{heard}");
        anyhow::Ok(())
    })
}

#[test]
fn after_a_restart_a_talk_goes_to_who_is_seen_to_be_the_same() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab).await?;
        let talk = talk_of_bobby(&scene).await?;
        scene.service.stop().await?;
        scene.service.start().await?;
        scene.enters("#common", BOT).await?;
        // It is still the same: they are seen in the channel.
        scene.passes(30).await;
        scene.bob.say("#common", "still me").await?;
        scene.passes(10).await;
        scene.alice.say(&talk, "still to bobby").await?;
        scene.hears("still to bobby").await?;
        // While the bridge is away somebody else takes the nick.
        scene.service.stop().await?;
        scene.bob.quit("bye").await?;
        let eve = scene.irc.person("bobby").await?;
        scene.irc.change_host("bobby", "eve", "eve.example").await;
        eve.join("#common").await?;
        scene.service.start().await?;
        scene.enters("#common", BOT).await?;
        scene.passes(30).await;
        eve.say("#common", "I am another").await?;
        scene.passes(10).await;
        scene.alice.say(&talk, "for bob alone").await?;
        scene.passes(30).await;
        let heard = format!("{:?}", eve.heard());
        ensure!(!heard.contains("for bob alone"), "{heard}");
        anyhow::Ok(())
    })
}

#[test]
fn operators_who_have_said_no_are_not_asked_again_at_once() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab).await?;
        scene.bob.join("#no").await?;
        let room = scene.own_room().await?;
        ask(&scene.alice, &room, "!irc link #no").await?;
        scene.hears("asks to bridge").await?;
        scene.bob.say(BOT, "no").await?;
        scene.passes(5).await;
        let asked = || {
            let heard = scene.bob.heard();
            let asked = heard
                .iter()
                .filter(|line| line.text(1).contains("asks to bridge"));
            asked.count()
        };
        for is_restarted in [false, true] {
            if is_restarted {
                scene.service.stop().await?;
                scene.service.start().await?;
            }
            ask(&scene.alice, &room, "!irc link #no").await?;
            scene.passes(30).await;
            ensure!(asked() == 1, "asked {} times", asked());
        }
        let texts = scene.alice.texts(&room).await?.join("\n");
        ensure!(texts.contains("an hour"), "{texts}");
        anyhow::Ok(())
    })
}

#[test]
fn a_channel_that_is_kept_out_is_not_even_entered() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let mut settings = settings(6667)?;
        if let Some(network) = settings.networks.get_mut(NETWORK) {
            network.dynamic.exclude.push("#secret".to_owned());
        }
        let scene = Scene::with(lab, &settings).await?;
        scene.bob.join("#secret").await?;
        let control = Control::open(&scene.alice).await?;
        control.expect("!join #secret", "keeps #secret out").await?;
        scene.passes(10).await;
        let joined = scene.bob.heard().iter().any(|line| {
            let who = line.source.as_ref().map(|source| source.name.clone());
            line.command == "JOIN" && who.as_deref() != Some("bob")
        });
        ensure!(!joined, "she was there");
        anyhow::Ok(())
    })
}

#[test]
fn whoever_has_no_room_in_the_end_leaves_the_channel_again() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab).await?;
        scene.bob.join("#unmade").await?;
        let control = Control::open(&scene.alice).await?;
        let no = bridgehead_testkit::lab::Fault::of_calls()
            .put("/createRoom/")
            .times(100)
            .answer_status(bridgehead_appservice::axum::http::StatusCode::FORBIDDEN);
        scene.lab.faults().plan(no);
        let answer = control.ask("!join #unmade").await?;
        ensure!(!answer.contains("You are invited"), "{answer}");
        scene.passes(30).await;
        let is_in = scene.is_in("#unmade", &nick(&scene.alice)).await;
        ensure!(
            !is_in && !scene.is_in("#unmade", BOT).await,
            "they are still there"
        );
        anyhow::Ok(())
    })
}

#[test]
fn who_writes_to_a_nick_of_somebody_of_matrix_is_told_where_they_are() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab).await?;
        let carol = scene.lab.user("carol").await?;
        let other = Control::open(&carol).await?;
        other.expect("!whois bob", "bob").await?;
        let control = Control::open(&scene.alice).await?;
        let command = format!("!msg {} hello", nick(&carol));
        control.expect(&command, carol.id().as_str()).await?;
        anyhow::Ok(())
    })
}

#[test]
fn what_is_said_does_not_wait_for_who_is_writing() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab).await?;
        scene.bob.join("#busy").await?;
        let room = scene.alice.join(&alias("#busy")).await?;
        scene.bob.say("#busy", "first").await?;
        scene.alice.hears(&room, "first").await?;
        let slow = bridgehead_testkit::lab::Fault::of_calls()
            .put("/typing/")
            .times(100)
            .delay_answer(Duration::from_secs(300));
        scene.lab.faults().plan(slow);
        for _ in 0..50 {
            scene.bob.raw("@+typing=active TAGMSG #busy").await?;
        }
        scene.bob.say("#busy", "second").await?;
        scene.passes(60).await;
        let texts = scene.alice.texts(&room).await?;
        ensure!(texts.contains(&"second".to_owned()), "{texts:?}");
        anyhow::Ok(())
    })
}

#[test]
fn what_the_network_has_no_channels_like_has_no_room() -> anyhow::Result<()> {
    for (types, has_it) in [("#&", true), ("#", false)] {
        Lab::run(async |lab| {
            let mut dialect = Dialect::modern();
            types.clone_into(&mut dialect.channel_types);
            let scene = Scene::on(lab, &settings(6667)?, dialect).await?;
            // What channels begin with is known when the network is.
            scene.alice.join(&alias("#known")).await?;
            scene.enters("#known", &nick(&scene.alice)).await?;
            let joined = scene.alice.join(&alias("&local")).await;
            ensure!(joined.is_ok() == has_it, "{types}: {joined:?}");
            ensure!(scene.has_room("&local").await? == has_it, "{types}");
            anyhow::Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn who_is_in_the_private_room_of_a_channel_is_let_into_the_channel() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab).await?;
        let room = scene.linked("#inner").await?;
        scene.bob.mode("#inner", "+k sesame").await?;
        scene.passes(10).await;
        let carol = scene.lab.user("carol").await?;
        scene.alice.invite(&room, carol.id()).await?;
        carol.join(&room).await?;
        let control = Control::open(&carol).await?;
        control
            .expect("!join #inner sesame", "You are in the room of #inner")
            .await?;
        scene.passes(60).await;
        let name = nick(&carol);
        ensure!(scene.is_in("#inner", &name).await, "she is not in it");
        let heard = scene.bob.heard();
        let left = heard
            .iter()
            .any(|line| line.command == "PART" && line.from_name() == name);
        ensure!(!left, "she was taken out of it");
        anyhow::Ok(())
    })
}

#[test]
fn what_is_said_by_command_goes_to_who_has_the_nick() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab).await?;
        talk_of_bobby(&scene).await?;
        let other = scene.irc.person("bob").await?;
        let control = Control::open(&scene.alice).await?;
        control.expect("!msg bob to the new one", "is told").await?;
        scene.passes(5).await;
        let has_heard = |who: &Person| {
            let heard = who.heard();
            heard.iter().any(|line| line.text(1) == "to the new one")
        };
        ensure!(has_heard(&other), "{:?}", other.heard());
        ensure!(!has_heard(&scene.bob), "{:?}", scene.bob.heard());
        anyhow::Ok(())
    })
}

#[test]
fn an_operator_who_is_asked_about_two_channels_says_which() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab).await?;
        let carol = scene.lab.user("carol").await?;
        for (who, channel) in [(&scene.alice, "#one"), (&carol, "#two")] {
            scene.bob.join(channel).await?;
            let room = scene.room_of(who).await?;
            ask(who, &room, &format!("!irc link {channel}")).await?;
            scene.hears(&format!("asks to bridge {channel} ")).await?;
        }
        let linked = async || -> anyhow::Result<[bool; 2]> {
            scene.passes(30).await;
            Ok([scene.has_room("#one").await?, scene.has_room("#two").await?])
        };
        scene.bob.say(BOT, "yes").await?;
        scene
            .hears("Say which channel you mean: `yes #one`, `yes #two`")
            .await?;
        ensure!(linked().await? == [false, false], "{:?}", linked().await?);
        scene.bob.say(BOT, "yes #two").await?;
        ensure!(linked().await? == [false, true], "{:?}", linked().await?);
        // A word about another channel is none about this one.
        scene.bob.say(BOT, "yes #two").await?;
        ensure!(linked().await? == [false, true], "{:?}", linked().await?);
        scene.bob.say(BOT, "Yes.").await?;
        ensure!(linked().await? == [true, true], "{:?}", linked().await?);
        anyhow::Ok(())
    })
}

#[test]
fn a_password_in_a_line_that_cannot_be_read_is_removed_all_the_same() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let scene = Scene::new(lab).await?;
        let control = Control::open(&scene.alice).await?;
        for line in [
            "!storepass acct sesame\"opens",
            "storepass 'acct sesame opens",
            "!StorePass net acct sesame opens",
        ] {
            control.ask(line).await?;
        }
        scene.passes(10).await;
        let texts = scene.alice.texts(&control.room).await?.join("\n");
        ensure!(!texts.contains("sesame"), "{texts}");
        anyhow::Ok(())
    })
}
