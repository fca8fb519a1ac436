//! Whether some things take longer than others, when each is measured once in every round, in an
//! order that chance gives.
//!
//! If they are alike, each place in a round's order of times is as likely for one as for another,
//! whatever the machine does meanwhile: a slow round is slow for all, and whom an interruption
//! meets is chance. So only the ranks within a round are looked at (Friedman's test, one column of
//! it), and no tolerance in per cent has to be guessed. With 300 rounds of three, a difference of a
//! quarter of the spread of single measures is found.

/// How far the mean rank of `which` is from the middle, in standard deviations. `times` has the
/// measures of each, in rounds; all are equally many. Of things that are alike, one in 150,000 is
/// further than 4.5 away.
pub fn distance(times: &[Vec<u64>], which: usize) -> f64 {
    let rounds = times.iter().map(Vec::len).min().unwrap_or(0);
    let others = times.len().saturating_sub(1);
    if rounds == 0 || others == 0 {
        return 0.0;
    }
    let mut above = 0.0;
    for round in 0..rounds {
        let own = times[which][round];
        for (_, other) in times.iter().enumerate().filter(|(other, _)| *other != which) {
            above += match own.cmp(&other[round]) {
                std::cmp::Ordering::Less => 0.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Greater => 1.0,
            };
        }
    }
    let (rounds, others) = (rounds as f64, others as f64);
    // The rank is uniform on 0 to `others`.
    let variance = others * (others + 2.0) / 12.0;
    (above / rounds - others / 2.0) / (variance / rounds).sqrt()
}

/// The one in the middle.
pub fn median(times: &[u64]) -> u64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 400 rounds of three with noise as a machine makes it: a drift, a spread of about 40, and now
    /// and then something long; the first takes `more` longer.
    fn rounds(more: u64) -> Vec<Vec<u64>> {
        let mut state = 88_172_645_463_325_252_u64;
        let mut chance = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 33) % below
        };
        let mut times = vec![Vec::new(); 3];
        for round in 0..400 {
            for (at, times) in times.iter_mut().enumerate() {
                let long = if chance(20) == 0 { chance(5000) } else { 0 };
                let noise = chance(70) + chance(70) + long;
                times.push(300 + round / 4 + noise + if at == 0 { more } else { 0 });
            }
        }
        times
    }

    #[test]
    fn what_is_alike_is_near_the_middle() {
        for which in 0..3 {
            let distance = distance(&rounds(0), which);
            assert!(distance.abs() < 3.0, "{which}: {distance}");
        }
    }

    #[test]
    fn what_takes_a_little_longer_or_less_is_found_under_noise_that_is_larger() {
        assert!(distance(&rounds(20), 0) > 4.5, "{}", distance(&rounds(20), 0));
        let faster: Vec<_> = rounds(20).into_iter().rev().collect();
        assert!(distance(&faster, 0) < -2.0, "{}", distance(&faster, 0));
    }

    #[test]
    fn who_is_last_in_every_round_is_as_far_as_one_can_be() {
        let times = [vec![9; 400], vec![1; 400], vec![1; 400]];
        assert!((distance(&times, 0) - 24.494_897_427_831_78).abs() < 1e-9);
        assert_eq!(distance(&times[1..], 0), 0.0);
        assert_eq!(distance(&[], 0), 0.0);
        assert_eq!(median(&[3, 1, 2]), 2);
    }
}
