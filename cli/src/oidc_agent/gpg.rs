//! Account files that oidc-agent had gpg encrypt. gpg decrypts them here too: it finds the key, and
//! asks for its passphrase in its own way.

use std::io::{ErrorKind, Read, Write};
use std::process::{Child, Command, Stdio};

use zeroize::Zeroizing;

use super::{LARGEST, Unreadable};
use crate::interrupt;

const BEGIN: &str = "-----BEGIN PGP MESSAGE-----";
const END: &str = "-----END PGP MESSAGE-----";

/// An armoured PGP message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gpg(String);

impl Gpg {
    /// Finds the message; the version of oidc-agent stands behind it. `None` where there is none.
    ///
    /// # Errors
    /// It has no end.
    pub(super) fn of(text: &str) -> Result<Option<Self>, Unreadable> {
        if !text.starts_with(BEGIN) {
            return Ok(None);
        }
        let (message, _) = text.split_once(END).ok_or(Unreadable::Damaged("it is not whole"))?;
        Ok(Some(Self(format!("{message}{END}\n"))))
    }

    /// Has gpg decrypt it. What gpg has to say it says on standard error, and its questions it asks
    /// on the terminal or on a display, by an agent of its own.
    ///
    /// # Errors
    /// There is no gpg, or it did not decrypt the message.
    pub(super) fn decrypt(&self) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
        let mut gpg = Command::new("gpg");
        gpg.args(["--quiet", "--decrypt"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut gpg = gpg.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => failed("the program gpg is not there"),
            _ => failed(&error.to_string()),
        })?;
        let plaintext = self.exchange(&mut gpg);
        if plaintext.is_err() {
            let _ = gpg.kill();
        }
        let ended = gpg.wait().map_err(|error| failed(&error.to_string()))?;
        let plaintext = plaintext?;
        if !ended.success() {
            return Err(failed("it says why above"));
        }
        Ok(plaintext)
    }

    fn exchange(&self, gpg: &mut Child) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
        let (Some(mut to), Some(mut from)) = (gpg.stdin.take(), gpg.stdout.take()) else {
            return Err(failed("it has no pipes"));
        };
        let message = self.0.clone();
        // It may write before it has read all.
        std::thread::spawn(move || {
            interrupt::ignore_in_this_thread();
            let _ = to.write_all(message.as_bytes());
        });
        // Room enough that the buffer is not moved, which would leave a copy behind.
        let mut plaintext = Zeroizing::new(vec![0; LARGEST + 1]);
        let mut length = 0;
        while length < plaintext.len() {
            match from.read(&mut plaintext[length..]) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(&error.to_string())),
            }
        }
        if length > LARGEST {
            return Err(Unreadable::Foreign);
        }
        plaintext.truncate(length);
        Ok(plaintext)
    }
}

fn failed(why: &str) -> Unreadable {
    Unreadable::Gpg(why.to_owned())
}
