//! Secrets that a caller hands over: by name, each used by the use case that knows the name.

use iamd_protocol::error::Kind;
use secrecy::SecretString;

use super::ServiceError;

/// The secrets of one call. Prints nothing.
#[derive(Default)]
pub struct Handed(Vec<(String, SecretString)>);

impl Handed {
    /// One more.
    pub fn add(&mut self, name: impl Into<String>, secret: SecretString) {
        self.0.push((name.into(), secret));
    }

    /// The secret of that name, which is then no longer here.
    pub(super) fn take(&mut self, name: &str) -> Option<SecretString> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Nothing may be left: a secret that nobody uses was meant for something.
    ///
    /// # Errors
    /// One is left.
    pub(super) fn finish(self) -> Result<(), ServiceError> {
        let Some((name, _)) = self.0.first() else { return Ok(()) };
        let text = format!("the secret \u{201c}{name}\u{201d} is of no use here");
        Err(ServiceError::new(Kind::InvalidArgument, text))
    }
}
