//! Handlers: async functions whose argument types say what they get, and when they are called.
//!
//! Every argument is an *extractor* ([`FromContext`]): it takes something out of the [`Context`] of the event, or says
//! that the event is none of its business, and then the handler is not called. What a handler returns says how the
//! event goes on: [`Verdict`].

mod context;
mod ephemeral;
mod extract;
mod message;
mod query;
mod third_party;

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

pub use self::{
    context::{Context, Delivery},
    ephemeral::{Devices, Presence, Receipt, ToDevice, Typing},
    extract::{
        Declared, FromContext, Member, Raw, Redaction, Rejection, Sender, State, StateEvent,
        StateKind, Timeline,
    },
    message::{Edit, Message, Reaction, Text},
    query::{AliasAsk, GhostPlan, RoomPlan, UserAsk},
    third_party::{ProtocolInfo, RemoteAsk, RemoteLocation, RemoteUser, ThirdParty},
};
pub(crate) use self::{
    context::{Input, Scope},
    third_party::{Protocols, ask_of_alias, ask_of_user},
};
use crate::error::HandlerError;

/// How an event goes on after its handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is handled.
    Done,
    /// It is to be handled again after this time; its room waits. Counts as a failed attempt.
    RetryIn(Duration),
    /// The same, with the reason for the log and for the list of parked events.
    Retry {
        /// The time until then.
        after: Duration,
        /// Why it cannot be done yet.
        reason: String,
    },
    /// It waits for something that is away, such as another network; its room waits with it. Handled again after growing
    /// waits, or when [`Running::hurry`](crate::Running::hurry) is called. That does not count as failed attempts, for as
    /// long as [`Limits::give_up_after`](crate::Limits::give_up_after).
    Wait {
        /// What it waits for, in words.
        reason: String,
    },
    /// It is not its time yet: it is handled after this time, or earlier where something hurries its room. Its room
    /// waits; that is no attempt.
    Hold(Duration),
    /// Its room goes on without it: it is handled behind what was put aside before under the same name in this room,
    /// in a line of its own, and durably so. What is handled there is told so by nothing but its time.
    Aside(String),
    /// It cannot be done, and the sender is told why, in words for people. Handled with that: what this handler has
    /// written with [`Tx`](crate::store::Tx) is dropped, other handlers' writes are not, and those that follow are
    /// called.
    Reject(String),
    /// It is set aside for the operator, with this reason; the room goes on.
    Park(String),
}

/// What handlers for events may return: nothing, a [`Verdict`], or a `Result` of one of them.
pub trait IntoOutcome<T> {
    /// The outcome.
    ///
    /// # Errors
    /// The handler's own.
    fn into_outcome(self) -> Result<T, HandlerError>;
}

impl IntoOutcome<Verdict> for () {
    fn into_outcome(self) -> Result<Verdict, HandlerError> {
        Ok(Verdict::Done)
    }
}

impl IntoOutcome<Verdict> for Verdict {
    fn into_outcome(self) -> Result<Verdict, HandlerError> {
        Ok(self)
    }
}

impl<E: Into<HandlerError>> IntoOutcome<Verdict> for Result<(), E> {
    fn into_outcome(self) -> Result<Verdict, HandlerError> {
        self.map(|()| Verdict::Done).map_err(Into::into)
    }
}

impl<E: Into<HandlerError>> IntoOutcome<Verdict> for Result<Verdict, E> {
    fn into_outcome(self) -> Result<Verdict, HandlerError> {
        self.map_err(Into::into)
    }
}

impl<E: Into<HandlerError>> IntoOutcome<Verdict> for Result<crate::id::EventId, E> {
    fn into_outcome(self) -> Result<Verdict, HandlerError> {
        self.map(|_| Verdict::Done).map_err(Into::into)
    }
}

/// An async function that handles something; implemented for functions and closures of up to eight extractors.
///
/// `Args` and `Out` are worked out by the compiler. The function is called for one event of a room at a time, in the
/// room's order, and for several rooms at the same time. It may wait for whatever it needs; its room waits with it,
/// up to the configured limit (five minutes unless set), after which the attempt counts as failed.
pub trait Handler<Args, Out>: Clone + Send + Sync + 'static {
    /// Calls it; `None` when an extractor says that this is not for it.
    fn call(
        &self,
        context: Context,
    ) -> impl Future<Output = Option<Result<Out, HandlerError>>> + Send;

    /// What the extractors need of the service, looked at when it starts.
    ///
    /// # Errors
    /// A sentence that says what is missing, and how to declare it.
    fn check(declared: &Declared<'_>) -> Result<(), String>;
}

macro_rules! handler {
    ($($argument:ident),*) => {
        impl<Function, Out, Returned, Returns, $($argument,)*> Handler<($($argument,)*), Out> for Function
        where
            Function: Fn($($argument),*) -> Returned + Clone + Send + Sync + 'static,
            Returned: Future<Output = Returns> + Send,
            Returns: IntoOutcome<Out> + Send,
            Out: Send,
            $($argument: FromContext,)*
        {
            #[expect(non_snake_case, reason = "the arguments are named by their types")]
            async fn call(&self, context: Context) -> Option<Result<Out, HandlerError>> {
                $(
                    let $argument = match $argument::from_context(&context).await {
                        Ok(argument) => argument,
                        Err(Rejection::NotForThis) => return None,
                        Err(Rejection::Failed(error)) => return Some(Err(error)),
                    };
                )*
                Some(self($($argument),*).await.into_outcome())
            }

            fn check(declared: &Declared<'_>) -> Result<(), String> {
                $($argument::check(declared)?;)*
                Ok(())
            }
        }
    };
}

handler!(A1);
handler!(A1, A2);
handler!(A1, A2, A3);
handler!(A1, A2, A3, A4);
handler!(A1, A2, A3, A4, A5);
handler!(A1, A2, A3, A4, A5, A6);
handler!(A1, A2, A3, A4, A5, A6, A7);
handler!(A1, A2, A3, A4, A5, A6, A7, A8);

type Boxed<Out> =
    dyn Fn(Context) -> BoxFuture<'static, Option<Result<Out, HandlerError>>> + Send + Sync;

/// A handler of any shape.
pub(crate) struct AnyHandler<Out> {
    /// Its name in logs and metrics.
    pub(crate) name: Arc<str>,
    function: Arc<Boxed<Out>>,
    check: fn(&Declared<'_>) -> Result<(), String>,
}

impl<Out> Clone for AnyHandler<Out> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            function: self.function.clone(),
            check: self.check,
        }
    }
}

impl<Out: Send + 'static> AnyHandler<Out> {
    pub(crate) fn new<Args, H>(name: &str, handler: H) -> Self
    where
        H: Handler<Args, Out>,
        Args: 'static,
    {
        Self {
            name: name.into(),
            function: Arc::new(move |context| {
                let handler = handler.clone();
                Box::pin(async move { handler.call(context).await })
            }),
            check: H::check,
        }
    }

    pub(crate) async fn call(&self, context: Context) -> Option<Result<Out, HandlerError>> {
        (self.function)(context).await
    }

    pub(crate) fn check(&self, declared: &Declared<'_>) -> Result<(), String> {
        (self.check)(declared)
    }
}
