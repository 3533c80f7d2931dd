//! The pieces that lines of text are made of, and how each of them looks.

use std::{fmt, sync::Arc};

use super::uri;
use crate::id::{MxcUri, RoomAlias, RoomId, UserId};

/// A colour without transparency, as `data-mx-color` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Colour {
    /// The red part.
    pub red: u8,
    /// The green part.
    pub green: u8,
    /// The blue part.
    pub blue: u8,
}

/// The colours that HTML has always had names for; old clients write them into `<font color>`.
const NAMED_COLOURS: [(&str, u32); 18] = [
    ("aqua", 0x00_ffff),
    ("black", 0x00_0000),
    ("blue", 0x00_00ff),
    ("cyan", 0x00_ffff),
    ("fuchsia", 0xff_00ff),
    ("gray", 0x80_8080),
    ("green", 0x00_8000),
    ("lime", 0x00_ff00),
    ("magenta", 0xff_00ff),
    ("maroon", 0x80_0000),
    ("navy", 0x00_0080),
    ("olive", 0x80_8000),
    ("orange", 0xff_a500),
    ("purple", 0x80_0080),
    ("red", 0xff_0000),
    ("silver", 0xc0_c0c0),
    ("white", 0xff_ffff),
    ("yellow", 0xff_ff00),
];

impl Colour {
    /// A colour of its three parts.
    #[must_use]
    pub const fn new(red: u8, green: u8, blue: u8) -> Self {
        Self { red, green, blue }
    }

    /// Reads `#rrggbb`, `#rgb` or one of HTML's old colour names, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let Some(digits) = text.strip_prefix('#') else {
            let named = NAMED_COLOURS.iter().find(|(name, _)| *name == text);
            return named.map(|(_, value)| Self::from_value(*value));
        };
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let value = u32::from_str_radix(digits, 16).ok()?;
        match digits.len() {
            6 => Some(Self::from_value(value)),
            3 => Some(Self::from_short(value)),
            _ => None,
        }
    }

    const fn from_value(value: u32) -> Self {
        let [_, red, green, blue] = value.to_be_bytes();
        Self { red, green, blue }
    }

    const fn from_short(value: u32) -> Self {
        let [_, _, high, low] = value.to_be_bytes();
        Self::new((high & 15) * 17, (low >> 4) * 17, (low & 15) * 17)
    }
}

/// Writes `#rrggbb`.
impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

/// How a piece of text looks. The default is text without any marks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Style {
    /// Bold.
    pub bold: bool,
    /// Italic.
    pub italic: bool,
    /// Underlined.
    pub underline: bool,
    /// Struck through.
    pub strike: bool,
    /// Code: fixed width, taken literally.
    pub code: bool,
    /// The text's colour.
    pub fg: Option<Colour>,
    /// The colour behind the text.
    pub bg: Option<Colour>,
    /// Where the text links to: `http`, `https`, `ftp`, `mailto`, `magnet` or `matrix`; others are left out.
    pub link: Option<Arc<str>>,
    /// Hidden until the reader asks for it, with the reason (which may be empty).
    pub spoiler: Option<Arc<str>>,
}

impl Style {
    /// Bold text.
    #[must_use]
    pub fn bold() -> Self {
        Self {
            bold: true,
            ..Self::default()
        }
    }

    /// Italic text.
    #[must_use]
    pub fn italic() -> Self {
        Self {
            italic: true,
            ..Self::default()
        }
    }

    /// Code.
    #[must_use]
    pub fn code() -> Self {
        Self {
            code: true,
            ..Self::default()
        }
    }

    /// A link.
    #[must_use]
    pub fn link(url: &str) -> Self {
        Self {
            link: Some(url.into()),
            ..Self::default()
        }
    }

    /// Whether there is no mark at all.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// Who or what is mentioned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A user.
    User(UserId),
    /// A room by its id, with servers that know it.
    Room {
        /// The room.
        id: RoomId,
        /// Servers by which it can be joined.
        via: Vec<String>,
    },
    /// A room by its alias.
    Alias(RoomAlias),
    /// All members of the room (`@room`). Never read from text: whoever writes it must mean it.
    Everyone,
}

impl Target {
    /// What names it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::User(id) => id.as_str(),
            Self::Room { id, .. } => id.as_str(),
            Self::Alias(alias) => alias.as_str(),
            Self::Everyone => "@room",
        }
    }
}

/// A user or a room that is mentioned; clients show it as a pill.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mention {
    /// Who or what.
    pub target: Target,
    /// The name that readers see.
    pub name: String,
}

impl Mention {
    /// A mention of a user.
    #[must_use]
    pub fn user(user_id: &UserId, name: &str) -> Self {
        Self {
            target: Target::User(user_id.clone()),
            name: name.to_owned(),
        }
    }

    /// A mention of a room.
    #[must_use]
    pub fn room(room_id: &RoomId, name: &str) -> Self {
        let target = Target::Room {
            id: room_id.clone(),
            via: Vec::new(),
        };
        Self {
            target,
            name: name.to_owned(),
        }
    }

    /// A mention of a room by its alias.
    #[must_use]
    pub fn alias(alias: &RoomAlias) -> Self {
        Self {
            target: Target::Alias(alias.clone()),
            name: alias.to_string(),
        }
    }

    /// A mention of all members of the room.
    #[must_use]
    pub fn everyone() -> Self {
        Self {
            target: Target::Everyone,
            name: "@room".to_owned(),
        }
    }

    /// The `matrix.to` link of the mention; nothing for everyone.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        uri::matrix_to(&self.target)
    }
}

/// A picture in the line: a custom emoji, or any other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Image {
    /// The picture.
    pub uri: MxcUri,
    /// What is shown instead of it, such as `:party:`.
    pub alt: String,
    /// Whether it is a custom emoji, as large as the line (`data-mx-emoticon`).
    pub emoji: bool,
}

/// What a piece of a line is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Piece {
    /// Text of one line, without control characters.
    Text(String),
    /// A mention.
    Mention(Mention),
    /// A picture.
    Image(Image),
    /// The line ends here.
    Break,
}

/// A piece of a line and how it looks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Inline {
    /// What it is.
    pub piece: Piece,
    /// How it looks.
    pub style: Style,
}

impl Inline {
    /// Text with a style. Line ends in it become breaks when it is put into a [`super::Rich`].
    pub fn text(text: impl Into<String>, style: Style) -> Self {
        Self {
            piece: Piece::Text(text.into()),
            style,
        }
    }

    /// Text without marks.
    pub fn plain(text: impl Into<String>) -> Self {
        Self::text(text, Style::default())
    }

    /// The end of a line.
    #[must_use]
    pub fn line_break() -> Self {
        Self {
            piece: Piece::Break,
            style: Style::default(),
        }
    }

    /// The words that a reader without formatting sees.
    #[must_use]
    pub fn words(&self) -> &str {
        match &self.piece {
            Piece::Text(text) => text,
            Piece::Mention(mention) => &mention.name,
            Piece::Image(image) => &image.alt,
            Piece::Break => "\n",
        }
    }

    /// Whether it can only be kept or left out as a whole.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.piece, Piece::Mention(_) | Piece::Image(_))
    }
}

impl From<Mention> for Inline {
    fn from(mention: Mention) -> Self {
        Self {
            piece: Piece::Mention(mention),
            style: Style::default(),
        }
    }
}

impl From<Image> for Inline {
    fn from(image: Image) -> Self {
        Self {
            piece: Piece::Image(image),
            style: Style::default(),
        }
    }
}

/// Who a message mentions: the content's `m.mentions`
/// (Client-Server API, "User and room mentions").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mentions {
    /// The users, each once, in the text's order.
    pub users: Vec<UserId>,
    /// Whether all members of the room are meant.
    pub room: bool,
}

impl Mentions {
    /// Nobody: what a message says that must not notify.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a user, once.
    pub fn add_user(&mut self, user_id: &UserId) {
        if !self.users.contains(user_id) {
            self.users.push(user_id.clone());
        }
    }

    pub(super) fn add(&mut self, mention: &Mention) {
        match &mention.target {
            Target::User(id) => self.add_user(id),
            Target::Room { .. } | Target::Alias(_) => {}
            Target::Everyone => self.room = true,
        }
    }
}
