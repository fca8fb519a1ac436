//! Why a command did not do what it was asked: a stable name, an exit code, a sentence and a
//! piece of advice.

use iamd_protocol::error::{Exit, Kind};

use nix::errno::Errno;

use crate::output::text;

/// Where this process may open no more files.
const MORE_FILES: &str = "Let it open more files, as:  ulimit -n 1024";

/// A failure as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    /// The short name of a [`Kind`], or of one that only a newer daemon knows.
    pub(crate) name: String,
    /// How the program ends.
    pub(crate) exit: Exit,
    /// What happened.
    pub(crate) message: String,
    /// What to do next; empty where the message says it all.
    pub(crate) advice: String,
}

impl Failure {
    /// A failure of a kind that the protocol knows, with its advice.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            name: kind.short_name().to_owned(),
            exit: kind.exit(),
            message: text::without_numbers(&message.into()),
            advice: kind.advice().to_owned(),
        }
    }

    /// A failure whose name this version does not know: an older iamctl with a newer iamd.
    pub(crate) fn unknown(name: &str, message: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            exit: Exit::Failed,
            message: message.into(),
            advice: String::new(),
        }
    }

    /// The same with other advice.
    pub(crate) fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: advice.into(), ..self }
    }

    /// The same, with other advice where the reason is that no descriptors are left, to this process
    /// or to the node.
    pub(crate) fn for_want_of(self, error: &std::io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EMFILE) => self.advise(MORE_FILES),
            Some(Errno::ENFILE) => self.advise(
                "Try again later; administrators: the node has no more open files (fs.file-max)",
            ),
            _ => self,
        }
    }

    /// The same with advice that names the account the command was about.
    pub(crate) fn about(mut self, account: Option<&str>) -> Self {
        let Some(account) = account else { return self };
        if self.is(Kind::GivenClientRefused) {
            self.advice = self.advice.replace(" NAME ", &format!(" {account} "));
        }
        for command in [
            "iamctl login",
            "iamctl account show",
            "iamctl account edit",
            "iamctl account unlock",
            "iamctl login --new-client",
        ] {
            if self.advice.ends_with(command) {
                self.advice = format!("{} {account}", self.advice);
                break;
            }
        }
        self
    }

    /// Whether it is of this kind.
    pub(crate) fn is(&self, kind: Kind) -> bool {
        self.name == kind.short_name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_the_account_that_was_named() {
        let failure = Failure::new(Kind::LoginRequired, "not signed in");
        assert_eq!(failure.clone().about(None).advice, "Sign in with:  iamctl login");
        assert_eq!(failure.about(Some("cms")).advice, "Sign in with:  iamctl login cms");
        let given = Failure::new(Kind::GivenClientRefused, "unknown").about(Some("g"));
        assert!(given.advice.contains("account remove g ") && !given.advice.contains("NAME"));
        for (number, part) in [(24, "ulimit -n"), (23, "fs.file-max")] {
            let error = std::io::Error::from_raw_os_error(number);
            let failure = Failure::new(Kind::Internal, "no pipe").for_want_of(&error);
            assert!(failure.advice.contains(part), "{failure:?}");
        }
        let other = std::io::Error::from_raw_os_error(2);
        let failure = Failure::new(Kind::Internal, "no pipe");
        assert_eq!(failure.clone().for_want_of(&other), failure);
        let failure = Failure::new(Kind::DeniedByPolicy, "no").about(Some("cms"));
        assert_eq!(failure.advice, Kind::DeniedByPolicy.advice());
    }
}
