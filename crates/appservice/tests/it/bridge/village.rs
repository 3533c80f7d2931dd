//! A small chat network, and the bridge to it.
//!
//! In the village people meet in places and talk. Whoever listens from outside reads the village's book, in which
//! all is written that ever happened, and says how far they have come; if they forget what they have read since they
//! last said so, they read it again. Whatever somebody says from outside stands in the book as well.

use std::{collections::BTreeSet, sync::Arc};

use bridgehead_appservice::{
    HandlerError,
    bridge::{
        Action, Network, Outgoing, Receipt, Remote, RemoteMessage, RoomChange, RoomInfo, SendError,
        UserInfo,
    },
    id::UserId,
};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// One line of the book.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Line {
    Said {
        id: String,
        place: String,
        who: String,
        text: String,
        answers: Option<String>,
    },
    Changed {
        id: String,
        place: String,
        who: String,
        text: String,
    },
    TakenBack {
        id: String,
        place: String,
        who: String,
    },
    Nodded {
        id: String,
        place: String,
        who: String,
        how: String,
        on: bool,
    },
    Came {
        place: String,
        who: String,
    },
    Went {
        place: String,
        who: String,
    },
    Renamed {
        from: String,
        to: String,
    },
    Sign {
        place: String,
        who: String,
        text: String,
    },
    Closed {
        place: String,
        why: String,
    },
}

#[derive(Default)]
struct State {
    book: Vec<Line>,
    /// How far the bridge has come.
    read: usize,
    places: BTreeSet<String>,
    secret: BTreeSet<String>,
    watched: BTreeSet<String>,
    numbers: usize,
    /// Nothing that is sent gets through.
    is_closed: bool,
    /// Words that nobody may say.
    forbidden: BTreeSet<String>,
    /// What the bridge has said, and under which key: a repeat is the same line.
    keys: std::collections::BTreeMap<String, Vec<String>>,
    connections: usize,
    /// People of the village who are people of Matrix as well.
    persons: std::collections::BTreeMap<String, UserId>,
}

/// The village; clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Village {
    state: Arc<Mutex<State>>,
    news: Arc<Notify>,
}

impl Village {
    /// A village with these places.
    pub(crate) fn new(places: &[&str]) -> Self {
        let village = Self::default();
        let places = places.iter().map(|place| (*place).to_owned());
        village.state.lock().places.extend(places);
        village
    }

    fn write(&self, line: Line) {
        self.state.lock().book.push(line);
        self.news.notify_one();
    }

    fn number(&self) -> String {
        let mut state = self.state.lock();
        state.numbers += 1;
        format!("m{}", state.numbers)
    }

    /// Somebody of the village is this person of Matrix.
    pub(crate) fn know(&self, who: &str, person: &UserId) {
        let mut state = self.state.lock();
        state.persons.insert(who.to_owned(), person.clone());
    }

    /// Somebody of the village says something.
    pub(crate) fn say(&self, place: &str, who: &str, text: &str) -> String {
        self.answer(place, who, text, None)
    }

    /// Somebody of the village answers a message.
    pub(crate) fn answer(&self, place: &str, who: &str, text: &str, to: Option<&str>) -> String {
        let id = self.number();
        self.write(Line::Said {
            id: id.clone(),
            place: place.to_owned(),
            who: who.to_owned(),
            text: text.to_owned(),
            answers: to.map(str::to_owned),
        });
        id
    }

    pub(crate) fn change(&self, place: &str, who: &str, id: &str, text: &str) {
        self.write(Line::Changed {
            id: id.to_owned(),
            place: place.to_owned(),
            who: who.to_owned(),
            text: text.to_owned(),
        });
    }

    pub(crate) fn take_back(&self, place: &str, who: &str, id: &str) {
        self.write(Line::TakenBack {
            id: id.to_owned(),
            place: place.to_owned(),
            who: who.to_owned(),
        });
    }

    pub(crate) fn nod(&self, place: &str, who: &str, id: &str, on: bool) {
        self.write(Line::Nodded {
            id: id.to_owned(),
            place: place.to_owned(),
            who: who.to_owned(),
            how: "👍".to_owned(),
            on,
        });
    }

    pub(crate) fn come(&self, place: &str, who: &str) {
        self.write(Line::Came {
            place: place.to_owned(),
            who: who.to_owned(),
        });
    }

    pub(crate) fn go(&self, place: &str, who: &str) {
        self.write(Line::Went {
            place: place.to_owned(),
            who: who.to_owned(),
        });
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        self.write(Line::Renamed {
            from: from.to_owned(),
            to: to.to_owned(),
        });
    }

    pub(crate) fn put_up(&self, place: &str, who: &str, text: &str) {
        self.write(Line::Sign {
            place: place.to_owned(),
            who: who.to_owned(),
            text: text.to_owned(),
        });
    }

    pub(crate) fn close_place(&self, place: &str, why: &str) {
        self.write(Line::Closed {
            place: place.to_owned(),
            why: why.to_owned(),
        });
    }

    /// A place for those who are led there.
    pub(crate) fn hide(&self, place: &str) {
        self.state.lock().secret.insert(place.to_owned());
    }

    /// Nothing gets through from outside any more, or it does again.
    pub(crate) fn shut(&self, is_closed: bool) {
        self.state.lock().is_closed = is_closed;
    }

    /// Nobody may say this word.
    pub(crate) fn forbid(&self, word: &str) {
        self.state.lock().forbidden.insert(word.to_owned());
    }

    /// Everybody may say it again.
    pub(crate) fn permit(&self, word: &str) {
        self.state.lock().forbidden.remove(word);
    }

    /// The bridge reads the book from the beginning once more.
    pub(crate) fn forget_how_far(&self) {
        self.state.lock().read = 0;
        self.news.notify_one();
    }

    /// What was said in a place, as `who: text`; changes, nods and the like in brackets.
    pub(crate) fn heard(&self, place: &str) -> Vec<String> {
        let state = self.state.lock();
        let lines = state.book.iter().filter_map(|line| match line {
            Line::Said {
                place: p,
                who,
                text,
                answers,
                ..
            } if p == place => Some(match answers {
                Some(answered) => format!("{who} to {answered}: {text}"),
                None => format!("{who}: {text}"),
            }),
            Line::Changed {
                place: p,
                who,
                id,
                text,
            } if p == place => Some(format!("[{who} changes {id}: {text}]")),
            Line::TakenBack { place: p, who, id } if p == place => {
                Some(format!("[{who} takes back {id}]"))
            }
            Line::Nodded {
                place: p,
                who,
                id,
                how,
                on,
            } if p == place => Some(format!(
                "[{who} {} {how} at {id}]",
                if *on { "nods" } else { "stops" }
            )),
            Line::Sign {
                place: p,
                who,
                text,
            } if p == place => Some(format!("[{who} puts up: {text}]")),
            Line::Came { place: p, who } if p == place => Some(format!("[{who} comes]")),
            Line::Went { place: p, who } if p == place => Some(format!("[{who} goes]")),
            _ => None,
        });
        lines.collect()
    }

    /// Places that the bridge listens at.
    pub(crate) fn watched(&self) -> Vec<String> {
        self.state.lock().watched.iter().cloned().collect()
    }

    /// How often the bridge has connected.
    pub(crate) fn connections(&self) -> usize {
        self.state.lock().connections
    }

    /// The id of the message with this text.
    pub(crate) fn id_of(&self, wanted: &str) -> String {
        let state = self.state.lock();
        let found = state.book.iter().find_map(|line| match line {
            Line::Said { id, text, .. } if text == wanted => Some(id.clone()),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("nobody has said `{wanted}`"))
    }

    fn next(&self) -> Option<Line> {
        let state = self.state.lock();
        state.book.get(state.read).cloned()
    }

    fn done(&self, line: &Line) {
        let mut state = self.state.lock();
        if state.book.get(state.read) == Some(line) {
            state.read += 1;
        }
    }

    /// Whether the bridge has read all.
    pub(crate) fn is_read(&self) -> bool {
        let state = self.state.lock();
        state.read == state.book.len()
    }
}

/// The bridge's side of the village.
pub(crate) struct Gate {
    pub(crate) village: Village,
}

impl Gate {
    async fn tell(&self, remote: &Remote<Self>, line: &Line) -> Result<(), HandlerError> {
        match line.clone() {
            Line::Said {
                id,
                place,
                who,
                text,
                answers,
            } => {
                let mut message = RemoteMessage::new(id, place, who, text);
                message.reply_to = answers;
                remote.message(message).await?;
            }
            Line::Changed {
                id,
                place,
                who,
                text,
            } if !is_guest(&who) => {
                let edit = RemoteMessage::new(id.clone(), place, who, text);
                remote.edit(&id, edit).await?;
            }
            Line::TakenBack { id, place, who } if !is_guest(&who) => {
                remote.redact(&place, &id, Some(&who), None).await?;
            }
            Line::Nodded {
                id,
                place,
                who,
                how,
                on,
            } if !is_guest(&who) => {
                if on {
                    remote.react(&place, &id, &who, &how).await?;
                } else {
                    remote.unreact(&place, &id, &who, &how).await?;
                }
            }
            Line::Came { place, who } if !is_guest(&who) => remote.join(&place, &who).await?,
            Line::Went { place, who } if !is_guest(&who) => {
                remote.part(&place, &who, None).await?;
            }
            Line::Renamed { from, to } => remote.renamed(&from, &to).await?,
            Line::Sign { place, who, text } => {
                let change = RoomChange {
                    topic: Some(text),
                    ..RoomChange::default()
                };
                // Whoever has put it up, all are told, also the one who has.
                let by = (!is_guest(&who)).then_some(who);
                remote.change(&place, by.as_ref(), change).await?;
            }
            Line::Closed { place, why } => remote.gone(&place, &why).await?,
            _ => {}
        }
        Ok(())
    }

    fn said(&self, outgoing: &Outgoing<Self>, text: &str, answers: Option<String>) -> Vec<String> {
        let known = self.village.state.lock().keys.get(&outgoing.key).cloned();
        if let Some(known) = known {
            return known;
        }
        let who = guest(&outgoing.speaker.user_id);
        let id = self
            .village
            .answer(&outgoing.room, &who, text, answers.as_deref());
        let ids = vec![id];
        let mut state = self.village.state.lock();
        state.keys.insert(outgoing.key.clone(), ids.clone());
        ids
    }
}

/// What somebody of Matrix is called in the village.
fn guest(user: &UserId) -> String {
    format!("guest {}", user.localpart())
}

fn is_guest(who: &str) -> bool {
    who.starts_with("guest ")
}

impl Network for Gate {
    type Room = String;
    type User = String;

    const NAME: &'static str = "village";
    const TITLE: &'static str = "the village";
    const ECHOES: bool = true;
    const EDITS: bool = true;
    const REDACTIONS: bool = true;
    const REACTIONS: bool = true;
    const TOPICS: bool = true;
    const MEMBERSHIP: bool = true;

    async fn run(&self, remote: Remote<Self>) -> Result<(), HandlerError> {
        self.village.state.lock().connections += 1;
        remote.connected();
        loop {
            while let Some(line) = self.village.next() {
                self.tell(&remote, &line).await?;
                self.village.done(&line);
            }
            self.village.news.notified().await;
        }
    }

    async fn send(&self, outgoing: Outgoing<Self>) -> Result<Receipt, SendError> {
        if self.village.state.lock().is_closed {
            return Err(SendError::retry("the gate is shut"));
        }
        let place = outgoing.room.clone();
        let who = guest(&outgoing.speaker.user_id);
        match &outgoing.action {
            Action::Message { content, reply_to } => {
                let text = content.describe().unwrap_or_default();
                let forbidden = self.village.state.lock().forbidden.clone();
                if let Some(word) = forbidden.iter().find(|word| text.contains(*word)) {
                    return Err(SendError::reject(format!("nobody says `{word}` here")));
                }
                let answers = reply_to.as_ref().and_then(|to| to.ids.first().cloned());
                let ids = self.said(&outgoing, &text, answers);
                return Ok(Receipt::parts(ids, Default::default()));
            }
            Action::Edit { target, content } => {
                let text = content.describe().unwrap_or_default();
                self.village.change(&place, &who, &target.ids[0], &text);
            }
            Action::Redact { target, .. } => self.village.take_back(&place, &who, &target.ids[0]),
            Action::React { target, .. } => self.village.nod(&place, &who, &target.ids[0], true),
            Action::Unreact { reaction } => {
                let target = &reaction.reaction.as_ref().expect("a reaction").target;
                self.village.nod(&place, &who, &target[0], false);
            }
            Action::Topic(topic) => self.village.put_up(&place, &who, topic),
            Action::Join => self.village.come(&place, &who),
            Action::Leave { .. } => self.village.go(&place, &who),
            _ => return Err(SendError::unsupported("nobody does that in the village")),
        }
        Ok(Receipt::new())
    }

    async fn person_of(&self, user: &String) -> Option<UserId> {
        self.village.state.lock().persons.get(user).cloned()
    }

    async fn describe_user(&self, user: &String) -> Result<Option<UserInfo>, HandlerError> {
        let mut name = user.clone();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Ok((user != "nobody").then(|| UserInfo::named(&name)))
    }

    async fn describe_room(&self, room: &String) -> Result<Option<RoomInfo<Self>>, HandlerError> {
        if let Some((person, who)) = room.split_once(" and ") {
            let person = UserId::new(person, "localhost")?;
            return Ok(Some(RoomInfo::direct(&person, who.to_owned())));
        }
        let state = self.village.state.lock();
        if !state.places.contains(room) {
            return Ok(None);
        }
        Ok(Some(match state.secret.contains(room) {
            true => RoomInfo::private(room),
            false => RoomInfo::public(room).about("a place in the village"),
        }))
    }

    async fn watch(&self, room: &String, is_linked: bool) -> Result<(), HandlerError> {
        let mut state = self.village.state.lock();
        match is_linked {
            true => state.watched.insert(room.clone()),
            false => state.watched.remove(room),
        };
        Ok(())
    }

    async fn direct_room(
        &self,
        person: &UserId,
        user: &String,
    ) -> Result<Option<String>, HandlerError> {
        Ok((user != "hermit").then(|| format!("{} and {user}", person.localpart())))
    }
}
