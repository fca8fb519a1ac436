//! A bar that shows how much of a time is left.

/// The width of a bar in characters.
pub(crate) const WIDTH: usize = 20;

/// A bar of [`WIDTH`] characters: full when `left` is `whole`. Something left is never shown as
/// nothing.
pub(crate) fn bar(left: u64, whole: u64, utf8: bool) -> String {
    let (full, empty) = if utf8 { ('█', '░') } else { ('#', '.') };
    let width = WIDTH as u64;
    let filled = if left >= whole { width } else { (left * width).div_ceil(whole) };
    let filled = usize::try_from(filled).unwrap_or(WIDTH);
    (0..WIDTH).map(|index| if index < filled { full } else { empty }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_full_at_the_start_and_empty_at_the_end() {
        assert_eq!(bar(10, 10, false), "#".repeat(20));
        assert_eq!(bar(0, 10, false), ".".repeat(20));
        assert_eq!(bar(1, 1000, false), format!("#{}", ".".repeat(19)));
        assert_eq!(bar(5, 10, true), format!("{}{}", "█".repeat(10), "░".repeat(10)));
        assert_eq!(bar(5, 0, false), "#".repeat(20));
    }
}
