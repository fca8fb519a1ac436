//! State directories that are full: written by the product's own code (`tests/fill`),
//! so that what is in them is sealed and opens.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Effort, crowd};
use crate::command;
use crate::error::{Error, Result};
use crate::issuer::Issuer;
use crate::places;
use crate::world::World;

/// Where the node has the directory with many accounts.
pub const MANY: &str = "/var/lib/iamd-many";
/// Where the node's own is.
pub const OWN: &str = "/var/lib/iamd";
const LIMIT: Duration = Duration::from_secs(400);

/// The directories, not on a node yet.
pub struct Stores {
    own: Option<PathBuf>,
    many: Option<PathBuf>,
}

/// Writes what the rows need.
pub fn make(world: &World, effort: &Effort, issuer: &Issuer) -> Result<Stores> {
    let program = std::env::var_os("IAMD_BENCH_FILL").map(PathBuf::from);
    let program = program.unwrap_or_else(|| places::target().join("release/iamd-fill"));
    let fill = |name: &str, count: u32| -> Result<Option<PathBuf>> {
        if count == 0 {
            return Ok(None);
        }
        world.say(&format!("writing a store of {count} accounts"));
        let directory = world.ground().run.dir().join(name);
        let mut command = Command::new(&program);
        command.arg(&directory).args([crowd::FIRST_UID.to_string(), count.to_string()]);
        command.arg(issuer.url());
        command::run(command, b"", LIMIT)?.ok()?;
        Ok(Some(directory))
    };
    let users = effort.users.iter().copied().max().unwrap_or(0);
    Ok(Stores { own: fill("own", users)?, many: fill("many", effort.accounts)? })
}

impl Stores {
    /// Puts them below the root of a node.
    pub fn put(&self, root: &Path) -> Result<()> {
        for (from, to) in [(&self.own, OWN), (&self.many, MANY)] {
            let (Some(from), to) = (from, root.join(to.trim_start_matches('/'))) else { continue };
            let mut copy = Command::new("cp");
            copy.args(["-aT"]).arg(from).arg(&to);
            command::must(copy)?;
            fs::remove_dir_all(from).map_err(Error::at(from))?;
        }
        Ok(())
    }
}
