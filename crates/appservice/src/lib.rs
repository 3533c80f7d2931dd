//! Write Matrix application services: bridges, bots, loggers. They work with any homeserver, and are tested against a
//! real one inside the test.
//!
//! # What an application service is
//!
//! A program beside a homeserver. The homeserver brings it every event it has an interest in, and lets it act as any
//! user of a *namespace* that it owns. Who may do what stands in a *registration*, a file that both have: which users
//! and aliases are the service's, where it is reached, and two tokens, one for each direction.
//!
//! Here is a whole one. It logs what is said in rooms with an alias `#logged_…`, and makes such a room when somebody
//! asks for it:
//!
//! ```no_run
#![doc = include_str!("../examples/logger.rs")]
//! ```
//!
//! Started for the first time it writes its configuration and its registration, and says what to tell the homeserver.
//! Then it waits until the homeserver knows it, and works.
//!
//! # Handlers say what they get by their arguments
//!
//! [`Service::on`] takes an async function of up to eight arguments, in any order. Each argument is an *extractor*:
//! it takes something out of the event, or says that the event is none of its business, and then the function is not
//! called. `Text` alone means: only texts, and none that the service's own users have said.
//!
//! ```
//! use bridgehead_appservice::prelude::*;
//!
//! let service = Service::new("echo")
//!     .users("_echo_{name}")
//!     .on(|text: Text, room: Room, ghosts: Ghosts| async move {
//!         let ghost = ghosts.named(text.sender_local())?;
//!         ghost.send(&room, format!("{}, you say?", text.body)).await
//!     });
//! ```
//!
//! | What happened | Extractor |
//! |---|---|
//! | anything in a room, the service's own users' doings too | [`Timeline`] |
//! | a message of somebody else: of any kind, or a text | [`Message`], [`Text`] |
//! | it was edited, redacted, reacted to | [`Edit`], [`Redaction`], [`Reaction`] |
//! | somebody came, went, was invited | [`Member`] |
//! | a state event, read as a type of your own | [`StateEvent`] |
//! | typing, receipts, presence | [`Typing`], [`Receipt`], [`Presence`] |
//! | to-device messages, changed devices | [`ToDevice`], [`Devices`] |
//! | somebody asks for an alias or a user ([`Service::on_alias`], [`Service::on_user`]) | [`AliasAsk`], [`UserAsk`] |
//! | whatever has come, as JSON | [`Raw`] |
//!
//! | What you have at hand | Extractor |
//! |---|---|
//! | the room, with its state; who has sent the event | [`Room`], [`Sender`] |
//! | to act: the service's own user, its ghosts | [`Bot`], [`Ghosts`] |
//! | to write, together with the event's consumption; to read | [`Tx`](store::Tx), [`Store`](store::Store) |
//! | what you gave to [`Service::state`] | [`State`] |
//! | which attempt this is, of which transaction | [`Delivery`] |
//! | a way in for tasks that you spawn | [`Handle`] |
//!
//! An `Option` of an extractor takes what is there. An extractor of your own is a type with [`FromContext`].
//!
//! # What a handler answers
//!
//! Nothing, a [`Verdict`], or a `Result` with any error:
//!
//! | Answer | What comes of it |
//! |---|---|
//! | `()`, `Ok(())`, [`Verdict::Done`] | the event is handled |
//! | `Err(…)` | tried again after a growing wait while the room waits; after [`Limits::attempts`] it is *parked* |
//! | `Err(…)` of the kit, because the homeserver is away | tried again until it is back, without being counted |
//! | [`Verdict::RetryIn`], [`Verdict::Retry`] | tried again after this time |
//! | [`Verdict::Wait`] | tried again until what it waits for is there, without being counted |
//! | [`Verdict::Hold`], [`Verdict::Aside`] | handled later, with the room waiting or going on |
//! | [`Verdict::Reject`] | handled: it cannot be done, and the sender's client shows why; the handler's own [`Tx`](store::Tx) is dropped |
//! | [`Verdict::Park`] | set aside for the operator: `parked` lists it, `replay` brings it back |
//!
//! # The delivery contract
//!
//! - **In: at least once, in each room's order.** A transaction is on disk before the homeserver hears that it has
//!   arrived. What it brings again is recognised: a transaction for [`Limits::remember`], and the last thousand whatever
//!   their age; an event in another transaction for [`Limits::remember`]. Rooms are handled in parallel, the events of
//!   one room one after another; a room whose handler fails waits, and holds up no other.
//! - **Committed: exactly once.** What handlers write with [`Tx`](store::Tx) is carried out in one unit of work with
//!   the event's consumption: all of it, when all handlers have succeeded, or nothing.
//! - **Out: never twice.** What a handler sends is named by the event and its place in the handler; what comes from
//!   another network, by its id there ([`Actor::send_with_key`]). The name makes the transaction id, which is on disk
//!   before the first attempt and is kept through timeouts and crashes; for how long the homeserver recognises it is
//!   its own affair (Synapse: for a day, with [`Service::send_by_device`]). What is given up is kept and listed
//!   ([`Running::given_up`]).
//! - **Too much is refused, not lost.** When [`Limits::inbox_high_water`] events wait, the homeserver is answered 503,
//!   and comes again later.
//!
//! So a handler may be run more than once for an event, and what it does through the kit is there once. What it does
//! by other ways (a call to another network) must be safe to repeat: give the network an id made from the event's.
//!
//! ```
//! use bridgehead_appservice::{prelude::*, store::Migration};
//!
//! const COUNTS: Migration = Migration {
//!     name: "counts",
//!     sql: "CREATE TABLE counts (sender TEXT PRIMARY KEY, said INTEGER NOT NULL)",
//! };
//!
//! let counter = Service::new("counter").migrations(&[COUNTS]).on(|text: Text, tx: Tx| async move {
//!     // Exact, whatever crashes.
//!     tx.execute(
//!         "INSERT INTO counts VALUES (?1, 1) ON CONFLICT (sender) DO UPDATE SET said = said + 1",
//!         [(&text.sender).into()],
//!     );
//! });
//! ```
//!
//! # Actors
//!
//! [`Bot`] is the service's own user, a [`Ghost`] one of its namespace, a [`Puppet`] a real person's account where that
//! person agreed; all are an [`Actor`]. Whatever an actor needs for what it is asked to do is seen to on the way: it is
//! registered, it joins (invited by the bot where the room is not open), it is given power. What the room's rules
//! forbid is refused with the rule, before the homeserver is asked.
//!
//! # Beside the handlers
//!
//! [`Service::routes`] adds an axum router of your own; its handlers take [`Bot`], [`Ghosts`] and
//! [`Store`](store::Store) as well. [`Service::on_start`] is the place to spawn what runs for as long as the service
//! does, such as the connection to another network; give it a [`Handle`].
//!
//! # Testing
//!
//! `bridgehead-testkit` has the `Lab`: the real homeserver in the test's process, without sockets, by a clock that
//! stands still until nothing is left to do. Anything can go wrong in it on request:
//!
//! ```
//! use bridgehead_appservice::prelude::*;
//! use bridgehead_testkit::lab::Lab;
//!
//! let greeter = Service::new("greeter")
//!     .aliases("#greeted_{topic}")
//!     .on_alias(|ask: AliasAsk| async move { RoomPlan::public().name(&ask["topic"]) })
//!     .on(|member: Member, room: Room, bot: Bot| async move {
//!         if member.membership == "join" && !member.is_own {
//!             bot.send(&room, format!("Hello, {}!", member.user_id)).await?;
//!         }
//!         Ok::<_, Error>(())
//!     });
//! Lab::run(async |lab| {
//!     let greeter = lab.mount(greeter).await.expect("a declaration without mistakes");
//!     let alice = lab.user("alice").await.expect("a new user");
//!     // The service does its work, and the homeserver never hears that it has.
//!     lab.faults().lose_next_ack(&greeter);
//!     let room = alice.join("#greeted_hall:localhost").await.expect("made on demand");
//!     lab.settle().await;
//!     let texts = alice.texts(&room).await.expect("a timeline");
//!     assert_eq!(texts, ["Hello, @alice:localhost!"]);
//! });
//! ```
//!
//! # Running
//!
//! [`Service::main`] makes a program of a service: `run`, `register`, `doctor`, `parked`, `replay`, `config`. To run
//! one inside another program, or several in one, use [`Service::start`]. Where clock, randomness and the way to the
//! homeserver come from is [`Surroundings`](surroundings::Surroundings).
//!
//! # Where things are
//!
//! What most services need comes with [`prelude`]. [`id`] are Matrix's identifiers, [`Event`] an event as it came,
//! [`format`](mod@format) rich text and contents of messages, [`store`] the service's database, [`bridge`] what bridges have in
//! common, [`config`] configuration from a struct, [`metrics`] figures.

#![expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the path of a unit's method is not general enough over the unit's lifetime"
)]

mod actors;
pub mod backoff;
pub mod bridge;
mod capabilities;
mod client;
pub mod config;
mod core;
mod error;
mod event;
mod flights;
pub mod format;
mod handler;
pub mod id;
mod inbox;
mod lanes;
pub mod media;
pub mod metrics;
mod namespaces;
mod outbox;
pub mod prelude;
pub mod program;
mod run;
#[cfg(test)]
mod scripted;
mod service;
mod state;
pub mod store;
pub mod surroundings;
mod trace;
mod web;
mod wire;

pub use self::{
    actors::{
        Actor, Bot, Ghost, Ghosts, JoinOptions, MembershipGap, ProfileChange, Propagation, Puppet,
        Room, SendOptions,
    },
    capabilities::Capabilities,
    client::Urgency,
    config::ListenAddress,
    core::Limits,
    error::{Error, HandlerError},
    event::{BadEvent, Event},
    format::content::Content,
    handler::{
        AliasAsk, Context, Declared, Delivery, Devices, Edit, FromContext, GhostPlan, Handler,
        IntoOutcome, Member, Message, Presence, ProtocolInfo, Raw, Reaction, Receipt, Redaction,
        Rejection, RemoteAsk, RemoteLocation, RemoteUser, RoomPlan, Sender, State, StateEvent,
        StateKind, Text, ThirdParty, Timeline, ToDevice, Typing, UserAsk, Verdict,
    },
    inbox::Parked,
    outbox::GivenUp,
    run::{Database, Handle, Health, ReloadError, Reloaded, Running, Setup, StartError, Still},
    service::Service,
    state::{Creation, Fresh, JoinRule, Membership, Power, PowerLevels, RoomMember, Tombstone},
    wire::{Listen, ListenError, Listening, TlsFiles, Websocket, WebsocketLink, WebsocketState},
};
/// The version of axum that [`Service::routes`] takes routers of.
pub use axum;
pub use bridgehead_registration::{self as registration, Secret};
