//! The stream of what happens: server-sent events, as the HTML standard has them, with bounds.

use std::{collections::VecDeque, time::Duration};

use reqwest::{Response, header::CONTENT_TYPE};
use serde::Deserialize;
use url::Url;

use super::ClientError;
use crate::{EventKind, OperatorEvent};

/// The server writes a comment now and then when nothing happens. Longer silence is a dead
/// connection.
const SILENCE_AT_MOST: Duration = Duration::from_secs(90);
/// Longest line that is read; an event's JSON is one line.
const MAX_LINE_BYTES: usize = 256 << 10;
/// Most data that one event may have in all its lines.
const MAX_DATA_BYTES: usize = 1 << 20;

/// What comes over the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamItem {
    /// Something happened.
    Event(OperatorEvent),
    /// So many events were not told, because they were read too slowly.
    Missed(u64),
}

/// How the server tells that a reader is too slow.
#[derive(Deserialize)]
struct Lagged {
    missed: u64,
}

/// The live stream. It ends when the server does; the caller decides whether to open another.
#[derive(Debug)]
pub struct EventStream {
    server: Url,
    response: Response,
    parser: Parser,
}

impl EventStream {
    pub(super) fn new(server: Url, response: Response) -> Result<Self, ClientError> {
        let content_type = response.headers().get(CONTENT_TYPE);
        let is_stream = content_type
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("text/event-stream"));
        if !is_stream {
            return Err(ClientError::unexpected(&server, "it sent no event stream"));
        }
        Ok(Self {
            server,
            response,
            parser: Parser::default(),
        })
    }

    /// The next event, once it happens, or that some were missed; `None` when the server has ended the stream. Events of a
    /// kind that this version does not know are passed over. Nothing is lost when the future is
    /// dropped.
    ///
    /// # Errors
    ///
    /// When the connection breaks or is silent for too long, or something else than events comes.
    pub async fn next(&mut self) -> Result<Option<StreamItem>, ClientError> {
        loop {
            while let Some(message) = self.parser.messages.pop_front() {
                if let Some(item) = self.read(&message)? {
                    return Ok(Some(item));
                }
            }
            let chunk = tokio::time::timeout(SILENCE_AT_MOST, self.response.chunk())
                .await
                .map_err(|_| ClientError::silent(&self.server, SILENCE_AT_MOST))?
                .map_err(|error| ClientError::unreachable(&self.server, &error))?;
            let Some(chunk) = chunk else {
                return Ok(None);
            };
            self.parser
                .push(&chunk)
                .map_err(|TooLong| ClientError::unexpected(&self.server, "an event is too long"))?;
        }
    }

    fn read(&self, message: &Message) -> Result<Option<StreamItem>, ClientError> {
        let read = match message.name.as_str() {
            "lagged" => serde_json::from_str(&message.data)
                .map(|lagged: Lagged| StreamItem::Missed(lagged.missed)),
            name if EventKind::NAMES.contains(&name) => {
                serde_json::from_str(&message.data).map(StreamItem::Event)
            }
            _ => return Ok(None),
        };
        read.map(Some).map_err(|error| {
            ClientError::unexpected(&self.server, &format!("an event cannot be read: {error}"))
        })
    }
}

/// A line or an event beyond its bound.
#[derive(Debug, PartialEq, Eq)]
struct TooLong;

/// What came, whole.
#[derive(Debug, Default, PartialEq, Eq)]
struct Message {
    name: String,
    data: String,
}

/// Puts messages together from whatever pieces the network delivers.
#[derive(Debug, Default)]
struct Parser {
    /// The line that has not ended yet.
    line: Vec<u8>,
    /// The last byte was a CR: an LF right behind it belongs to the same line end.
    after_cr: bool,
    /// The message whose lines come in now.
    message: Message,
    has_data: bool,
    /// Whole, and not taken yet: at most what one chunk held.
    messages: VecDeque<Message>,
}

impl Parser {
    fn push(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        for &byte in bytes {
            let ends_cr = std::mem::take(&mut self.after_cr);
            match byte {
                b'\n' if ends_cr => {}
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    self.end_line(&String::from_utf8_lossy(&line))?;
                }
                _ if self.line.len() == MAX_LINE_BYTES => return Err(TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    fn end_line(&mut self, line: &str) -> Result<(), TooLong> {
        if line.is_empty() {
            let message = std::mem::take(&mut self.message);
            if std::mem::take(&mut self.has_data) {
                self.messages.push_back(message);
            }
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.message.name),
            "data" => {
                if self.message.data.len() + value.len() >= MAX_DATA_BYTES {
                    return Err(TooLong);
                }
                if std::mem::replace(&mut self.has_data, true) {
                    self.message.data.push('\n');
                }
                self.message.data.push_str(value);
            }
            // Comments keep the connection open; ids and waits are for readers that resume.
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pieces: &[&[u8]]) -> Vec<(String, String)> {
        let mut parser = Parser::default();
        for piece in pieces {
            parser.push(piece).unwrap();
        }
        let messages = parser.messages.into_iter();
        messages.map(|one| (one.name, one.data)).collect()
    }

    fn message(name: &str, data: &str) -> (String, String) {
        (name.to_owned(), data.to_owned())
    }

    #[test]
    fn every_cut_and_every_line_end_give_the_same() {
        let wanted = vec![message("a", "{\"x\":1}"), message("", "two\nlines")];
        let text =
            ": hello\n\nevent: a\ndata: {\"x\":1}\nid: 7\n\ndata:two\ndata: lines\n\ndata: cut";
        for line_end in ["\n", "\r\n", "\r"] {
            let bytes = text.replace('\n', line_end).into_bytes();
            for cut in 0..=bytes.len() {
                let (head, tail) = bytes.split_at(cut);
                assert_eq!(parse(&[head, tail]), wanted, "{line_end:?} {cut}");
            }
        }
    }

    #[test]
    fn an_event_without_data_is_none() {
        assert_eq!(parse(&[b"event: ping\n\ndata\n\n"]), [message("", "")]);
    }

    #[test]
    fn lines_and_events_have_a_bound() {
        let mut parser = Parser::default();
        let line = vec![b'x'; MAX_LINE_BYTES];
        assert_eq!(parser.push(&line), Ok(()));
        assert_eq!(parser.push(b"x"), Err(TooLong));

        let mut parser = Parser::default();
        let line = format!("data: {}\n", "x".repeat(MAX_LINE_BYTES - 6));
        let pushed = (0..5).try_for_each(|_| parser.push(line.as_bytes()));
        assert_eq!(pushed, Err(TooLong));
    }
}
