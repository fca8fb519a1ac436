//! The plots that the README shows: bars, drawn as SVG by hand, which is short enough and needs no
//! fonts. A bar is a median, the thin line on it goes to the 99th percentile.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::report::{Report, Row, Who, figure};
use crate::error::{Error, Result};

const WIDTH: f64 = 720.0;
const LEFT: f64 = 250.0;
const RIGHT: f64 = 90.0;
const BAR: f64 = 16.0;
const STEP: f64 = 22.0;
/// Legible on white and on black.
const COLORS: [(Who, &str); 3] =
    [(Who::Floor, "#8c8c8c"), (Who::Theirs, "#d9822b"), (Who::Ours, "#2b7fd9")];
const TEXT: &str = "#808080";

/// A bar.
#[derive(Clone, Debug)]
struct Bar {
    who: Who,
    label: String,
    value: f64,
    to: f64,
}

/// Bars with one scale and a heading.
#[derive(Clone, Debug)]
struct Panel {
    title: String,
    unit: &'static str,
    bars: Vec<Bar>,
}

/// The plots: a file, its title and its rows.
const PLOTS: [(&str, &[&str]); 3] = [
    ("tokens.svg", &["cached", "narrowed", "forced", "forced-rotating"]),
    ("load.svg", &["clients-8", "clients-64", "hanging", "slow"]),
    ("node.svg", &["memory", "login", "bus", "start"]),
];

/// Draws what was measured into files of a directory.
pub fn draw(report: &Report, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).map_err(Error::at(directory))?;
    for (file, rows) in PLOTS {
        let panels: Vec<Panel> =
            rows.iter().filter_map(|id| report.row(id)).map(panel_of).collect();
        if !panels.is_empty() {
            let path = directory.join(file);
            fs::write(&path, svg(&panels)).map_err(Error::at(&path))?;
        }
    }
    Ok(())
}

fn panel_of(row: &Row) -> Panel {
    let bars = row.series.iter().filter(|series| !series.what.contains("resident"));
    let bars = bars.map(|series| {
        let (value, p99) = (series.rounds.median(), series.rounds.p99());
        // Of less than a hundred measures there is no such percentile.
        let to = if series.rounds.count() < 100 { value } else { p99 };
        Bar { who: series.who, label: series.what.clone(), value, to }
    });
    Panel { title: row.title.clone(), unit: row.unit, bars: bars.collect() }
}

fn svg(panels: &[Panel]) -> String {
    let height: f64 = panels.iter().map(|panel| 44.0 + STEP * panel.bars.len() as f64).sum();
    let height = height + 34.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"{TEXT}\">\n"
    );
    let mut top = 20.0;
    for panel in panels {
        top = draw_panel(&mut svg, panel, top);
    }
    let mut x = LEFT;
    for (who, name) in [(Who::Floor, "neither"), (Who::Theirs, "oidc-agent"), (Who::Ours, "iamd")] {
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{}\" width=\"10\" height=\"10\" fill=\"{}\"/>\
             <text x=\"{}\" y=\"{}\">{name}</text>",
            top - 9.0,
            color(who),
            x + 15.0,
            top
        );
        x += 100.0;
    }
    svg + "</svg>\n"
}

/// Draws a panel whose heading's base line is at `top`; where the next one's is.
fn draw_panel(svg: &mut String, panel: &Panel, top: f64) -> f64 {
    let most = panel.bars.iter().map(|bar| bar.value.max(bar.to)).fold(0.0, f64::max);
    let scale = if most > 0.0 { (WIDTH - LEFT - RIGHT) / most } else { 0.0 };
    let (title, unit) = (escaped(&panel.title), panel.unit);
    let _ = writeln!(svg, "<text x=\"8\" y=\"{top}\" font-weight=\"bold\">{title}, {unit}</text>");
    let mut y = top + 10.0;
    for bar in &panel.bars {
        let (label, middle, base) = (escaped(&bar.label), y + BAR / 2.0, y + BAR - 4.0);
        let (width, end) = ((bar.value * scale).max(1.0), LEFT + bar.to * scale);
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\">{label}</text>\
             <rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{}\"/>",
            LEFT - 8.0,
            color(bar.who)
        );
        if bar.to > bar.value {
            let from = LEFT + width;
            let _ = writeln!(
                svg,
                "<path d=\"M{from:.1} {middle}H{end:.1}M{end:.1} {}v8\" stroke=\"{}\" fill=\"none\"/>",
                middle - 4.0,
                color(bar.who)
            );
        }
        let at = end.max(LEFT + width) + 6.0;
        let _ = writeln!(svg, "<text x=\"{at:.1}\" y=\"{base}\">{}</text>", figure(bar.value));
        y += STEP;
    }
    y + 34.0
}

fn color(who: Who) -> &'static str {
    COLORS.iter().find(|(whose, _)| *whose == who).map_or(TEXT, |(_, color)| color)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(who: Who, value: f64, to: f64) -> Bar {
        Bar { who, label: "a < b & c".into(), value, to }
    }

    #[test]
    fn bars_have_one_scale_and_their_figures() {
        let bars = vec![bar(Who::Theirs, 100.0, 200.0), bar(Who::Ours, 50.0, 50.0)];
        let svg = svg(&[Panel { title: "a title".into(), unit: "ms", bars }]);
        assert!(svg.contains("a title, ms") && svg.contains("a &lt; b &amp; c"), "{svg}");
        // 380 wide: the line to 200 fills it, the bars are half and a quarter of that.
        assert!(svg.contains("width=\"190.0\"") && svg.contains("width=\"95.0\""), "{svg}");
        assert!(svg.contains("H630.0") && svg.matches("<path").count() == 1, "{svg}");
        assert!(svg.contains(">100</text>") && svg.contains(">50.0</text>"), "{svg}");
    }

    #[test]
    fn nothing_measured_is_drawn_as_nothing() {
        let panel =
            Panel { title: "empty".into(), unit: "s", bars: vec![bar(Who::Ours, 0.0, 0.0)] };
        assert!(svg(&[panel]).contains(">0.000</text>"));
    }
}
