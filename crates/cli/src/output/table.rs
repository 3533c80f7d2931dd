//! Rows under a heading, without lines between them: as readable, and they can be cut by a script.

use comfy_table::{Attribute, CellAlignment, Color, ContentArrangement};

use super::{Look, Tone, clean};

/// What stands in a row.
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        Self::toned(Tone::Plain, text)
    }

    pub(crate) fn toned(tone: Tone, text: impl AsRef<str>) -> Self {
        Self {
            text: clean(text.as_ref()),
            tone,
        }
    }
}

/// A table that is being filled.
pub(crate) struct Table {
    look: Look,
    table: comfy_table::Table,
    right: Vec<usize>,
    indent: &'static str,
}

impl Table {
    /// With these headings; of those that start with `>` the column is set to the right.
    pub(crate) fn new(look: Look, headings: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        if look.colours {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        let right = headings.iter().enumerate();
        let right = right
            .filter(|(_, heading)| heading.starts_with('>'))
            .map(|(index, _)| index)
            .collect();
        table.set_header(headings.iter().map(|heading| {
            comfy_table::Cell::new(heading.trim_start_matches('>')).add_attribute(Attribute::Bold)
        }));
        Self {
            look,
            table,
            right,
            indent: "",
        }
    }

    /// Set in a little, as a part of something larger.
    pub(crate) fn indented(mut self) -> Self {
        self.indent = "  ";
        self
    }

    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.table.add_row(cells.into_iter().map(|cell| {
            let shown = comfy_table::Cell::new(cell.text);
            match cell.tone {
                Tone::Plain => shown,
                Tone::Strong => shown.add_attribute(Attribute::Bold),
                Tone::Dim => shown.add_attribute(Attribute::Dim),
                Tone::Good => shown.fg(Color::DarkGreen),
                Tone::Odd => shown.fg(Color::DarkYellow),
                Tone::Bad => shown.fg(Color::DarkRed),
            }
        }));
    }

    pub(crate) fn render(mut self) -> String {
        match self.look.width {
            Some(width) => {
                let indent = u16::try_from(self.indent.len()).unwrap_or(0);
                self.table
                    .set_content_arrangement(ContentArrangement::Dynamic)
                    .set_width(width.saturating_sub(indent));
            }
            None => {
                self.table
                    .set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        for (index, column) in self.table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if self.right.contains(&index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut text = String::new();
        for line in self.table.trim_fmt().lines() {
            text.push_str(self.indent);
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(look: Look) -> String {
        let mut table = Table::new(look, &["ID", ">WAITING", "NOTE"]);
        table.row(vec![Cell::new("irc"), Cell::new("12"), Cell::new("")]);
        let note = "a long note that does not fit beside the others";
        table.row(vec![
            Cell::toned(Tone::Bad, "telegram"),
            Cell::new("1"),
            Cell::new(note),
        ]);
        table.render()
    }

    #[test]
    fn a_table_in_a_file_has_one_line_a_row() {
        let wanted = "\
ID        WAITING  NOTE
irc            12
telegram        1  a long note that does not fit beside the others
";
        assert_eq!(filled(Look::plain()), wanted);
    }

    #[test]
    fn a_table_on_a_terminal_fits() {
        let narrow = Look {
            colours: false,
            width: Some(44),
        };
        let shown = filled(narrow);
        assert!(
            shown.lines().all(|line| line.chars().count() <= 44),
            "{shown}"
        );
        assert!(shown.contains("telegram"), "{shown}");
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
        let coloured = filled(Look {
            colours: true,
            width: Some(80),
        });
        // Of colours the library leaves out what NO_COLOR forbids; what is bold stays.
        assert!(coloured.contains("\u{1b}[1m"), "{coloured:?}");
    }
}
