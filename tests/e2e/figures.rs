//! What many measures of one thing say together.

use std::fmt;
use std::time::Duration;

/// Measures, the smallest first; there is at least one.
#[derive(Clone, Debug)]
pub struct Figures(Vec<Duration>);

impl Figures {
    /// Of these measures; `None` of none.
    pub fn of(mut measures: Vec<Duration>) -> Option<Figures> {
        measures.sort();
        (!measures.is_empty()).then_some(Figures(measures))
    }

    /// The smallest.
    pub fn min(&self) -> Duration {
        self.quantile(0)
    }

    /// The one in the middle.
    pub fn median(&self) -> Duration {
        self.quantile(50)
    }

    /// What nine of ten do not exceed.
    pub fn p90(&self) -> Duration {
        self.quantile(90)
    }

    /// The largest.
    pub fn max(&self) -> Duration {
        self.quantile(100)
    }

    /// How much more each is than `base`, and nothing where it is less.
    pub fn above(&self, base: Duration) -> Figures {
        Figures(self.0.iter().map(|measure| measure.saturating_sub(base)).collect())
    }

    fn quantile(&self, percent: usize) -> Duration {
        let at = (self.0.len() * percent).div_ceil(100);
        self.0[at.saturating_sub(1)]
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |measure: Duration| measure.as_secs_f64() * 1000.0;
        let [median, p90, max] = [self.median(), self.p90(), self.max()].map(ms);
        write!(f, "{median:.1} ms (median), {p90:.1} ms (p90), {max:.1} ms (max)")
    }
}
