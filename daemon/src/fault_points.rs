//! Named steps at which a build for tests can be made to die, as a power failure or `kill -9`
//! would end it there.
//!
//! Without the feature `fault-points` [`fault_point!`](crate::fault_point) is nothing at all: no
//! name, no look at a file, no code. With it this is a build that cannot be optimised (the release
//! profile refuses to compile it), so that it is never taken for the product.
//!
//! In such a build three files below `/run/iamd`, where only root writes, are looked at:
//! - `fault-point` names the step to die at, with a count of passings that are spared before
//!   (`refresh.journalled 2`); it is removed before the end, so that the next start lives.
//! - `fault-trace`, where it is, gets a line for each step that is passed, with what it was for
//!   (`refresh.replied 1001/wlcg`): what a killed process had done is read from it.
//! - `fault-clock`, where it is, has the seconds that the node's clock is off by: the clock of the
//!   machine that the tests run on is not theirs to set.
//!
//! `tests/e2e/crash` has a promise for each of these names, and fails when one is missing.

/// A step with a name, and what it is done for: `fault_point!("refresh.replied", key)`.
#[macro_export]
macro_rules! fault_point {
    ($name:literal $(, $of:expr)*) => {
        #[cfg(feature = "fault-points")]
        $crate::fault_points::pass($name, &[$(&$of as &dyn std::fmt::Display),*]);
    };
}

#[cfg(all(feature = "fault-points", not(debug_assertions)))]
compile_error!("fault points are for tests: they are not built into an optimised iamd");

#[cfg(feature = "fault-points")]
mod armed {
    use std::{
        fmt::{Display, Write as _},
        fs,
        io::Write as _,
        sync::Mutex,
    };

    use rustix::process::{Signal, getpid, kill_process};

    const POINT: &str = "/run/iamd/fault-point";
    const TRACE: &str = "/run/iamd/fault-trace";

    const CLOCK: &str = "/run/iamd/fault-clock";

    /// The seconds that this node's clock is to be off by.
    pub fn clock_is_off_by() -> i64 {
        let text = fs::read_to_string(CLOCK).unwrap_or_default();
        text.trim().parse().unwrap_or_default()
    }

    /// One at a time: two threads at one step count it twice.
    static TURN: Mutex<()> = Mutex::new(());

    /// Notes that the step is passed, or dies at it.
    pub fn pass(name: &str, of: &[&dyn Display]) {
        let _turn = TURN.lock();
        let mut line = name.to_owned();
        for of in of {
            let _ = write!(line, " {of}");
        }
        if let Ok(mut trace) = fs::OpenOptions::new().append(true).open(TRACE) {
            // Unbuffered: the kernel has it when this process is killed.
            let _ = trace.write_all(format!("{line}\n").as_bytes());
        }
        let Ok(armed) = fs::read_to_string(POINT) else { return };
        let mut words = armed.split_whitespace();
        if words.next() != Some(name) {
            return;
        }
        match words.next().and_then(|spared| spared.parse::<u32>().ok()) {
            Some(spared) if spared > 0 => {
                let _ = fs::write(POINT, format!("{name} {}", spared - 1));
            }
            _ => {
                let _ = fs::remove_file(POINT);
                let _ = kill_process(getpid(), Signal::KILL);
            }
        }
    }
}

#[cfg(feature = "fault-points")]
pub use armed::{clock_is_off_by, pass};
