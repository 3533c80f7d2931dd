//! From codes to spans.

use super::{COLOR, Color, HEX_COLOR, RESET, Span, Style, is_code, strip};

/// Reads a text with codes: no span is empty, and no two beside each other look the same.
#[must_use]
pub fn parse(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut style = Style::default();
    let mut rest = text;
    while let Some(at) = rest.find(is_code) {
        push(&mut spans, &rest[..at], style);
        let mut chars = rest[at..].chars();
        let code = chars.next().unwrap_or(RESET);
        rest = chars.as_str();
        match code {
            RESET => style = Style::default(),
            COLOR => rest = colors(rest, &mut style, palette_color),
            HEX_COLOR => rest = colors(rest, &mut style, hex_color),
            _ => {
                if let Some(switch) = style.switch(code) {
                    *switch = !*switch;
                }
            }
        }
    }
    push(&mut spans, rest, style);
    spans
}

/// The same spans as they are read back when they were written: without codes in texts, without empty ones, and those that
/// look the same in one.
pub(super) fn normalize(spans: &[Span]) -> Vec<Span> {
    let mut normal = Vec::new();
    for span in spans {
        let style = Style {
            foreground: span.style.foreground.and_then(Color::known),
            background: span.style.background.and_then(Color::known),
            ..span.style
        };
        push(&mut normal, &strip(&span.text), style);
    }
    normal
}

fn push(spans: &mut Vec<Span>, text: &str, style: Style) {
    match spans.last_mut() {
        _ if text.is_empty() => {}
        Some(last) if last.style == style => last.text.push_str(text),
        _ => spans.push(Span::new(text, style)),
    }
}

/// A color, or that there is to be none, and what is left of the text.
type Read<'a> = Option<(Option<Color>, &'a str)>;

/// Reads what follows a color's code, and gives what is left.
///
/// A comma belongs to it only between two colors, and a foreground alone leaves the background as it was.
fn colors<'a>(text: &'a str, style: &mut Style, color: fn(&str) -> Read<'_>) -> &'a str {
    let Some((foreground, rest)) = color(text) else {
        style.foreground = None;
        style.background = None;
        return text;
    };
    style.foreground = foreground;
    match rest.strip_prefix(',').and_then(color) {
        Some((background, rest)) => {
            style.background = background;
            rest
        }
        None => rest,
    }
}

/// One digit or two.
fn palette_color(text: &str) -> Read<'_> {
    let is_digit = |byte: &&u8| byte.is_ascii_digit();
    let digits = text.as_bytes().iter().take(2).take_while(is_digit).count();
    let (number, rest) = text.split_at(digits);
    let color = Color::Palette(number.parse().ok()?);
    Some((color.known(), rest))
}

/// Six hexadecimal digits.
fn hex_color(text: &str) -> Read<'_> {
    let (digits, rest) = text.split_at_checked(6)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
    Some((Some(Color::Rgb(red, green, blue)), rest))
}
