//! Secrets of the user on their way to the daemon: in by file descriptor, out by file descriptor;
//! never an argument, never in a message.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;

use iamd_protocol::bus::secret::LONGEST;
use iamd_protocol::error::Kind;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::interrupt;

/// Reads a secret from a file descriptor that the caller of the program opened; a line break at
/// its end is not part of it.
///
/// # Errors
/// [`Kind::InvalidArgument`]: the descriptor is not one that the caller opened, or what is there
/// is no secret.
pub(crate) fn from_fd(number: u32) -> Result<SecretString, Failure> {
    let bytes = given(number, 1)?;
    line(&bytes).map_err(|what| refuse(number, what, "secret"))
}

/// Reads a name and a secret from such a descriptor, each in a line of its own and nothing after
/// them.
///
/// # Errors
/// As [`from_fd`]; there are fewer lines, or more.
pub(crate) fn pair_from_fd(number: u32) -> Result<(String, SecretString), Failure> {
    let bytes = given(number, 2)?;
    let wrong = |what: Unfit| refuse(number, what, "password");
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let name =
        line(lines.next().unwrap_or_default()).map_err(|what| refuse(number, what, "user name"))?;
    let secret = line(lines.next().unwrap_or_default()).map_err(wrong)?;
    Ok((name.expose_secret().to_owned(), secret))
}

/// Why what was read is no secret.
enum Unfit {
    Absent,
    Long,
    Odd,
}

fn refuse(number: u32, what: Unfit, of: &str) -> Failure {
    let what = match what {
        Unfit::Absent => format!("no {of} is there"),
        Unfit::Long => format!("the {of} is longer than {} KiB", LONGEST / 1024),
        Unfit::Odd => format!("the {of} is no single line of UTF-8 text"),
    };
    failure(number, &what)
}

fn failure(number: u32, what: &str) -> Failure {
    Failure::new(Kind::InvalidArgument, format!("file descriptor {number}: {what}"))
        .advise(format!("Have the shell open it:  {number}< FILE"))
}

/// One line; a line break at its end is not part of it.
fn line(bytes: &[u8]) -> Result<SecretString, Unfit> {
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if text.is_empty() {
        return Err(Unfit::Absent);
    }
    if text.len() > LONGEST {
        return Err(Unfit::Long);
    }
    match std::str::from_utf8(text) {
        Ok(text) if !text.contains(char::is_control) => Ok(SecretString::from(text)),
        _ => Err(Unfit::Odd),
    }
}

/// What is in a descriptor of the caller's, as far as so many lines could go, and a little more.
fn given(number: u32, lines: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |error: io::Error| {
        failure(number, &format!("it cannot be read: {error}")).for_want_of(&error)
    };
    inherited(number).map_err(failed)?.map_err(|what| failure(number, what))?;
    read(number, lines * (LONGEST + 4)).map_err(failed)
}

/// Whether the descriptor came with the program: ours are closed on exec, and must not be taken
/// for one that the user forgot to open.
///
/// # Errors
/// That cannot be looked at; there is nothing of that number.
fn inherited(number: u32) -> io::Result<Result<(), &'static str>> {
    const CLOSED_ON_EXEC: u32 = OFlag::O_CLOEXEC.bits() as u32;
    const ACCESS: u32 = OFlag::O_ACCMODE.bits() as u32;
    const WRITE_ONLY: u32 = OFlag::O_WRONLY.bits() as u32;
    // proc_pid_fdinfo(5): the flags are octal, the close-on-exec flag is among them.
    let about = match fs::read_to_string(format!("/proc/self/fdinfo/{number}")) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        about => about?,
    };
    let flags = about.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    Ok(match flags {
        None => Err("it is not open"),
        Some(flags) if flags & CLOSED_ON_EXEC != 0 => Err("it is not open"),
        Some(flags) if flags & ACCESS == WRITE_ONLY => Err("it is not open for reading"),
        Some(_) => Ok(()),
    })
}

fn read(number: u32, most: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let path = format!("/proc/self/fd/{number}");
    // A named pipe whose writer is done already would hold up an opening that waits.
    let mut file =
        OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    if file.is_terminal() {
        let text = "it is a terminal, where the secret would be shown";
        return Err(io::Error::new(ErrorKind::InvalidInput, text));
    }
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
    // Room enough that the buffer is not moved, which would leave a copy behind.
    let mut bytes = Zeroizing::new(vec![0; most]);
    let mut length = 0;
    while length < bytes.len() {
        match file.read(&mut bytes[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// The failure to make a pipe.
pub(crate) fn no_pipe(error: io::Error) -> Failure {
    Failure::new(Kind::Internal, format!("no pipe is to be had: {error}")).for_want_of(&error)
}

/// The read end of a pipe with the secret, for a call to the daemon, which takes pipes only.
///
/// # Errors
/// [`Kind::Internal`] when there are no descriptors left.
pub(crate) fn to_pipe(secret: &SecretString) -> Result<OwnedFd, Failure> {
    let (reader, mut writer) = io::pipe().map_err(no_pipe)?;
    // Where the user has many pipes, one holds a single page: the rest is written as it is read.
    let secret = secret.clone();
    std::thread::spawn(move || {
        interrupt::ignore_in_this_thread();
        // A daemon that does not read it says why in its answer.
        let _ = writer.write_all(secret.expose_secret().as_bytes());
    });
    Ok(reader.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_of_our_own_is_not_one_of_the_users() {
        let file = fs::File::open("/dev/zero").unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&file);
        let ours = inherited(number.try_into().unwrap()).unwrap();
        assert_eq!(ours.unwrap_err(), "it is not open");
        assert!(inherited(u32::MAX).unwrap().is_err());
    }

    #[test]
    fn what_is_in_the_pipe_is_the_secret_to_its_last_byte() {
        let long = "x".repeat(LONGEST);
        let mut read = String::new();
        let file = fs::File::from(to_pipe(&SecretString::from(long.clone())).unwrap());
        { file }.read_to_string(&mut read).unwrap();
        assert_eq!(read, long);
    }
}
