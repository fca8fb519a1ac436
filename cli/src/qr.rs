//! A QR code as text, two modules per character.

use qrcode::{Color, EcLevel, QrCode};

/// Modules of quiet around the code. The standard wants 4 (ISO/IEC 18004 §5.3.8); readers of
/// phones do with 2, and 80x24 then has room for the code and the text below it.
const QUIET: usize = 2;

/// A QR code in lines of equal width.
pub(crate) struct Qr {
    /// The lines, ready to be printed.
    pub(crate) lines: Vec<String>,
    /// How many characters wide they are.
    pub(crate) columns: usize,
}

/// The code for `data`, or none when it is too long for one. With `color`, black on white
/// whatever the terminal's colours are; else right for light text on a dark background.
pub(crate) fn render(data: &str, color: bool) -> Option<Qr> {
    let code = QrCode::with_error_correction_level(data, EcLevel::L).ok()?;
    let modules = code.to_colors();
    let width = code.width();
    let is_dark = |x: usize, y: usize| {
        let inside = QUIET..QUIET + width;
        inside.contains(&x)
            && inside.contains(&y)
            && modules[(y - QUIET) * width + x - QUIET] == Color::Dark
    };
    let columns = width + 2 * QUIET;
    let line = |y: usize| {
        let text: String = (0..columns)
            // Below the last module of an odd number there is nothing: light.
            .map(|x| glyph(is_dark(x, y), is_dark(x, y + 1), color))
            .collect();
        if color { format!("\x1b[38;5;16;48;5;231m{text}\x1b[0m") } else { text }
    };
    Some(Qr { lines: (0..columns).step_by(2).map(line).collect(), columns })
}

/// The character for two modules, one above the other; its ink is dark with colours and light
/// without.
const fn glyph(upper_dark: bool, lower_dark: bool, ink_is_dark: bool) -> char {
    match (upper_dark == ink_is_dark, lower_dark == ink_is_dark) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the modules back from the characters.
    fn modules(qr: &Qr, ink_is_dark: bool) -> Vec<Vec<bool>> {
        let mut rows = Vec::new();
        for line in &qr.lines {
            let text =
                line.trim_start_matches("\x1b[38;5;16;48;5;231m").trim_end_matches("\x1b[0m");
            assert_eq!(text.chars().count(), qr.columns);
            let ink = |upper: bool| {
                text.chars()
                    .map(|c| {
                        let inked = matches!((c, upper), ('█', _) | ('▀', true) | ('▄', false));
                        inked == ink_is_dark
                    })
                    .collect()
            };
            rows.push(ink(true));
            rows.push(ink(false));
        }
        rows
    }

    #[test]
    fn the_modules_of_the_code_are_all_there_with_and_without_colours() {
        let data = "https://wlcg.cloud.cnaf.infn.it/device?user_code=AB12CD";
        let code = QrCode::with_error_correction_level(data, EcLevel::L).unwrap();
        for color in [true, false] {
            let qr = render(data, color).unwrap();
            let rows = modules(&qr, color);
            for y in 0..qr.columns {
                for x in 0..qr.columns {
                    let inside = |v: usize| v >= QUIET && v < QUIET + code.width();
                    let dark =
                        inside(x) && inside(y) && code[(x - QUIET, y - QUIET)] == Color::Dark;
                    assert_eq!(rows[y][x], dark, "{x},{y} color {color}");
                }
            }
        }
    }

    #[test]
    fn a_usual_code_fits_in_80x24_with_the_text_below() {
        let qr = render("https://wlcg.cloud.cnaf.infn.it/device?user_code=AB12CD", true).unwrap();
        assert!(qr.columns <= 40 && qr.lines.len() <= 19, "{}x{}", qr.columns, qr.lines.len());
    }

    #[test]
    fn what_is_too_long_for_a_code_has_none() {
        assert!(render(&"x".repeat(5000), true).is_none());
    }
}
