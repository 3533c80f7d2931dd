//! Lines out of what comes in pieces.

/// Bytes of a line; what is longer comes in several.
const MAX_LINE_BYTES: usize = 64 << 10;

/// What has come of a line so far.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// Takes a piece; gives back the lines that are complete now, without their ends.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for byte in piece {
            match byte {
                b'\n' | b'\r' => {
                    if !self.begun.is_empty() {
                        lines.push(std::mem::take(&mut self.begun));
                    }
                }
                byte => self.begun.push(*byte),
            }
            if self.begun.len() >= MAX_LINE_BYTES {
                lines.push(std::mem::take(&mut self.begun));
            }
        }
        lines
    }
}

/// The answer to a `PING`; nothing, where a line is none.
pub(crate) fn pong(line: &[u8]) -> Option<Vec<u8>> {
    let without_tags = match line.first() {
        Some(b'@') => after_space(line),
        _ => line,
    };
    let rest = match without_tags.first() {
        Some(b':') => after_space(without_tags),
        _ => without_tags,
    };
    let (command, words) = rest.split_at_checked(5)?;
    let is_ping = command.eq_ignore_ascii_case(b"PING ");
    is_ping.then(|| [b"PONG ", words, b"\r\n"].concat())
}

fn after_space(line: &[u8]) -> &[u8] {
    let at = line.iter().position(|byte| *byte == b' ');
    at.map_or(&[][..], |at| line[at..].trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_however_they_are_cut() {
        let text = b"PING :a\r\n:srv 001 me :hi\n\n\rlast\r\nbegun";
        for size in 1..text.len() {
            let mut lines = Lines::default();
            let found: Vec<Vec<u8>> = text
                .chunks(size)
                .flat_map(|piece| lines.take(piece))
                .collect();
            assert_eq!(
                found,
                [&b"PING :a"[..], b":srv 001 me :hi", b"last"],
                "{size}"
            );
        }
    }

    #[test]
    fn no_line_is_kept_without_bound() {
        let mut lines = Lines::default();
        let found = lines.take(&vec![b'x'; 3 * MAX_LINE_BYTES]);
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn pings_are_answered_with_their_own_words() {
        for (line, answer) in [
            ("PING :a b", Some("PONG :a b\r\n")),
            ("PING a", Some("PONG a\r\n")),
            (":srv PING srv :x", Some("PONG srv :x\r\n")),
            ("@time=1 :srv ping x", Some("PONG x\r\n")),
            ("PINGS x", None),
            ("PRIVMSG #a :PING x", None),
            (":bob PRIVMSG #a :x", None),
            ("", None),
        ] {
            let expected = answer.map(|answer| answer.as_bytes().to_vec());
            assert_eq!(pong(line.as_bytes()), expected, "{line}");
        }
    }
}
