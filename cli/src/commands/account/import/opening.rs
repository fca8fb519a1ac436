//! Opening the files: one password is asked for, and tried for the others before another is.

use std::path::Path;

use iamd_protocol::error::Kind;
use secrecy::SecretString;

use super::sign_in;
use crate::app::Context;
use crate::failure::Failure;
use crate::oidc_agent::{self, Account, AccountFile, Content, NoFile, Unfit, Unreadable};
use crate::{prompt, secret};

/// How often somebody may mistype the password of one file.
const TRIES: usize = 3;

/// The passwords that are known so far.
pub(super) struct Opening {
    passwords: Vec<SecretString>,
    /// Whether they came by descriptor: nobody is asked then.
    given: bool,
}

impl Opening {
    /// With the password from the descriptor, where one is named.
    ///
    /// # Errors
    /// What is there is no password.
    pub(super) fn new(password_fd: Option<u32>) -> Result<Self, Failure> {
        let Some(number) = password_fd else {
            return Ok(Self { passwords: Vec::new(), given: false });
        };
        let password = secret::from_fd(number).map_err(|failure| Failure {
            message: format!("--password-fd: {}", failure.message),
            ..failure
        })?;
        Ok(Self { passwords: vec![password], given: true })
    }

    /// Reads a file and opens it.
    ///
    /// # Errors
    /// It cannot be read, is something else, does not open, or holds nothing to be taken over.
    pub(super) fn open(
        &mut self,
        path: &Path,
        context: &mut Context,
    ) -> Result<(AccountFile, Account), Failure> {
        let mut file =
            oidc_agent::read(path, context.environment.uid).map_err(|error| no_file(&error))?;
        let content = Content::of(std::mem::take(&mut file.bytes)).map_err(unreadable)?;
        let plaintext = if content.needs_password() {
            self.decrypt(&content, path, context)?
        } else {
            content.open(None).map_err(unreadable)?
        };
        let mut account = Account::of(&plaintext).map_err(|unfit| not_fit(&unfit))?;
        if account.name.is_none() {
            account.name = path.file_name().and_then(|name| Some(name.to_str()?.to_owned()));
        }
        Ok((file, account))
    }

    fn decrypt(
        &mut self,
        content: &Content,
        path: &Path,
        context: &mut Context,
    ) -> Result<zeroize::Zeroizing<Vec<u8>>, Failure> {
        for password in &self.passwords {
            match content.open(Some(password)) {
                Err(Unreadable::WrongPassword) => {}
                other => return other.map_err(unreadable),
            }
        }
        if self.given {
            return Err(unreadable(Unreadable::WrongPassword));
        }
        for _ in 0..TRIES {
            let password = ask(path, context)?;
            match content.open(Some(&password)) {
                Ok(plaintext) => {
                    self.passwords.push(password);
                    return Ok(plaintext);
                }
                Err(Unreadable::WrongPassword) => {
                    context.output.tell("That is not the password of this file.");
                }
                Err(other) => return Err(unreadable(other)),
            }
        }
        Err(unreadable(Unreadable::WrongPassword))
    }
}

fn ask(path: &Path, context: &mut Context) -> Result<SecretString, Failure> {
    if prompt::is_possible() {
        // Apart from the question: a path may be longer than the terminal is wide.
        context.output.tell(&format!(
            "{} is sealed: its password, as oidc-gen asked for it, is not shown as you type.",
            oidc_agent::shown(path)
        ));
    }
    prompt::secret("Password of oidc-agent: ").map_err(|failure| {
        failure.advise("Give the password by descriptor:  --password-fd 3 3< FILE")
    })
}

pub(super) fn no_file(error: &NoFile) -> Failure {
    Failure::new(Kind::AccountFileUnusable, error.to_string()).advise(match error {
        NoFile::NotAFile("a link") => "Name the file that it leads to.",
        NoFile::Foreign => "Whose account it is has to import it.",
        _ => "",
    })
}

fn unreadable(error: Unreadable) -> Failure {
    let kind = match error {
        Unreadable::WrongPassword => Kind::WrongPassphrase,
        _ => Kind::AccountFileUnusable,
    };
    let failure = Failure::new(kind, error.to_string());
    match error {
        Unreadable::WrongPassword => failure.advise(format!(
            "It is the one that oidc-gen asked for. Where it is lost, sign in anew:  {}",
            sign_in(None)
        )),
        Unreadable::Memory => failure.advise("Try again where more memory is free."),
        _ => failure,
    }
}

fn not_fit(unfit: &Unfit) -> Failure {
    let failure = Failure::new(Kind::AccountFileUnusable, unfit.to_string());
    failure.advise(format!("Sign in instead:  {}", sign_in(unfit.issuer())))
}
