//! A program of a user's that looks at the token file all the time (watch.py).

use std::time::Duration;

use iamd_tests::{Error, Node, Session, uid};

/// It, while it runs.
pub struct Watch(Session);

/// What it saw.
#[derive(Debug)]
pub struct Seen {
    /// How often it looked.
    pub looks: u64,
    /// How many tokens it saw one after the other.
    pub tokens: u64,
    /// The least that was left of a token when it looked.
    pub least_left: Duration,
    /// The longest it did not look.
    pub longest_gap: Duration,
    /// How often the file was missing, partial, expired, or of a wrong mode or owner; and what
    /// it was the first times.
    pub problems: String,
}

impl Watch {
    /// Looks at `path` on `node` as `user` from now on. It is no session: it keeps no file there.
    pub fn start(node: &Node, user: &str, path: &str, every: Duration) -> Result<Watch, Error> {
        let mut command = node.inside()?;
        command.args(["setpriv", "--reuid", user, "--regid", user, "--init-groups"]);
        command.args(["python3", "-c", include_str!("watch.py"), path]);
        command.args([every.as_secs_f64().to_string(), uid(user)?.to_string()]);
        Watch::of(Session::start(command, Duration::from_secs(30))?)
    }

    /// One that was started in another way.
    pub fn of(mut session: Session) -> Result<Watch, Error> {
        session.wait_for("watching\n")?;
        Ok(Watch(session))
    }

    /// Ends it.
    pub fn end(mut self) -> Result<Seen, Error> {
        self.0.send("end\n")?;
        let said = self.0.wait_for("done\n")?;
        let told = |name: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.map(str::to_owned).ok_or_else(|| Error::Wrong(format!("no {name} in: {said}")))
        };
        let number = |name: &str| {
            let text = told(name)?;
            text.parse::<u64>().map_err(|error| Error::Wrong(format!("{name} {text}: {error}")))
        };
        Ok(Seen {
            looks: number("looks")?,
            tokens: number("tokens")?,
            least_left: Duration::from_millis(number("least-left-ms")?),
            longest_gap: Duration::from_millis(number("longest-gap-ms")?),
            problems: told("problems")?.trim_end().to_owned(),
        })
    }
}

impl Seen {
    /// Insists that the file was there and right whenever it looked.
    #[track_caller]
    pub fn no_problem(&self) {
        assert!(self.looks > 0, "it never looked: {self:?}");
        assert_eq!(self.problems, "0", "{self:?}");
    }
}
