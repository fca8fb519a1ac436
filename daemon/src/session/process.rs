//! A process as something that has a life: its pidfd, and the start time that tells it from a
//! later process with the same pid.

use std::{
    fs, io,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

/// A pidfd of `pid`; an error when there is no such process.
pub(super) fn open(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Whether the process of a pidfd runs. A zombie has ended (pidfd_open(2)).
pub(super) fn runs(pidfd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    matches!(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(0))
}

/// A pidfd of the process that has this pid and started at this time; `None` when it is gone,
/// even if the pid was given to another.
pub(super) fn reopen(pid: u32, started: u64) -> Option<OwnedFd> {
    let pidfd = open(pid).ok()?;
    // In this order: while the pidfd's process runs, the pid cannot belong to another.
    (start_time(pid) == Some(started) && runs(&pidfd)).then_some(pidfd)
}

/// When a process started, in clock ticks after boot; `None` when it is gone or hidden from us
/// (a `/proc` mounted with hidepid).
pub(super) fn start_time(pid: u32) -> Option<u64> {
    parse_start_time(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Field 22 of `/proc/PID/stat` (proc(5)). The second field is the program's name in parentheses
/// and may itself contain spaces, parentheses and newlines; the last `)` ends it.
fn parse_start_time(stat: &[u8]) -> Option<u64> {
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let rest = std::str::from_utf8(&stat[after_name..]).ok()?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Which boot this is; `None` where `/proc/sys` is hidden (`ProcSubset=pid` in the unit).
pub(super) fn boot_id() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_any_program_name() {
        let fields = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21";
        for name in ["sshd", "a b", "x) S 1 2 3", "(((", ")", "\n) R 9 9", ""] {
            let stat = format!("42 ({name}) {fields}");
            assert_eq!(parse_start_time(stat.as_bytes()), Some(4711), "{name:?}");
        }
        assert_eq!(parse_start_time(b"42 (\xff) S"), None);
        assert_eq!(parse_start_time(b""), None);
        assert_eq!(
            parse_start_time(b"42 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 x"),
            None
        );
    }

    #[test]
    fn a_pid_that_was_given_to_another_process_is_not_reopened() {
        let me = std::process::id();
        let started = start_time(me).unwrap();
        assert!(reopen(me, started).is_some());
        assert!(reopen(me, started - 1).is_none());
        assert!(reopen(0, started).is_none());
        assert!(reopen(u32::MAX, started).is_none());
    }

    #[test]
    fn a_zombie_has_ended() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pidfd = open(child.id()).unwrap();
        assert!(runs(&pidfd));
        child.kill().unwrap();
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 10, tv_nsec: 0 })).unwrap();
        let started = start_time(child.id()).unwrap();
        assert!(!runs(&pidfd) && reopen(child.id(), started).is_none());
        child.wait().unwrap();
        assert!(open(child.id()).is_err() && start_time(child.id()).is_none());
    }
}
