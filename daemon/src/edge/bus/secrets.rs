//! Secrets that come in by file descriptor.
//!
//! The descriptor is a user's, and hostile: only a pipe is read, see [`pipes`].

use std::{collections::HashMap, os::fd::OwnedFd, time::Duration};

use iamd_protocol::{bus::secret, error::Kind};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::AsyncReadExt as _;
use zeroize::Zeroizing;

use super::{BusError, pipes};
use crate::service::Handed;

/// How long the other end may take to write a secret and close the pipe.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads a secret to the end of the pipe; one newline at its end is not part of it.
///
/// # Errors
/// [`Kind::InvalidArgument`]: not a pipe, not closed in time, too long, empty, or not UTF-8.
pub(super) async fn read_secret(fd: OwnedFd) -> Result<SecretString, BusError> {
    let mut pipe = pipes::reader(fd, "a secret")?;
    // The whole size beforehand: a buffer that grew would leave the secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(secret::LONGEST + 2));
    let reading = async {
        while bytes.len() <= secret::LONGEST + 1 {
            let room = (secret::LONGEST + 2 - bytes.len()) as u64;
            if (&mut pipe).take(room).read_buf(&mut *bytes).await? == 0 {
                break;
            }
        }
        Ok::<(), std::io::Error>(())
    };
    match tokio::time::timeout(PATIENCE, reading).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(refused(&format!("a secret could not be read: {error}"))),
        Err(_) => return Err(refused("the pipe with a secret was not closed within 5 s")),
    }
    let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    if text.is_empty() {
        return Err(refused("the secret is empty"));
    }
    if text.len() > secret::LONGEST {
        return Err(refused("the secret is longer than 16 KiB"));
    }
    // Its own error would quote what it found.
    let text = str::from_utf8(text).map_err(|_| refused("the secret is not UTF-8"))?;
    Ok(text.to_owned().into())
}

/// Reads those of the secrets that a method knows, in the order of `names`; absent ones are
/// `None`. An unknown one is an error: a secret that is ignored is a misunderstanding.
///
/// # Errors
/// As [`read_secret`].
pub(super) async fn read_secrets<const N: usize>(
    mut given: HashMap<String, zbus::OwnedFd>,
    names: [&str; N],
) -> Result<[Option<SecretString>; N], BusError> {
    let mut secrets = [const { None }; N];
    for (secret, name) in secrets.iter_mut().zip(names) {
        if let Some(fd) = given.remove(name) {
            *secret = Some(read_secret(fd.into()).await?);
        }
    }
    match given.keys().next() {
        None => Ok(secrets),
        Some(_) => Err(refused(&format!("secrets here are: {}", names.join(", ")))),
    }
}

/// Reads all secrets of one call, for a use case that takes those it knows.
///
/// # Errors
/// As [`read_secret`], and a name that no use case knows.
pub(super) async fn read_handed(given: HashMap<String, zbus::OwnedFd>) -> Result<Handed, BusError> {
    const NAMES: [&str; 5] = [
        secret::CLIENT_SECRET,
        secret::INITIAL_ACCESS_TOKEN,
        secret::REFRESH_TOKEN,
        secret::PASSPHRASE,
        secret::NEW_PASSPHRASE,
    ];
    let secrets = read_secrets(given, NAMES).await?;
    let mut handed = Handed::default();
    for (name, secret) in NAMES.into_iter().zip(secrets) {
        if let Some(secret) = secret {
            // RFC 6749, appendix A: printable, each of them.
            if secret.expose_secret().contains(char::is_control) {
                return Err(refused(&format!("{name} has a control character in it")));
            }
            handed.add(name, secret);
        }
    }
    Ok(handed)
}

fn refused(text: &str) -> BusError {
    BusError::new(Kind::InvalidArgument, text)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use zbus::DBusError as _;

    use super::*;

    async fn read(text: &[u8]) -> Result<String, String> {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(text).unwrap();
        drop(writer);
        outcome(reader.into()).await
    }

    async fn outcome(fd: OwnedFd) -> Result<String, String> {
        let read = read_secret(fd).await;
        read.map(|secret| secret.expose_secret().to_owned())
            .map_err(|error| error.description().unwrap_or_default().to_owned())
    }

    #[tokio::test]
    async fn one_newline_at_the_end_is_not_part_of_a_secret() {
        assert_eq!(read(b"correct horse").await.unwrap(), "correct horse");
        assert_eq!(read(b"correct horse\n").await.unwrap(), "correct horse");
        assert_eq!(read(" a\u{e4}\n\n".as_bytes()).await.unwrap(), " a\u{e4}\n");
    }

    #[tokio::test]
    async fn what_cannot_be_a_secret_is_refused_without_being_quoted() {
        for (bytes, word) in [(&b""[..], "empty"), (b"\n", "empty"), (b"canary\xff", "UTF-8")] {
            let error = read(bytes).await.unwrap_err();
            assert!(error.contains(word) && !error.contains("canary"), "{error}");
        }
        assert_eq!(read(&[b'a'; secret::LONGEST]).await.unwrap().len(), secret::LONGEST);
        assert!(read(&[b'a'; secret::LONGEST + 1]).await.unwrap_err().contains("longer"));
        let mut with_newline = vec![b'a'; secret::LONGEST];
        with_newline.push(b'\n');
        assert_eq!(read(&with_newline).await.unwrap().len(), secret::LONGEST);
        assert!(read(&[b'a'; 60_000]).await.unwrap_err().contains("longer"));
    }

    #[tokio::test]
    async fn only_the_reading_end_of_a_pipe_is_read() {
        let (_reader, writer) = std::io::pipe().unwrap();
        assert!(outcome(writer.into()).await.unwrap_err().contains("pipe"));
        let file = tempfile::tempfile().unwrap();
        assert!(outcome(file.into()).await.unwrap_err().contains("pipe"));
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(outcome(socket.into()).await.unwrap_err().contains("pipe"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pipe_that_never_ends_is_given_up_and_waits_on_no_thread() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"half a sec").unwrap();
        assert!(outcome(reader.into()).await.unwrap_err().contains("5 s"));
    }
}
