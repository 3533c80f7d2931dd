//! A tree of text as lines with IRC's codes, with the marks that people type, or with neither.

use bridgehead_appservice::config::{JsonSchema, schemars};
use bridgehead_appservice::format::{
    Colour, Encoder, Inline, Layout, Line, LineKind, Marked, Plain, Rich, Style as Look,
};
use bridgehead_irc_protocol::formatting::{self, Color, Span};
use serde::{Deserialize, Serialize};

/// How formatted texts look on IRC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// IRC's formatting codes.
    #[default]
    Codes,
    /// What people type: `*bold*`, `_italic_`, `~struck~`.
    Marks,
    /// The words alone.
    Plain,
}

/// What a spoiler is written in: black on black.
const HIDDEN: Option<Color> = Some(Color::Palette(1));

/// The lines of a text. None is blank, and of control characters there are formatting codes alone.
pub(super) fn lines(rich: &Rich, style: Style) -> Vec<String> {
    let lines = rich.lines(&layout()).into_iter();
    let lines = lines.filter(|line| !line.is_blank());
    lines.map(|line| clean(&written(&line, style))).collect()
}

fn layout() -> Layout {
    Layout {
        blank_lines: false,
        ..Layout::default()
    }
}

fn written(line: &Line, style: Style) -> String {
    // The lines of a block stand apart anyway, and people copy them.
    let is_block = matches!(line.kind, LineKind::Code(_));
    match style {
        Style::Codes => coded(line),
        Style::Marks => line.encoded(&Words {
            is_marked: !is_block,
        }),
        Style::Plain => line.encoded(&Words { is_marked: false }),
    }
}

fn coded(line: &Line) -> String {
    let mut spans = vec![Span::new(line.lead.as_str(), formatting::Style::default())];
    let mut hidden = None;
    for inline in line.inlines() {
        let spoiler = &inline.style.spoiler;
        if let Some(reason) = spoiler
            .as_ref()
            .filter(|reason| hidden != *spoiler && !reason.is_empty())
        {
            spans.push(Span::new(
                format!("({reason}) "),
                formatting::Style::default(),
            ));
        }
        hidden.clone_from(spoiler);
        spans.push(span(inline));
    }
    formatting::write(&spans)
}

fn span(inline: &Inline) -> Span {
    let look = &inline.style;
    let (foreground, background) = match look.spoiler {
        Some(_) => (HIDDEN, HIDDEN),
        None => colors(look.fg, look.bg),
    };
    let style = formatting::Style {
        bold: look.bold,
        italic: look.italic,
        underline: look.underline,
        strike: look.strike,
        monospace: look.code,
        reverse: false,
        foreground,
        background,
    };
    Span::new(inline.words(), style)
}

/// The nearest ones that every client has. Two that are not the same stay two, or the text could not be read.
fn colors(fg: Option<Colour>, bg: Option<Colour>) -> (Option<Color>, Option<Color>) {
    let nearest = |colour: Colour| Color::Rgb(colour.red, colour.green, colour.blue).nearest();
    let near = (fg.map(nearest), bg.map(nearest));
    match near {
        (Some(text), Some(behind)) if text == behind && fg != bg => (Some(text), None),
        _ => near,
    }
}

/// Words, with the marks that people type or without any. What a spoiler hides cannot be hidden, and so is named.
struct Words {
    is_marked: bool,
}

impl Words {
    fn marks(&self, from: &Look, to: &Look, out: &mut String) {
        if self.is_marked {
            Marked.change(from, to, out);
        }
    }
}

impl Encoder for Words {
    fn change(&self, from: &Look, to: &Look, out: &mut String) {
        let open = |look: &Look| Look {
            spoiler: None,
            ..look.clone()
        };
        if from.spoiler == to.spoiler {
            return self.marks(&open(from), &open(to), out);
        }
        self.marks(&open(from), &Look::default(), out);
        if from.spoiler.is_some() {
            out.push(']');
        }
        match to.spoiler.as_deref() {
            None => {}
            Some("") => out.push_str("[spoiler: "),
            Some(reason) => out.push_str(&format!("[spoiler ({reason}): ")),
        }
        self.marks(&Look::default(), &open(to), out);
    }

    fn text(&self, text: &str, style: &Look, out: &mut String) {
        Plain.text(text, style, out);
    }
}

/// What neither ends a line nor means something to a server: the kit has left out all other control characters, and this
/// does not rely on it.
fn clean(line: &str) -> String {
    let mut clean = String::with_capacity(line.len());
    for c in line.chars() {
        match c {
            '\t' => clean.push_str("    "),
            '\u{a0}' | '\u{85}' | '\u{2028}' | '\u{2029}' => clean.push(' '),
            '\x02' | '\x03' | '\x04' | '\x0f' | '\x11' | '\x16' | '\x1d' | '\x1e' | '\x1f' => {
                clean.push(c);
            }
            c if c.is_control() => {}
            c => clean.push(c),
        }
    }
    clean
}
