//! A table for people: columns as wide as they need, the last one free; where the terminal is
//! too narrow, a block of lines per row instead.

/// Rows below headings.
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; it must have as many cells as there are headings.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table as lines, for a terminal of that width (none: as wide as it needs); `paint` is
    /// applied to headings.
    pub(crate) fn lines(
        &self,
        columns: Option<usize>,
        paint: impl Fn(&str) -> String,
    ) -> Vec<String> {
        let widths: Vec<usize> = self
            .headings
            .iter()
            .enumerate()
            .map(|(index, heading)| {
                let cells = self.rows.iter().map(|row| row[index].chars().count());
                cells.max().unwrap_or(0).max(heading.len())
            })
            .collect();
        let whole: usize = widths.iter().sum::<usize>() + 2 * (widths.len() - 1);
        if columns.is_some_and(|columns| whole > columns) {
            return self.blocks(paint);
        }
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let cells: Vec<String> =
                cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            cells.join("  ").trim_end().to_owned()
        };
        let mut lines = vec![paint(&line(&mut self.headings.iter().copied()))];
        lines.extend(self.rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
        lines
    }

    fn blocks(&self, paint: impl Fn(&str) -> String) -> Vec<String> {
        let width = self.headings.iter().map(|heading| heading.len()).max().unwrap_or(0);
        let mut lines = Vec::new();
        for row in &self.rows {
            if !lines.is_empty() {
                lines.push(String::new());
            }
            for (heading, cell) in self.headings.iter().zip(row) {
                // A mark without a heading, such as the star of the default, needs no line.
                if !heading.is_empty() {
                    lines.push(format!("{}  {cell}", paint(&format!("{heading:<width$}"))));
                }
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_a_narrow_terminal_gets_blocks() {
        let mut table = Table::new(&["NAME", "URL"]);
        table.row(vec!["cms".into(), "https://cms.example.org".into()]);
        table.row(vec!["wlcg-demo".into(), String::new()]);
        assert_eq!(
            table.lines(None, str::to_owned),
            ["NAME       URL", "cms        https://cms.example.org", "wlcg-demo"]
        );
        assert_eq!(
            table.lines(Some(20), str::to_owned),
            ["NAME  cms", "URL   https://cms.example.org", "", "NAME  wlcg-demo", "URL   "]
        );
    }
}
