//! From a template's text to its parts, or to what is wrong with it.

use super::{Codec, Field, NamespaceTemplate, TemplateError, TemplateFault};
use crate::NamespaceKind;

/// Reads a template.
pub(super) fn template(
    text: &str,
    kind: NamespaceKind,
) -> Result<NamespaceTemplate, TemplateError> {
    parts(text, kind)
        .map(|(head, fields)| NamespaceTemplate {
            kind,
            text: text.to_owned(),
            head,
            fields,
        })
        .map_err(|fault| TemplateError {
            template: text.to_owned(),
            fault,
        })
}

fn parts(text: &str, kind: NamespaceKind) -> Result<(String, Vec<Field>), TemplateFault> {
    let (head, mut rest) = literal(without_sigil(text, kind)?, kind)?;
    let mut fields: Vec<Field> = Vec::new();
    while let Some(braced) = rest {
        let (name, after) = braced.split_once('}').ok_or(TemplateFault::Brace)?;
        if !is_field_name(name) {
            return Err(TemplateFault::FieldName(name.to_owned()));
        }
        if fields.iter().any(|field| field.name == name) {
            return Err(TemplateFault::Repeated(name.to_owned()));
        }
        let (tail, next) = literal(after, kind)?;
        fields.push(field(name, tail, kind)?);
        rest = next;
    }
    refuse_unseparated(&fields)?;
    if fields.is_empty() {
        return Err(TemplateFault::NoField);
    }
    Ok((head, fields))
}

fn without_sigil(text: &str, kind: NamespaceKind) -> Result<&str, TemplateFault> {
    if let Some(rest) = text.strip_prefix(kind.sigil()) {
        return Ok(rest);
    }
    match text.chars().next() {
        // In an alias `@` and `!` are characters like others.
        Some(found @ ('#' | '!')) if kind == NamespaceKind::Users => Err(TemplateFault::Sigil {
            found,
            wanted: kind,
        }),
        Some(found @ '@') => Err(TemplateFault::Sigil {
            found,
            wanted: kind,
        }),
        _ => Ok(text),
    }
}

/// The literal text at the start, and what follows the `{` behind it.
fn literal(text: &str, kind: NamespaceKind) -> Result<(String, Option<&str>), TemplateFault> {
    let (literal, rest) = match text.split_once('{') {
        Some((literal, rest)) => (literal, Some(rest)),
        None => (text, None),
    };
    for c in literal.chars() {
        check_literal(c, kind)?;
    }
    Ok((literal.to_owned(), rest))
}

fn check_literal(c: char, kind: NamespaceKind) -> Result<(), TemplateFault> {
    match (kind, c) {
        (_, '}') => Err(TemplateFault::Brace),
        (_, ':') => Err(TemplateFault::ServerName),
        (NamespaceKind::Users, _) => {
            let allowed = c.is_ascii_lowercase() || c.is_ascii_digit() || "._=/+-".contains(c);
            allowed.then_some(()).ok_or(TemplateFault::UserCharacter(c))
        }
        (NamespaceKind::Aliases | NamespaceKind::Rooms, _) => {
            let allowed = !c.is_whitespace() && !c.is_control();
            allowed
                .then_some(())
                .ok_or(TemplateFault::AliasCharacter(c))
        }
    }
}

fn is_field_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn field(name: &str, tail: String, kind: NamespaceKind) -> Result<Field, TemplateFault> {
    let codec = Codec {
        kind,
        stop: tail.chars().next(),
    };
    if codec.stop == Some(codec.escape()) {
        return Err(TemplateFault::EscapeAsSeparator {
            field: name.to_owned(),
            separator: codec.escape(),
        });
    }
    Ok(Field {
        name: name.to_owned(),
        codec,
        tail,
    })
}

fn refuse_unseparated(fields: &[Field]) -> Result<(), TemplateFault> {
    for pair in fields.windows(2) {
        if pair[0].tail.is_empty() {
            return Err(TemplateFault::NoSeparator {
                first: pair[0].name.clone(),
                second: pair[1].name.clone(),
            });
        }
    }
    Ok(())
}
