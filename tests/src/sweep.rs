//! Takes away whatever a run left: processes, mounts, network namespaces, control groups, files.
//!
//! One way for three occasions: the end of a run, a signal in the middle of one, and the next run
//! after one that was killed. Everything is found by the run's id in its name, so nothing has to
//! be remembered and nothing of anybody else's is touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::clock;
use crate::command::{self, TAG};
use crate::places::RUNS;

/// How long processes get to end by themselves.
const PATIENCE: Duration = Duration::from_secs(5);

/// The directory of run `id`.
pub fn dir_of(id: u32) -> PathBuf {
    Path::new(RUNS).join(id.to_string())
}

/// What every network namespace, machine and control group of run `id` starts with.
pub fn prefix_of(id: u32) -> String {
    format!("iamd{id}-")
}

/// Removes everything of run `id`; what cannot be removed is left for the next sweep.
pub fn clean(id: u32) {
    end_processes(id);
    unmount_below(&dir_of(id));
    remove_namespaces(id);
    remove_cgroups(id);
    let _ = fs::remove_dir_all(dir_of(id));
}

/// What is there of run `id`, for a run that must have left nothing.
pub fn left_of(id: u32) -> Vec<String> {
    let processes = processes(id).into_iter().map(|pid| format!("process {pid}"));
    let mounts = mount_points_below(&dir_of(id)).into_iter().map(|at| format!("mount {at:?}"));
    let namespaces = namespaces(id).into_iter().map(|name| format!("network namespace {name}"));
    let groups = cgroups(id).into_iter().map(|dir| format!("control group {dir:?}"));
    let dir = Some(dir_of(id)).filter(|dir| dir.exists()).map(|dir| format!("{dir:?}"));
    processes.chain(mounts).chain(namespaces).chain(groups).chain(dir).collect()
}

/// The processes of run `id`, by the variable they were started with.
pub fn processes(id: u32) -> Vec<Pid> {
    let tag = format!("{TAG}={id}");
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| u32::try_from(*pid).is_ok_and(|pid| pid != std::process::id()))
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|bytes| bytes.split(|b| *b == 0).any(|entry| entry == tag.as_bytes()))
        })
        .map(Pid::from_raw)
        .collect()
}

fn end_processes(id: u32) {
    for signal in [Signal::SIGTERM, Signal::SIGTERM, Signal::SIGKILL] {
        let left = processes(id);
        if left.is_empty() {
            return;
        }
        for pid in left {
            let _ = kill(pid, signal);
        }
        let _ = clock::until("their end", PATIENCE, || processes(id).is_empty());
    }
}

/// Unmounts everything at and below `dir`, the innermost first.
pub fn unmount_below(dir: &Path) {
    for _ in 0..3 {
        let mut points = mount_points_below(dir);
        if points.is_empty() {
            return;
        }
        points.sort_by_key(|point| std::cmp::Reverse(point.as_os_str().len()));
        for point in points {
            let _ = umount2(&point, MntFlags::MNT_DETACH);
        }
    }
}

fn mount_points_below(dir: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    points.filter(|point| point.starts_with(dir)).collect()
}

fn remove_namespaces(id: u32) {
    for name in namespaces(id) {
        let mut ip = Command::new("ip");
        ip.args(["netns", "del", &name]);
        let _ = command::must(ip);
    }
}

fn namespaces(id: u32) -> Vec<String> {
    let entries = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(&prefix_of(id))).collect()
}

fn remove_cgroups(id: u32) {
    cgroups(id).iter().for_each(|dir| remove_cgroup(dir));
}

fn cgroups(id: u32) -> Vec<PathBuf> {
    let hierarchies = crate::node::cgroup_hierarchies().into_iter();
    let groups = hierarchies.flat_map(|dir| fs::read_dir(dir).into_iter().flatten().flatten());
    groups
        .filter(|group| group.file_name().to_string_lossy().starts_with(&prefix_of(id)))
        .map(|group| group.path())
        .collect()
}

/// Removes a control group, its children first; it has no files of its own to remove.
pub fn remove_cgroup(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroup(&entry.path());
        }
    }
    let _ = fs::remove_dir(dir);
}
