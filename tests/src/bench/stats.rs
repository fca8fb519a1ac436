//! What the rounds of one series say together. A round is a block of measures that were taken one
//! after the other; the rounds of several series alternate, so that what the machine does meanwhile
//! meets all of them.

use serde_json::{Value, json};

/// Measures of one thing, by rounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rounds(Vec<Vec<f64>>);

impl Rounds {
    /// One round of measures.
    pub fn add(&mut self, round: Vec<f64>) {
        if !round.is_empty() {
            self.0.push(round);
        }
    }

    /// How many measures there are.
    pub fn count(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// The measure that `percent` of all do not exceed (nearest rank); 0 of none.
    pub fn quantile(&self, percent: usize) -> f64 {
        quantile(&self.sorted(), percent)
    }

    /// The one in the middle.
    pub fn median(&self) -> f64 {
        self.quantile(50)
    }

    /// What 99 of 100 do not exceed; of fewer than 100 measures the largest.
    pub fn p99(&self) -> f64 {
        self.quantile(99)
    }

    /// The smallest and the largest median of a round: how far the rounds agree.
    pub fn spread(&self) -> (f64, f64) {
        let medians = self.0.iter().map(|round| {
            let mut round = round.clone();
            round.sort_by(f64::total_cmp);
            quantile(&round, 50)
        });
        let none = (f64::INFINITY, f64::NEG_INFINITY);
        let (low, high) =
            medians.fold(none, |(low, high), median| (low.min(median), high.max(median)));
        if low > high { (0.0, 0.0) } else { (low, high) }
    }

    /// From the first to the third quartile.
    pub fn quartiles(&self) -> (f64, f64) {
        let sorted = self.sorted();
        (quantile(&sorted, 25), quantile(&sorted, 75))
    }

    /// What is told of them, for programs.
    pub fn to_json(&self) -> Value {
        let ((low, high), (first, third)) = (self.spread(), self.quartiles());
        json!({
            "count": self.count(),
            "rounds": self.0.len(),
            "median": rounded(self.median()),
            "p99": rounded(self.p99()),
            "quartiles": [rounded(first), rounded(third)],
            "medians_of_rounds": [rounded(low), rounded(high)],
            "max": rounded(self.quantile(100)),
        })
    }

    fn sorted(&self) -> Vec<f64> {
        let mut all: Vec<f64> = self.0.iter().flatten().copied().collect();
        all.sort_by(f64::total_cmp);
        all
    }
}

fn quantile(sorted: &[f64], percent: usize) -> f64 {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or(0.0)
}

/// To a thousandth: what is behind it is noise.
pub fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rounds: &[&[f64]]) -> Rounds {
        let mut all = Rounds::default();
        for round in rounds {
            all.add(round.to_vec());
        }
        all
    }

    #[test]
    fn quantiles_are_measures_that_were_taken_of_all_rounds_together() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let all = of(&[&hundred[..50], &hundred[50..]]);
        assert_eq!((all.count(), all.median(), all.p99()), (100, 50.0, 99.0));
        assert_eq!(all.quartiles(), (25.0, 75.0));
        assert_eq!(of(&[&[3.0, 1.0, 2.0]]).median(), 2.0);
        assert_eq!(of(&[&[3.0, 1.0, 2.0]]).p99(), 3.0);
    }

    #[test]
    fn the_spread_is_that_of_the_rounds_and_not_of_an_outlier() {
        let all = of(&[&[1.0, 1.0, 90.0], &[2.0, 2.0, 2.0], &[1.5, 1.4, 1.6]]);
        assert_eq!(all.spread(), (1.0, 2.0));
    }

    #[test]
    fn nothing_measured_is_nothing_told() {
        let none = of(&[&[]]);
        assert_eq!(
            (none.count(), none.median(), none.p99(), none.spread()),
            (0, 0.0, 0.0, (0.0, 0.0))
        );
    }

    #[test]
    fn programs_are_told_the_same_figures() {
        let told = of(&[&[1.0, 2.0], &[3.00049, 4.0]]).to_json();
        assert_eq!(told["median"], 2.0);
        assert_eq!(told["medians_of_rounds"], json!([1.0, 3.0]));
        assert_eq!(
            (&told["count"], &told["rounds"], &told["max"]),
            (&json!(4), &json!(2), &json!(4.0))
        );
    }
}
