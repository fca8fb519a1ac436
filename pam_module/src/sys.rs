//! What neither `std` nor pam-bindings offers: four calls of libpam and four of the socket API.
//!
//! The only file of the crate with unsafe code. The constants are those of the Linux
//! architectures named below; `tests/host.rs` compares them with the C headers.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::ptr;

use pam::constants::PAM_TEXT_INFO;
use pam::conv::Conv;
use pam::items::{RHost, Service, Tty, User};
use pam::module::PamHandle;

use crate::deadline::Deadline;
use crate::session::{Level, Pam};

#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64",
    target_arch = "s390x",
    target_arch = "powerpc64",
)))]
compile_error!("check the socket constants of this architecture first");

const AF_UNIX: u16 = 1;
const SOCK_STREAM: c_int = 1;
const SOCK_CLOEXEC: c_int = 0o2_000_000;
const SOL_SOCKET: c_int = 1;
const SO_PEERCRED: c_int = if cfg!(target_arch = "powerpc64") { 21 } else { 17 };
const MSG_NOSIGNAL: c_int = 0x4000;
const ADDRESS_LENGTH: u32 = size_of::<SockaddrUn>() as u32;

/// `struct sockaddr_un` (unix(7)).
#[repr(C)]
struct SockaddrUn {
    family: u16,
    path: [u8; 108],
}

/// `struct ucred` (unix(7)).
#[repr(C)]
#[derive(Default)]
struct Ucred {
    pid: i32,
    uid: u32,
    gid: u32,
}

/// How `struct passwd` begins, in glibc and in musl; never made here, only looked at.
#[repr(C)]
struct Passwd {
    name: *const c_char,
    password: *const c_char,
    uid: u32,
}

#[link(name = "pam")]
unsafe extern "C" {
    fn pam_putenv(pam: *mut PamHandle, pair: *const c_char) -> c_int;
    fn pam_getenv(pam: *mut PamHandle, name: *const c_char) -> *const c_char;
    fn pam_syslog(pam: *const PamHandle, priority: c_int, format: *const c_char, ...);
    fn pam_modutil_getpwnam(pam: *mut PamHandle, user: *const c_char) -> *const Passwd;
}

unsafe extern "C" {
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    #[link_name = "connect"]
    fn connect_raw(fd: c_int, address: *const SockaddrUn, length: u32) -> c_int;
    #[link_name = "send"]
    fn send_raw(fd: c_int, bytes: *const c_void, length: usize, flags: c_int) -> isize;
    fn getsockopt(
        fd: c_int,
        level: c_int,
        name: c_int,
        value: *mut c_void,
        length: *mut u32,
    ) -> c_int;
}

/// Connects to a stream socket, waiting for a place in its backlog until the deadline.
///
/// `UnixStream::connect` would wait for ever there; `SO_SNDTIMEO` bounds the wait (socket(7)).
///
/// # Errors
/// `WouldBlock` or `TimedOut` when the backlog stayed full; else what connect(2) says.
pub(crate) fn connect(path: &Path, deadline: &Deadline) -> io::Result<UnixStream> {
    let bytes = path.as_os_str().as_bytes();
    let mut address = SockaddrUn { family: AF_UNIX, path: [0; 108] };
    // One byte stays free for the NUL.
    match address.path[..107].get_mut(..bytes.len()) {
        Some(room) if !bytes.contains(&0) => room.copy_from_slice(bytes),
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    }
    // SAFETY: socket(2) takes no pointer.
    let fd = unsafe { socket(AF_UNIX.into(), SOCK_STREAM | SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: socket(2) has just opened `fd`, and nothing else has seen it.
    let stream = UnixStream::from(unsafe { OwnedFd::from_raw_fd(fd) });
    loop {
        stream.set_write_timeout(Some(deadline.remaining()?))?;
        // SAFETY: `address` is a live sockaddr_un as laid out above and the length is its size.
        let code = unsafe { connect_raw(stream.as_raw_fd(), &raw const address, ADDRESS_LENGTH) };
        if code == 0 {
            return Ok(stream);
        }
        let error = io::Error::last_os_error();
        // An interrupted connect leaves an AF_UNIX socket unconnected: ask again.
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Writes without a SIGPIPE when the peer is gone.
///
/// sshd ignores that signal, other hosts may not; `std` passes `MSG_NOSIGNAL` only in newer
/// releases than the oldest we build with, and does not promise it.
///
/// # Errors
/// What send(2) says; `WouldBlock` after the stream's write timeout.
pub(crate) fn send(stream: &UnixStream, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: pointer and length are those of one live slice; the call only reads it.
    let sent =
        unsafe { send_raw(stream.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), MSG_NOSIGNAL) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// The uid of whoever called listen(2) on the other end (unix(7), `SO_PEERCRED`).
///
/// # Errors
/// What getsockopt(2) says.
pub(crate) fn peer_uid(stream: &UnixStream) -> io::Result<u32> {
    let mut peer = Ucred::default();
    let mut length = size_of::<Ucred>() as u32;
    // SAFETY: value and length point to live locals, and the length is the value's size.
    let code = unsafe {
        getsockopt(
            stream.as_raw_fd(),
            SOL_SOCKET,
            SO_PEERCRED,
            ptr::from_mut(&mut peer).cast(),
            &raw mut length,
        )
    };
    if code != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(peer.uid)
}

/// Its address tells this loaded image from any other, another build of the module included.
static IMAGE: u8 = 0;

/// What `pam_set_data` keeps from open to close: the daemon's name for the session.
struct Session(Option<String>);

fn session_key() -> String {
    format!("pam_iam session {:p}", &raw const IMAGE)
}

fn text(item: &CStr) -> Option<String> {
    item.to_str().ok().map(String::from)
}

impl Pam for PamHandle {
    fn service(&self) -> Option<String> {
        self.get_item::<Service<'_>>().ok().flatten().and_then(|item| text(item.0))
    }

    fn user(&self) -> Option<String> {
        // Not `get_user`: it would prompt where no user is set.
        self.get_item::<User<'_>>().ok().flatten().and_then(|item| text(item.0))
    }

    fn rhost(&self) -> Option<String> {
        self.get_item::<RHost<'_>>().ok().flatten().and_then(|item| text(item.0))
    }

    fn tty(&self) -> Option<String> {
        self.get_item::<Tty<'_>>().ok().flatten().and_then(|item| text(item.0))
    }

    fn account_of(&mut self, user: &str) -> Option<(u32, String)> {
        let user = CString::new(user).ok()?;
        // SAFETY: `self` is the live handle libpam called the hook with; `user` is
        // NUL-terminated and only read.
        let entry = unsafe { pam_modutil_getpwnam(self, user.as_ptr()) };
        // SAFETY: libpam returns null or an entry that it keeps until pam_end.
        let entry = unsafe { entry.as_ref() }?;
        if entry.name.is_null() {
            return None;
        }
        // SAFETY: `name` is not null, and by getpwnam(3) a NUL-terminated string of the entry,
        // which libpam keeps until pam_end; it is copied here.
        let name = unsafe { CStr::from_ptr(entry.name) }.to_str().ok()?.to_owned();
        Some((entry.uid, name))
    }

    fn has_variable(&mut self, name: &str) -> bool {
        let Ok(name) = CString::new(name) else { return false };
        // SAFETY: `self` is the live handle libpam called the hook with; `name` is
        // NUL-terminated and only read; of the result only null or not is looked at.
        !unsafe { pam_getenv(self, name.as_ptr()) }.is_null()
    }

    fn put_variable(&mut self, name: &str, value: &str) -> bool {
        let Ok(pair) = CString::new(format!("{name}={value}")) else { return false };
        // SAFETY: `self` is the live handle libpam called the hook with; `pair` is
        // NUL-terminated and libpam copies it.
        unsafe { pam_putenv(self, pair.as_ptr()) == 0 }
    }

    fn tell(&self, notice: &str) -> bool {
        let conversation = self.get_item::<Conv<'_>>().ok().flatten();
        conversation.is_some_and(|conversation| conversation.send(PAM_TEXT_INFO, notice).is_ok())
    }

    fn session(&self) -> Option<String> {
        // SAFETY: the key holds the address of a static of this image, so only `set_session`
        // below stores under it, and it stores a `Session`.
        let kept = unsafe { self.get_data::<Session>(&session_key()) };
        kept.ok().and_then(|kept| kept.0.clone())
    }

    fn set_session(&mut self, session: Option<String>) -> bool {
        self.set_data(&session_key(), Box::new(Session(session))).is_ok()
    }

    fn log(&mut self, level: Level, line: &str) {
        let Ok(line) = CString::new(line) else { return };
        // pam_syslog(3) adds the facility AUTHPRIV.
        // SAFETY: `self` is the live handle libpam called the hook with; format and argument are
        // NUL-terminated, and "%s" takes exactly the one argument given.
        unsafe { pam_syslog(self, level as c_int, c"%s".as_ptr(), line.as_ptr()) };
    }
}

#[cfg(test)]
pub(crate) mod tests {
    //! A call that only tests need.
    use super::*;
    use std::os::unix::net::UnixListener;

    unsafe extern "C" {
        fn listen(fd: c_int, backlog: c_int) -> c_int;
    }

    /// Leaves room for one waiting connection.
    pub(crate) fn shrink_backlog(listener: &UnixListener) {
        // SAFETY: listen(2) takes no pointer, and the descriptor is open.
        assert_eq!(unsafe { listen(listener.as_raw_fd(), 0) }, 0);
    }
}
