//! Tables.
//!
//! Invariants
//! - Every row has as many cells as the table has columns, and every cell is escaped on its way in.

use comfy_table::{CellAlignment, ContentArrangement};

use super::{Terminal, escape};

/// Two blanks between columns, one line below the heads.
const STYLE: &str = "     ──            ";

/// Which way a column leans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows below heads.
#[derive(Debug)]
pub(crate) struct Table {
    heads: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new<'a>(heads: impl IntoIterator<Item = (&'a str, Align)>) -> Table {
        let heads = heads.into_iter();
        Table {
            heads: heads
                .map(|(head, align)| (escape(head).into_owned(), align))
                .collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let cells = cells.into_iter();
        let cells: Vec<String> = cells
            .map(|cell| escape(cell.as_ref()).into_owned())
            .collect();
        assert_eq!(cells.len(), self.heads.len(), "a cell for each column");
        self.rows.push(cells);
    }

    /// The whole table, with the end of its last line.
    pub fn render(&self, terminal: Terminal) -> String {
        match terminal.is_terminal {
            true => self.aligned(terminal.columns),
            false => self.tabbed(),
        }
    }

    fn tabbed(&self) -> String {
        let mut text = String::new();
        let heads: Vec<&str> = self.heads.iter().map(|(head, _)| head.as_str()).collect();
        text.push_str(&heads.join("\t"));
        text.push('\n');
        for row in &self.rows {
            text.push_str(&row.join("\t"));
            text.push('\n');
        }
        text
    }

    fn aligned(&self, columns: Option<u16>) -> String {
        let mut table = comfy_table::Table::new();
        table.load_preset(STYLE);
        if let Some(columns) = columns {
            table
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(columns);
        }
        table.set_header(self.heads.iter().map(|(head, _)| head));
        for row in &self.rows {
            table.add_row(row);
        }
        for (index, (_, align)) in self.heads.iter().enumerate() {
            let Some(column) = table.column_mut(index) else {
                continue;
            };
            column.set_padding((u16::from(index > 0), 0));
            if *align == Align::Right {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut text = table.trim_fmt();
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal(columns: Option<u16>) -> Terminal {
        Terminal {
            is_terminal: columns.is_some(),
            columns,
            rows: None,
            colours: false,
        }
    }

    fn table() -> Table {
        let mut table = Table::new([("name", Align::Left), ("ready", Align::Right)]);
        table.row(["orders", "12"]);
        table.row(["a\tb\u{1b}[0m", "1,000"]);
        table
    }

    #[test]
    fn scripts_get_tabs_and_people_columns() {
        assert_eq!(
            table().render(terminal(None)),
            "name\tready\norders\t12\na\\tb\\u{1b}[0m\t1,000\n"
        );
        assert_eq!(
            table().render(terminal(Some(80))),
            "name           ready\n\
             ────────────────────\n\
             orders            12\n\
             a\\tb\\u{1b}[0m  1,000\n"
        );
    }

    #[test]
    fn a_table_fits_into_its_terminal() {
        let mut table = Table::new([("name", Align::Left), ("arguments", Align::Left)]);
        table.row(["x".repeat(90), "y".repeat(90)]);
        for columns in [20, 40, 100] {
            let text = table.render(terminal(Some(columns)));
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(usize::from(columns)), "{columns}:\n{text}");
        }
    }
}
