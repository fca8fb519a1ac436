//! Secrets by descriptor: read to their end on threads of their own, bounded in size and time.
//!
//! The other end belongs to a user: it may never end, and a file may be on a file system of their
//! own that never answers. So only what the kernel itself answers for is read: pipes, sockets, and
//! files in memory.

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    time::Duration,
};

use iamd_protocol::{bus::secret, error::Kind};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat, fstatfs},
    net::{RecvFlags, recv},
};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::BusError;
use crate::service::{Handed, ServiceError};

/// How often a descriptor is waited for, and how long each time: five seconds together.
const WAITS: usize = 50;
const WAIT: Duration = Duration::from_millis(100);
/// `tmpfs`, where memfd and `/dev/shm` are (linux/magic.h).
const TMPFS: i64 = 0x0102_1994;
/// Each is one argument of a method at most once.
const KNOWN: [&str; 5] = [
    secret::CLIENT_SECRET,
    secret::INITIAL_ACCESS_TOKEN,
    secret::REFRESH_TOKEN,
    secret::PASSPHRASE,
    secret::NEW_PASSPHRASE,
];

/// Reads the secrets of one call.
pub(super) async fn read(descriptors: HashMap<String, zbus::OwnedFd>) -> Result<Handed, BusError> {
    if let Some(odd) = descriptors.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        let shown: String = odd.chars().filter(char::is_ascii_graphic).take(40).collect();
        let text = format!("there is no secret called \u{201c}{shown}\u{201d}");
        return Err(BusError::new(Kind::InvalidArgument, text));
    }
    let task = tokio::task::spawn_blocking(move || {
        let mut handed = Handed::default();
        for (name, descriptor) in descriptors {
            let secret = read_one(descriptor.into()).map_err(|why| {
                ServiceError::new(Kind::InvalidArgument, format!("{name}: {why}"))
            })?;
            handed.add(name, secret);
        }
        Ok::<_, ServiceError>(handed)
    });
    match task.await {
        Ok(handed) => Ok(handed?),
        Err(_) => Err(BusError::new(Kind::Internal, "the secrets could not be read")),
    }
}

fn read_one(descriptor: OwnedFd) -> Result<SecretString, String> {
    let about = fstat(&descriptor).map_err(|error| error.to_string())?;
    let from = match FileType::from_raw_mode(about.st_mode) {
        FileType::Fifo => {
            let flags = fcntl_getfl(&descriptor).map_err(|error| error.to_string())?;
            fcntl_setfl(&descriptor, flags | OFlags::NONBLOCK)
                .map_err(|error| error.to_string())?;
            From::Pipe
        }
        FileType::Socket => From::Socket,
        FileType::RegularFile if in_memory(&descriptor) => From::Memory,
        _ => return Err("hand it over through a pipe, a socket or a file in memory".to_owned()),
    };
    let bytes = read_to_end(descriptor.as_fd(), from)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| "it is not text".to_owned())?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.contains(char::is_control) {
        return Err("it has a control character in it".to_owned());
    }
    Ok(SecretString::from(text.to_owned()))
}

#[derive(Clone, Copy)]
enum From {
    Pipe,
    Socket,
    Memory,
}

fn in_memory(descriptor: &OwnedFd) -> bool {
    #[allow(clippy::unnecessary_cast, reason = "the type differs between architectures")]
    fstatfs(descriptor).is_ok_and(|about| about.f_type as i64 == TMPFS)
}

/// Everything up to the end, a bounded number of times.
fn read_to_end(descriptor: BorrowedFd<'_>, from: From) -> Result<Zeroizing<Vec<u8>>, String> {
    // Room for one more than allowed, so that the buffer never grows and leaves a copy behind.
    let mut bytes = Zeroizing::new(vec![0; secret::LONGEST + 2]);
    let mut length = 0;
    for _ in 0..WAITS {
        let wait = Timespec::try_from(WAIT).map_err(|error| error.to_string())?;
        let mut ready = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
        match poll(&mut ready, Some(&wait)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
        let rest = &mut bytes[length..];
        let read = match from {
            From::Socket => recv(descriptor, rest, RecvFlags::DONTWAIT).map(|(read, _)| read),
            From::Memory => {
                rustix::io::pread(descriptor, rest, u64::try_from(length).unwrap_or(u64::MAX))
            }
            From::Pipe => rustix::io::read(descriptor, rest),
        };
        match read {
            Ok(0) => {
                bytes.truncate(length);
                return Ok(bytes);
            }
            Ok(read) => length += read,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(error) => return Err(io::Error::from(error).to_string()),
        }
        // A line's end may follow.
        if length > secret::LONGEST + 1 {
            return Err(format!("it is longer than {} bytes", secret::LONGEST));
        }
    }
    Err("its end did not come in time".to_owned())
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, os::unix::net::UnixStream};

    use rustix::fs::{MemfdFlags, memfd_create};
    use secrecy::ExposeSecret as _;

    use super::*;

    fn pipe_with(bytes: &[u8]) -> OwnedFd {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let bytes = bytes.to_vec();
        // Longer than a pipe holds: written while it is read.
        std::thread::spawn(move || drop(writer.write_all(&bytes)));
        reader.into()
    }

    fn read_text(descriptor: OwnedFd) -> Result<String, String> {
        read_one(descriptor).map(|secret| secret.expose_secret().to_owned())
    }

    #[test]
    fn a_secret_comes_through_a_pipe_a_socket_or_a_file_in_memory_without_its_line_end() {
        for (bytes, text) in
            [(&b"s3cret\n"[..], "s3cret"), (b"s3cret", "s3cret"), (b"a b \r\n", "a b ")]
        {
            assert_eq!(read_text(pipe_with(bytes)).unwrap(), text);
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            ours.write_all(bytes).unwrap();
            drop(ours);
            assert_eq!(read_text(theirs.into()).unwrap(), text);
            let memory = memfd_create("secret", MemfdFlags::CLOEXEC).unwrap();
            let mut file = std::fs::File::from(memory);
            file.write_all(bytes).unwrap();
            assert_eq!(read_text(file.into()).unwrap(), text);
        }
        let longest = "x".repeat(secret::LONGEST);
        assert_eq!(read_text(pipe_with(format!("{longest}\n").as_bytes())).unwrap(), longest);
    }

    #[test]
    fn what_is_no_secret_is_refused_with_the_reason_and_without_the_content() {
        let too_long = vec![b'x'; secret::LONGEST + 2];
        for (bytes, why) in [
            (&b""[..], "empty"),
            (b"\n", "empty"),
            (b"canary\0", "control character"),
            (b"canary\nmore", "control character"),
            (b"canary\xff", "not text"),
            (too_long.as_slice(), "longer than"),
        ] {
            let error = read_text(pipe_with(bytes)).unwrap_err();
            assert!(error.contains(why) && !error.contains("canary"), "{why}: {error}");
        }
        let directory = std::fs::File::open("/").unwrap();
        let device = std::fs::File::open("/dev/zero").unwrap();
        let process = std::fs::File::open("/proc/self/status").unwrap();
        for odd in [directory, device, process] {
            assert!(read_text(odd.into()).unwrap_err().contains("pipe"));
        }
    }

    #[test]
    fn a_pipe_that_never_ends_is_given_up() {
        let (reader, _writer) = std::io::pipe().unwrap();
        assert!(read_text(reader.into()).unwrap_err().contains("in time"));
    }

    #[tokio::test]
    async fn a_secret_of_another_name_is_refused_unread() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let odd = HashMap::from([("password".to_owned(), OwnedFd::from(reader).into())]);
        let Err(error) = read(odd).await else { panic!("read") };
        assert!(zbus::DBusError::description(&error).unwrap().contains("password"));
    }
}
