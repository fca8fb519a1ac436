//! What a run is held to: ratios of what was measured in it, and three bounds.

use super::report::{Report, Row, Who};

/// A goal and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// The row it is read from.
    pub row: &'static str,
    /// What is to be.
    pub text: &'static str,
    /// What is.
    pub value: f64,
    /// Whether that is as it is to be.
    pub kept: bool,
}

type Reading = fn(&Row) -> Option<f64>;

/// Row, sentence, what it is read from the row, and the bound: at most, or at least.
const GOALS: [(&str, &str, Reading, Bound); 9] = [
    (
        "cached",
        "a cached token: iamctl's time above the spawn floor \u{2264} 0.8 of oidc-token's",
        above_floor,
        Bound::AtMost(0.8),
    ),
    (
        "narrowed",
        "the same narrowed token again: iamctl's time \u{2264} 0.25 of oidc-token's",
        |row| ratio(row, |series| series.rounds.median()),
        Bound::AtMost(0.25),
    ),
    (
        "narrowed",
        "the same narrowed token again: requests at the issuer = 0",
        |row| row.of(Who::Ours)?.requests.map(|requests| requests as f64),
        Bound::AtMost(0.0),
    ),
    (
        "clients-64",
        "64 clients: iamctl's p99 \u{2264} 0.5 of oidc-token's",
        |row| ratio(row, |series| series.rounds.p99()),
        Bound::AtMost(0.5),
    ),
    (
        "hanging",
        "a cached token beside an issuer that hangs: < 10 ms",
        |row| {
            let ours = row.series.iter().filter(|series| series.who == Who::Ours);
            ours.map(|series| series.rounds.median()).max_by(f64::total_cmp)
        },
        Bound::AtMost(9.999),
    ),
    (
        "memory",
        "memory with the most users: iamd's \u{2264} 0.05 of oidc-agent's",
        |row| {
            let [theirs, ours] = [Who::Theirs, Who::Ours].map(|who| row.last_of(who));
            Some(ours?.rounds.median() / theirs?.rounds.median())
        },
        Bound::AtMost(0.05),
    ),
    (
        "login",
        "an SSH login with the module: \u{2264} 5 ms longer",
        |row| Some(row.of(Who::Ours)?.rounds.median() - row.floor()),
        Bound::AtMost(5.0),
    ),
    (
        "bus",
        "GetToken over D-Bus: calls per second \u{2265} 0.8 of an empty method's",
        |row| Some(row.of(Who::Ours)?.rounds.median() / row.floor()),
        Bound::AtLeast(0.8),
    ),
    (
        "start",
        "the daemon is ready within 1 s with the most accounts",
        |row| Some(row.last_of(Who::Ours)?.rounds.median()),
        Bound::AtMost(1.0),
    ),
];

#[derive(Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// The goals that can be read from what was measured.
pub fn goals(report: &Report) -> Vec<Goal> {
    let read = |(id, text, reading, bound): &(&'static str, &'static str, Reading, Bound)| {
        let value = reading(report.row(id)?)?;
        let kept = match bound {
            Bound::AtMost(most) => value <= *most,
            Bound::AtLeast(least) => value >= *least,
        };
        Some(Goal { row: id, text, value, kept })
    };
    GOALS.iter().filter_map(read).collect()
}

fn ratio(row: &Row, of: fn(&super::report::Series) -> f64) -> Option<f64> {
    Some(of(row.of(Who::Ours)?) / of(row.of(Who::Theirs)?))
}

fn above_floor(row: &Row) -> Option<f64> {
    let above = |who| Some(row.of(who)?.rounds.median() - row.floor());
    Some(above(Who::Ours)? / above(Who::Theirs)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::bench::report::Series;

    fn row(id: &'static str, measures: &[(Who, f64)]) -> Row {
        let series = measures.iter().map(|(who, measure)| {
            let mut series = Series::new(*who, "");
            series.rounds.add(vec![*measure; 3]);
            series.requests = Some(0);
            series
        });
        Row { id, title: String::new(), unit: "ms", series: series.collect() }
    }

    fn judged(rows: Vec<Row>) -> Vec<(f64, bool)> {
        let mut report = Report::new(json!({}), true);
        rows.into_iter().for_each(|row| report.add(row));
        report.goals().iter().map(|goal| (goal.value, goal.kept)).collect()
    }

    #[test]
    fn a_cached_token_is_judged_above_the_floor() {
        let cached =
            |ours| row("cached", &[(Who::Floor, 1.0), (Who::Theirs, 2.0), (Who::Ours, ours)]);
        assert_eq!(judged(vec![cached(1.75)]), [(0.75, true)]);
        assert_eq!(judged(vec![cached(1.875)]), [(0.875, false)]);
    }

    #[test]
    fn more_than_a_bound_allows_is_missed_and_less_than_one_asks_too() {
        let memory = |ours| {
            row(
                "memory",
                &[(Who::Theirs, 1.0), (Who::Ours, 9.0), (Who::Theirs, 100.0), (Who::Ours, ours)],
            )
        };
        assert_eq!(judged(vec![memory(4.0)]), [(0.04, true)]);
        assert_eq!(judged(vec![memory(6.0)]), [(0.06, false)]);
        let bus = |ours| row("bus", &[(Who::Floor, 1000.0), (Who::Ours, ours)]);
        assert_eq!(judged(vec![bus(900.0)]), [(0.9, true)]);
        assert_eq!(judged(vec![bus(700.0)]), [(0.7, false)]);
        let login = row("login", &[(Who::Floor, 200.0), (Who::Ours, 206.0)]);
        assert_eq!(judged(vec![login]), [(6.0, false)]);
    }

    #[test]
    fn a_request_at_the_issuer_for_a_token_that_is_there_is_missed() {
        let mut narrowed = row("narrowed", &[(Who::Theirs, 8.0), (Who::Ours, 1.0)]);
        narrowed.series[1].requests = Some(1);
        assert_eq!(judged(vec![narrowed]), [(0.125, true), (1.0, false)]);
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        assert_eq!(judged(vec![row("forced", &[(Who::Ours, 1.0)])]), []);
        assert_eq!(judged(vec![]), []);
    }
}
