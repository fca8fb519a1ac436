//! The program of a caller, for the record only: nothing is decided on it.
//!
//! `/proc/PID/exe` is open to who may trace the process (proc(5)), and iamd has no such capability.
//! Then the name that the kernel shows of the process is taken, in brackets as ps(1) does: it is
//! the program's, unless the process gave itself another.

use std::{fs, os::unix::fs::MetadataExt as _, path::PathBuf};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

/// What runs as this process, if it is this user's, or root's, and still runs: a pid may have been
/// given to another.
pub(super) fn program(pid: u32, uid: u32) -> Option<String> {
    let handle = Pid::from_raw(i32::try_from(pid).ok()?)?;
    let pidfd = pidfd_open(handle, PidfdFlags::empty()).ok()?;
    let directory = PathBuf::from(format!("/proc/{pid}"));
    let owner = fs::metadata(&directory).ok()?.uid();
    if owner != uid && owner != 0 {
        return None;
    }
    let said = match fs::read_link(directory.join("exe")) {
        Ok(path) => path.to_string_lossy().into_owned(),
        Err(_) => {
            let name = fs::read(directory.join("comm")).ok()?;
            format!("[{}]", String::from_utf8_lossy(&name).trim_end_matches('\n'))
        }
    };
    // While it runs, its pid cannot be another's: what was read is of this process.
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    let runs = matches!(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(0));
    runs.then_some(said)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_program_of_a_process_that_runs_is_told_and_of_no_other() {
        let me = nix::unistd::geteuid().as_raw();
        let own = std::env::current_exe().unwrap();
        assert_eq!(program(std::process::id(), me).unwrap(), own.to_string_lossy());
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(program(child.id(), me).is_some());
        if me != 0 {
            assert_eq!(program(child.id(), me + 1), None, "somebody else's");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for gone in [child.id(), 0, u32::MAX] {
            assert_eq!(program(gone, me), None);
        }
    }
}
