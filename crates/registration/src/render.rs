//! A registration as text: with comments for the person who reads it.

use std::fmt::Write as _;

use crate::{
    BridgeheadOptions, Namespace, Registration, RegistrationDraft, Secret, UnknownKey, UnknownValue,
};

/// A longer key must be announced by `?` (YAML 1.2, section 7.4.2).
const MAX_PLAIN_KEY_CHARS: usize = 500;

impl Registration {
    /// The registration as the text of a file, tokens included. It reads back as this registration, keys that nobody
    /// here knows included; comments of the file that it was read from are not in it.
    #[must_use]
    pub fn to_yaml(&self) -> Secret {
        let draft = RegistrationDraft::from(self);
        render(&draft, self.as_token.expose(), self.hs_token.expose())
    }
}

/// The text for a draft with these tokens.
pub(crate) fn render(draft: &RegistrationDraft, as_token: &str, hs_token: &str) -> Secret {
    let mut text = head(draft, as_token, hs_token);
    push_flags(&mut text, draft);
    push_strings(
        &mut text,
        "Third-party protocols that the service answers for.",
        "protocols",
        &draft.protocols,
    );
    push_strings(
        &mut text,
        "Networks that the service's token may be used from.",
        "ip_range_whitelist",
        &draft.ip_range_whitelist,
    );
    text.push_str(
        "\n# What the service owns (exclusive: true) or watches. Patterns match from the start of the id, sigil included.\n\
         namespaces:\n",
    );
    push_namespaces(&mut text, "users", &draft.users);
    push_namespaces(&mut text, "aliases", &draft.aliases);
    push_namespaces(&mut text, "rooms", &draft.rooms);
    push_bridgehead(&mut text, draft.bridgehead);
    if !draft.unknown.is_empty() {
        text.push_str("\n# What others than this program have put here.\n");
        push_entries(&mut text, 0, &draft.unknown);
    }
    Secret::new(text)
}

fn head(draft: &RegistrationDraft, as_token: &str, hs_token: &str) -> String {
    let url = draft
        .url
        .as_deref()
        .map_or_else(|| "null".to_owned(), quoted);
    format!(
        "# Registration of an application service. The server and the service both read it; keep it secret.\n\
         \n\
         # Unique on this server. Never change it once the service has run.\n\
         id: {id}\n\
         \n\
         # Where the server reaches the service. websocket or null: it comes for its events itself, if it wants any.\n\
         url: {url}\n\
         \n\
         # The service shows this token to the server.\n\
         as_token: {as_token}\n\
         # The server shows this token to the service.\n\
         hs_token: {hs_token}\n\
         \n\
         # The service's own user is @<sender_localpart>:<server name>.\n\
         sender_localpart: {sender}\n",
        id = quoted(&draft.id),
        as_token = quoted(as_token),
        hs_token = quoted(hs_token),
        sender = quoted(&draft.sender_localpart),
    )
}

fn push_flags(text: &mut String, draft: &RegistrationDraft) {
    let features = draft.features;
    write!(
        text,
        "\n\
         # Whether the users that the service makes are held to the server's rate limits.\n\
         rate_limited: {}\n\
         # Whether the service is told of typing, read receipts and presence.\n\
         receive_ephemeral: {}\n",
        draft.rate_limited, features.receive_ephemeral,
    )
    .expect("writing to a string cannot fail");
    for (wanted, comment, key) in [
        (
            features.push_ephemeral_unstable,
            "The same, for servers that know the older name.",
            "de.sorunome.msc2409.push_ephemeral",
        ),
        (
            features.msc3202,
            "The service is told of device lists and one-time keys, for encryption.",
            "org.matrix.msc3202",
        ),
        (
            features.msc4190,
            "The service makes devices for its users without logging in.",
            "io.element.msc4190",
        ),
    ] {
        if wanted {
            push_line(text, &format!("# {comment}\n{key}: true"));
        }
    }
}

fn push_strings(text: &mut String, comment: &str, key: &str, values: &[String]) {
    if values.is_empty() {
        return;
    }
    push_line(text, &format!("\n# {comment}\n{key}:"));
    for value in values {
        push_line(text, &format!("  - {}", quoted(value)));
    }
}

fn push_namespaces(text: &mut String, key: &str, namespaces: &[Namespace]) {
    if namespaces.is_empty() {
        push_line(text, &format!("  {key}: []"));
        return;
    }
    push_line(text, &format!("  {key}:"));
    for namespace in namespaces {
        push_line(text, &format!("    - regex: {}", quoted(&namespace.regex)));
        push_line(text, &format!("      exclusive: {}", namespace.exclusive));
    }
}

fn push_bridgehead(text: &mut String, options: BridgeheadOptions) {
    let chosen: Vec<_> = BridgeheadOptions::KEYS
        .into_iter()
        .zip(options.choices())
        .filter_map(|(key, choice)| Some((key, choice?)))
        .collect();
    if chosen.is_empty() {
        return;
    }
    push_line(
        text,
        "\n# What the server Bridgehead is to do for this service.\nio.bridgehead:",
    );
    for (key, choice) in chosen {
        push_line(text, &format!("  {key}: {choice}"));
    }
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn push_entries(text: &mut String, indent: usize, entries: &[UnknownKey]) {
    for entry in entries {
        push_indent(text, indent);
        let key = quoted(&entry.key);
        if key.len() > MAX_PLAIN_KEY_CHARS {
            push_line(text, &format!("? {key}"));
            push_indent(text, indent);
        } else {
            text.push_str(&key);
        }
        text.push(':');
        push_value(text, indent + 2, &entry.value);
    }
}

/// What follows `key:` or `-`, with the end of its line.
fn push_value(text: &mut String, indent: usize, value: &UnknownValue) {
    match value {
        UnknownValue::Null => text.push_str(" null\n"),
        UnknownValue::Plain(written) if is_plain(written) => {
            push_line(text, &format!(" {written}"));
        }
        UnknownValue::Plain(written) | UnknownValue::Text(written) => {
            push_line(text, &format!(" {}", quoted(written)));
        }
        UnknownValue::List(items) if items.is_empty() => text.push_str(" []\n"),
        UnknownValue::Map(entries) if entries.is_empty() => text.push_str(" {}\n"),
        UnknownValue::List(items) => {
            text.push('\n');
            for item in items {
                push_indent(text, indent);
                text.push('-');
                push_value(text, indent + 2, item);
            }
        }
        UnknownValue::Map(entries) => {
            text.push('\n');
            push_entries(text, indent, entries);
        }
    }
}

fn push_indent(text: &mut String, indent: usize) {
    text.extend(std::iter::repeat_n(' ', indent));
}

/// Whether this can stand without quotes and nothing in it means anything to YAML.
fn is_plain(written: &str) -> bool {
    written
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
        && written.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

/// Single quotes keep a pattern's backslashes readable; what they cannot hold is escaped in double quotes.
pub(crate) fn quoted(value: &str) -> String {
    if value.chars().all(|c| (' '..='~').contains(&c)) {
        return format!("'{}'", value.replace('\'', "''"));
    }
    let mut text = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            ' '..='~' => text.push(c),
            _ => write!(text, "\\U{:08X}", u32::from(c)).expect("writing to a string cannot fail"),
        }
    }
    text.push('"');
    text
}
