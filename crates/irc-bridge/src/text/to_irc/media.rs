//! Media as one honest line: what it is, how large, where to see it.

use bridgehead_appservice::format::{Block, Inline, Piece, Rich, content::Media};

use super::{Around, quote::bracket};

/// `[image: cat.png, 12 KiB] https://…` and the caption.
pub(super) fn told(media: &Media, around: &Around<'_>) -> Rich {
    let what = bracket(media);
    let link = (!media.encrypted)
        .then(|| (around.link_of)(media))
        .flatten();
    let line = match link {
        Some(link) => format!("{what} {link}"),
        None if media.encrypted => format!("{what} (encrypted: it cannot be shown here)"),
        None => what,
    };
    let line = Rich::plain(&line);
    match &media.caption {
        None => line,
        Some(caption) => match caption.blocks() {
            [Block::Paragraph(words)] if is_one_line(words) => {
                let mut words = words.clone();
                words.insert(0, Inline::plain(" "));
                line.suffixed(words)
            }
            _ => line.followed_by(caption.clone()),
        },
    }
}

fn is_one_line(words: &[Inline]) -> bool {
    words.iter().all(|inline| inline.piece != Piece::Break)
}
