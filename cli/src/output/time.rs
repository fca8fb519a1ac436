//! Times for people: how long still, and dates in UTC.

/// A span of time with its one or two largest units: `45 s`, `48 min`, `3 h 5 min`, `29 days`.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => {
            let minutes = seconds % 3600 / 60;
            if minutes == 0 || seconds >= 36_000 {
                format!("{} h", seconds / 3600)
            } else {
                format!("{} h {minutes} min", seconds / 3600)
            }
        }
        _ => format!("{} days", seconds / 86_400),
    }
}

/// How long until `at`, or that it is over.
pub(crate) fn left(at: u64, now: u64) -> String {
    if at > now {
        format!("{} left", span(at - now))
    } else {
        format!("ended {} ago", span(now - at))
    }
}

/// A countdown: `9:58`.
pub(crate) fn countdown(seconds: u64) -> String {
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// A date and time in UTC: `2026-11-23 19:47 UTC`.
pub(crate) fn date(at: u64) -> String {
    let (year, month, day) = civil(at / 86_400);
    let (hour, minute) = (at % 86_400 / 3600, at % 3600 / 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

/// The same with seconds, for records: `2026-11-23 19:47:05 UTC`.
pub(crate) fn stamp(at: u64) -> String {
    let date = date(at);
    format!("{}:{:02} UTC", date.trim_end_matches(" UTC"), at % 60)
}

/// Year, month and day of a number of days since 1970-01-01, in the proleptic Gregorian calendar
/// (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short_and_never_promise_more_than_there_is() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (3599, "59 min"),
            (3600, "1 h"),
            (3660, "1 h 1 min"),
            (36_060, "10 h"),
            (172_800, "2 days"),
            (2_591_999, "29 days"),
        ] {
            assert_eq!(span(seconds), text);
        }
        assert_eq!(left(100, 40), "1 min left");
        assert_eq!(left(40, 100), "ended 1 min ago");
        assert_eq!(countdown(598), "9:58");
    }

    #[test]
    fn dates_are_right_around_leap_days() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(date(4_107_542_400), "2100-03-01 00:00 UTC");
        assert_eq!(date(1_795_463_220), "2026-11-23 19:47 UTC");
        assert_eq!(stamp(1_795_463_225), "2026-11-23 19:47:05 UTC");
    }
}
