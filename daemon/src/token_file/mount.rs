//! Which mount a descriptor is on, from the kernel's own tables: nothing here asks the file
//! system itself, which may be a user's FUSE mount that never answers.

use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd},
};

use rustix::io::Errno;

use super::dir::Fault;

/// The identifier of the mount that a descriptor is on.
pub(super) fn id_of(fd: impl AsFd) -> Result<u64, Fault> {
    let info = read(&format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd()))?;
    mount_id(&info).ok_or(Fault::Errno(Errno::IO))
}

/// Whether a descriptor is on FUSE. A user may mount one on his own runtime directory, and with
/// `user_allow_other` even fstat(2) on it waits for a process of the user's, for ever if he likes.
pub(super) fn is_fuse(fd: impl AsFd) -> Result<bool, Fault> {
    let info = read(&format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd()))?;
    let mounts = read("/proc/self/mountinfo")?;
    Ok(file_system(&info, &mounts).is_some_and(|kind| kind.starts_with("fuse")))
}

/// The file system type of the mount named in `fdinfo`, from `mountinfo` (proc(5)).
pub(super) fn file_system<'a>(fdinfo: &str, mountinfo: &'a str) -> Option<&'a str> {
    let id = mount_id(fdinfo)?.to_string();
    let mount = mountinfo.lines().find(|line| line.split(' ').next() == Some(&id))?;
    mount.split_once(" - ")?.1.split(' ').next()
}

fn mount_id(fdinfo: &str) -> Option<u64> {
    fdinfo.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()
}

fn read(path: &str) -> Result<String, Fault> {
    let bytes = fs::read(path).map_err(|error: io::Error| {
        Fault::Errno(Errno::from_io_error(&error).unwrap_or(Errno::IO))
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
