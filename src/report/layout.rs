//! Pages of lines that fit a width: titles, wrapped text and grids. Nothing is ever cut: what does not fit is wrapped, or
//! the first column of a grid moves to a line of its own.

use std::ops::Range;

use comfy_table::{CellAlignment, ContentArrangement, Table, TableComponent, presets};

use super::text::{Tone, clean, one_line, paint, width as shown};

/// Between two columns.
const GAP: usize = 2;

/// Lines of at most this many columns.
pub(super) struct Page {
    width: usize,
    color: bool,
    lines: Vec<String>,
}

impl Page {
    pub(super) fn new(width: usize, color: bool) -> Page {
        Page { width: width.max(20), color, lines: Vec::new() }
    }

    /// The page as text; every line ends in a line feed.
    pub(super) fn text(self) -> String {
        let mut text = String::new();
        for line in self.lines {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// An empty line between what was and what comes.
    pub(super) fn gap(&mut self) {
        if self.lines.last().is_some_and(|line| !line.is_empty()) {
            self.lines.push(String::new());
        }
    }

    /// A heading, after an empty line.
    pub(super) fn title(&mut self, text: &str) {
        self.gap();
        self.tone(Tone::Heading, "", text);
    }

    /// A paragraph behind a prefix; its further lines are indented as far.
    pub(super) fn plain(&mut self, prefix: &str, text: &str) {
        self.push(None, prefix, text);
    }

    /// Adds a text in a tone, behind a prefix.
    pub(super) fn tone(&mut self, tone: Tone, prefix: &str, text: &str) {
        self.push(Some(tone), prefix, text);
    }

    /// A line to paste, as it is.
    pub(super) fn line(&mut self, text: &str) {
        self.lines.push(clean(text).into_owned());
    }

    pub(super) fn grid(&mut self, grid: &Grid) {
        self.lines.extend(grid.lines(self.width, self.color));
    }

    /// A table in which the first cell of each row names the group that the row belongs to, and stands above it.
    pub(super) fn grid_of_groups<const N: usize>(&mut self, header: &[(&str, Side)], rows: &[[String; N]]) {
        let mut grid = Grid::new(header);
        for group in rows.chunk_by(|one, next| one[0] == next[0]) {
            wrap(&group[0][0], self.width).iter().for_each(|line| grid.heading(line, Tone::Heading));
            for row in group {
                grid.row(row[1..].iter().cloned());
            }
        }
        self.grid(&grid);
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Line breaks of the text stay, as further lines.
    fn push(&mut self, tone: Option<Tone>, prefix: &str, text: &str) {
        let indent = shown(prefix);
        let room = self.width.saturating_sub(indent);
        let lines = text.lines().map(one_line).flat_map(|line| wrap(&line, room));
        for (at, line) in lines.enumerate() {
            let line = if at == 0 { format!("{prefix}{line}") } else { format!("{}{line}", " ".repeat(indent)) };
            self.lines.push(tone.map_or_else(|| line.clone(), |tone| paint(self.color, tone, &line)));
        }
    }
}

/// On which side the cells of a column stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// The part that gives way when a grid is wider than its page. Cells wrap only as the last resort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overflow {
    /// The first column goes above its row.
    LiftFirst,
    /// The last column goes below its row.
    SpillLast,
    /// A last cell that has no room goes below its row.
    SpillLong,
}

/// Rows under a header; the first column says what a row is about.
pub(super) struct Grid {
    header: Vec<(String, Side)>,
    rows: Vec<Row>,
    overflow: Overflow,
}

#[derive(Clone)]
struct Row {
    cells: Vec<String>,
    tones: Vec<(usize, Tone)>,
    /// The first cell takes the whole line.
    heading: bool,
}

impl Grid {
    pub(super) fn new(header: &[(&str, Side)]) -> Grid {
        Grid {
            header: header.iter().map(|(name, side)| ((*name).to_owned(), *side)).collect(),
            rows: Vec::new(),
            overflow: Overflow::LiftFirst,
        }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) -> &mut Grid {
        let mut cells: Vec<String> = cells.into_iter().map(|cell| one_line(&cell)).collect();
        if self.rows.iter().any(|row| row.heading) {
            cells[0].insert_str(0, "  ");
        }
        self.rows.push(Row { cells, tones: Vec::new(), heading: false });
        self
    }

    /// Adds a line that stands above the rows after it, which are indented. It must fit the page.
    pub(super) fn heading(&mut self, text: &str, tone: Tone) {
        let mut cells = vec![String::new(); self.header.len()];
        cells[0] = one_line(text);
        self.rows.push(Row { cells, tones: vec![(0, tone)], heading: true });
    }

    /// Shows a cell of the last row in a tone.
    pub(super) fn tone(&mut self, column: usize, tone: Tone) {
        if let Some(row) = self.rows.last_mut() {
            row.tones.push((column, tone));
        }
    }

    /// Sets the part that gives way where there is no room.
    pub(super) fn overflow(mut self, overflow: Overflow) -> Grid {
        self.overflow = overflow;
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn lines(&self, width: usize, color: bool) -> Vec<String> {
        let widths = self.widths();
        let all = widths.len();
        let room = |columns: Range<usize>| widths[columns].iter().map(|width| width + GAP).sum::<usize>();
        if room(0..all) <= width + GAP {
            self.drawn(0..all, 0, color)
        } else if self.overflow == Overflow::SpillLast && room(0..all - 1) <= width + GAP {
            self.spilled(width, color)
        } else if self.overflow == Overflow::SpillLong && room(0..all - 1) + shown(&self.header[all - 1].0) <= width {
            self.spilled_where_long(width - room(0..all - 1), width, color)
        } else if all > 1 && room(1..all) <= width {
            self.stacked(width, color)
        } else {
            trimmed(&self.table(0..all, Some(width)))
        }
    }

    /// The widest cell of each column.
    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.header.iter().map(|(name, _)| shown(name)).collect();
        for row in self.rows.iter().filter(|row| !row.heading) {
            for (width, cell) in widths.iter_mut().zip(&row.cells) {
                *width = (*width).max(shown(cell));
            }
        }
        widths
    }

    fn table(&self, columns: Range<usize>, width: Option<usize>) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_style(TableComponent::HeaderLines, '─');
        table.set_content_arrangement(match width {
            Some(_) => ContentArrangement::Dynamic,
            None => ContentArrangement::Disabled,
        });
        if let Some(width) = width.and_then(|width| u16::try_from(width).ok()) {
            table.set_width(width);
        }
        table.set_header(self.header[columns.clone()].iter().map(|(name, _)| name));
        // Where columns have the widths that they need, a heading takes its line alone.
        let blank = vec![String::new(); self.header.len()];
        let cells = |row: &'_ Row| if row.heading && width.is_none() { blank.clone() } else { row.cells.clone() };
        table.add_rows(self.rows.iter().map(|row| cells(row)[columns.clone()].to_vec()));
        let last = columns.len() - 1;
        for (at, (_, side)) in self.header[columns].iter().enumerate() {
            if let Some(column) = table.column_mut(at) {
                column.set_padding((0, if at == last { 0 } else { GAP as u16 }));
                column.set_cell_alignment(match side {
                    Side::Left => CellAlignment::Left,
                    Side::Right => CellAlignment::Right,
                });
            }
        }
        table
    }

    /// One line per row: header, rule, rows.
    fn drawn(&self, columns: Range<usize>, indent: usize, color: bool) -> Vec<String> {
        let pad = " ".repeat(indent);
        let lines = trimmed(&self.table(columns.clone(), None));
        let paint_row = |(at, line): (usize, String)| {
            let row = at.checked_sub(2).and_then(|row| self.rows.get(row));
            let heading = row.filter(|row| row.heading && columns.start == 0).map(|row| row.cells[0].clone());
            let mut line = heading.unwrap_or(if line.is_empty() { line } else { format!("{pad}{line}") });
            for (column, tone) in row.map_or(&[][..], |row| &row.tones) {
                let cell = &self.rows[at - 2].cells[*column];
                if let Some(place) = line.rfind(cell.as_str()).filter(|_| color && columns.contains(column)) {
                    line.replace_range(place..place + cell.len(), &paint(color, *tone, cell));
                }
            }
            line
        };
        lines.into_iter().enumerate().map(paint_row).collect()
    }

    /// The first column on lines of its own, above the rest of its row.
    fn stacked(&self, width: usize, color: bool) -> Vec<String> {
        let mut drawn = self.drawn(1..self.header.len(), GAP, color).into_iter();
        let mut lines = vec![self.header[0].0.clone()];
        lines.extend(drawn.by_ref().take(2));
        for (row, rest) in self.rows.iter().zip(drawn) {
            lines.extend(wrap(&row.cells[0], width));
            lines.extend((!row.heading).then_some(rest));
        }
        lines
    }
}

impl Grid {
    /// The last column on lines of its own, below the rest of its row; a dash, which says that there is nothing, needs none.
    fn spilled(&self, width: usize, color: bool) -> Vec<String> {
        let last = self.header.len() - 1;
        let below = |text: &str| indented(text, self.widths()[0] + GAP, width);
        let mut drawn = self.drawn(0..last, 0, color).into_iter();
        let mut lines: Vec<String> = drawn.by_ref().take(1).collect();
        lines.extend(below(&self.header[last].0));
        lines.extend(drawn.by_ref().take(1));
        for (row, first) in self.rows.iter().zip(drawn) {
            lines.push(first);
            if row.cells[last] != "-" {
                lines.extend(below(&row.cells[last]));
            }
        }
        lines
    }

    /// The last column in its place where its cell takes at most `room` columns, and on lines of its own elsewhere.
    fn spilled_where_long(&self, room: usize, width: usize, color: bool) -> Vec<String> {
        let last = self.header.len() - 1;
        let fits = |row: &Row| shown(&row.cells[last]) <= room;
        let mut short = Grid { header: self.header.clone(), rows: self.rows.clone(), overflow: self.overflow };
        for row in short.rows.iter_mut().filter(|row| !fits(row)) {
            row.cells[last].clear();
        }
        let mut drawn = short.drawn(0..last + 1, 0, color).into_iter();
        let mut lines: Vec<String> = drawn.by_ref().take(2).collect();
        for (row, first) in self.rows.iter().zip(drawn) {
            lines.push(first);
            if !fits(row) {
                lines.extend(indented(&row.cells[last], GAP, width));
            }
        }
        lines
    }
}

/// The text in lines of at most `width` columns, each behind this many spaces.
fn indented(text: &str, indent: usize, width: usize) -> Vec<String> {
    let lines = wrap(text, width.saturating_sub(indent));
    lines.into_iter().map(|line| format!("{}{line}", " ".repeat(indent))).collect()
}

fn trimmed(table: &Table) -> Vec<String> {
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// The text in lines of at most this many columns, broken at spaces, and within a word only when it is wider than a line.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if !line.is_empty() && shown(&line) + 1 + shown(word) > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        if shown(word) <= width {
            line.push_str(word);
            continue;
        }
        for c in word.chars() {
            if !line.is_empty() && shown(&line) + shown(c.encode_utf8(&mut [0; 4])) > width {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn wrapping_keeps_every_character_and_the_width(text in "[a-zé漢 ]{0,80}", width in 2_usize..30) {
            let lines = wrap(&text, width);
            prop_assert!(lines.iter().all(|line| shown(line) <= width), "{lines:?}");
            let kept: String = lines.concat().chars().filter(|c| *c != ' ').collect();
            let given: String = text.chars().filter(|c| *c != ' ').collect();
            prop_assert_eq!(kept, given);
        }

        #[test]
        fn a_grid_fits_any_width_and_loses_nothing(
            names in prop::collection::vec("[a-z/漢-]{1,50}", 1..5),
            width in 40_usize..120,
        ) {
            let mut grid = Grid::new(&[("model", Side::Left), ("base", Side::Right), ("customized", Side::Right)]);
            for name in &names {
                grid.row([name.clone(), "0.412".into(), "0.801".into()]);
            }
            let lines = grid.lines(width, false);
            prop_assert!(lines.iter().all(|line| shown(line) <= width), "{lines:#?}");
            let text: String = lines.concat().chars().filter(|c| *c != ' ').collect();
            for name in names {
                prop_assert!(text.contains(&name), "{name} in {text}");
            }
        }
    }

    #[test]
    fn colour_is_where_it_was_asked_for_and_takes_no_room() {
        let mut grid = Grid::new(&[("model", Side::Left), ("change", Side::Right)]);
        grid.row(["a".into(), "+0.1".into()]).tone(1, Tone::Good);
        let (plain, colored) = (grid.lines(80, false), grid.lines(80, true));
        assert_eq!(plain[2], "a        +0.1");
        assert_eq!(colored[2], "a        \u{1b}[32m+0.1\u{1b}[0m");
        assert_eq!(colored.iter().map(|line| shown(line)).max(), plain.iter().map(|line| shown(line)).max());
    }

    #[test]
    fn a_long_last_cell_goes_below_its_row_and_breaks_no_other() {
        let mut grid = Grid::new(&[("key", Side::Left), ("value", Side::Left)]).overflow(Overflow::SpillLong);
        grid.row(["a.key.of.eighteen".into(), "16".into()]);
        grid.row(["state_dir".into(), "/home/somebody/flywheel".into()]);
        let lines = grid.lines(30, false);
        assert_eq!(lines[2..], ["a.key.of.eighteen  16", "state_dir", "  /home/somebody/flywheel"]);
    }

    #[test]
    fn hostile_cells_are_shown_harmless_on_one_line() {
        let mut grid = Grid::new(&[("model", Side::Left), ("x", Side::Right)]);
        grid.row(["a\u{1b}[2J\nb".into(), "1".into()]);
        assert_eq!(grid.lines(80, false)[2], "a\u{fffd}[2J b  1");
    }
}
