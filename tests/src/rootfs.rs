//! The Debian every node stands on: built once by debootstrap, kept in the target directory, and
//! built anew when this file's lists change. Over it, for the nodes that ask for it, a layer with
//! the programs that read token files.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MsFlags, mount};

use crate::command;
use crate::error::{Error, Result};
use crate::places;
use crate::sweep;

const SUITE: &str = "bookworm";

/// What a login node of a site has, and what the tests look through.
const PACKAGES: &[&str] = &[
    "systemd",
    "systemd-sysv",
    "dbus",
    "libpam-systemd",
    "libpam-runtime",
    "openssh-server",
    "openssh-client",
    "sudo",
    "polkitd",
    "procps",
    "iproute2",
    "rsync",
    "git",
    "ca-certificates",
    "curl",
    "python3-minimal",
    "strace",
    "pamtester",
];

/// Programs that find a token by themselves, and what they need; and what iamd takes the place of.
const READERS: &[&str] = &[
    "oidc-agent-cli",
    "xrootd-server",
    "xrootd-server-plugins",
    "xrootd-client",
    "xrootd-client-plugins",
    "xrootd-plugins",
    "xrootd-scitokens-plugins",
    "python3-cryptography",
    "python3-jwt",
    "python3-requests",
];

/// Those that are on PyPI: pure Python, what they need is in [`READERS`].
const PYTHON_READERS: &[&str] = &["scitokens==1.9.7"];

/// Where the readers from PyPI are, on a node with the readers' layer.
pub const PYTHON_READERS_AT: &str = "/opt/readers";

/// How many users `user01`, `user02`, … there are beside alice, bob and carol.
pub const USERS: u32 = 200;

/// Runs inside the new system. Passwords are the user's name and `-pw`.
///
/// The message of the day has its static part only: pam_motd makes the other anew at each login, in
/// one file for all of them, so that of logins side by side one may see it half-written or not at all.
const CUSTOMISE: &str = r#"
set -eu
users="alice bob carol"
i=1
while [ "$i" -le "$USERS" ]; do users="$users $(printf 'user%02d' "$i")"; i=$((i + 1)); done
uid=1001
for user in $users; do
    useradd --uid "$uid" --user-group --create-home --shell /bin/bash "$user"
    echo "$user:$user-pw" >> /tmp/passwords
    uid=$((uid + 1))
done
chpasswd --crypt-method SHA256 --sha-rounds 1000 < /tmp/passwords
rm /tmp/passwords
ssh-keygen -A > /dev/null
rm -f /etc/update-motd.d/*
cat > /etc/ssh/sshd_config.d/node.conf << 'END'
AuthorizedKeysFile /etc/ssh/run_key.pub .ssh/authorized_keys
KbdInteractiveAuthentication yes
PermitRootLogin prohibit-password
MaxStartups 200:30:400
END
ln -sf /dev/null /etc/systemd/system/console-getty.service
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
    systemd-networkd.service getty@tty1.service; do
    ln -sf /dev/null "/etc/systemd/system/$unit"
done
rm -f /etc/resolv.conf /etc/machine-id /var/lib/dbus/machine-id
: > /etc/resolv.conf
: > /etc/machine-id
rm -rf /var/cache/apt/archives/*.deb /var/lib/apt/lists/*
"#;

/// The root file system, built if it is not there; `say` tells of the slow part.
pub fn root(say: &dyn Fn(&str)) -> Result<PathBuf> {
    let nodes = places::nodes();
    fs::create_dir_all(&nodes).map_err(Error::at(&nodes))?;
    let root = nodes.join(format!("{SUITE}-{:016x}", fingerprint()));
    if root.is_dir() {
        return Ok(root);
    }
    let lock = nodes.join("lock");
    let file = File::create(&lock).map_err(Error::at(&lock))?;
    let _lock = Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, errno)| Error::errno("the root file system's lock")(errno))?;
    if !root.is_dir() {
        say("building the node's Debian with debootstrap (once, one or two minutes)");
        build(&nodes.join("new"), &root, say)?;
    }
    Ok(root)
}

/// Builds at `new`, then renames to `root`: a root that is there is whole.
fn build(new: &Path, root: &Path, say: &dyn Fn(&str)) -> Result<()> {
    if new.exists() {
        // Of a build that was interrupted, with /proc mounted in it.
        sweep::unmount_below(new);
        fs::remove_dir_all(new).map_err(Error::at(new))?;
    }
    let mut debootstrap = command::tagged(std::process::id(), "debootstrap");
    // No mirror: debootstrap takes the one it was built with.
    debootstrap.args(["--variant=minbase", &format!("--include={}", PACKAGES.join(","))]);
    debootstrap.arg(SUITE).arg(new);
    let log = new.with_extension("log");
    command::run_telling(debootstrap, Duration::from_secs(1200), &log, say)?;
    say("making its users");
    let mut customise = command::tagged(std::process::id(), "chroot");
    customise.arg(new).args(["/bin/sh", "-s"]).env("USERS", USERS.to_string());
    customise.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command::run(customise, CUSTOMISE.as_bytes(), Duration::from_secs(120))?.ok()?;
    fs::rename(new, root).map_err(Error::at(root))
}

/// The layer with the programs that read token files, to be put over [`root`] with
/// [`NodeSpec::over`](crate::node::NodeSpec::over); built if it is not there.
pub fn readers(say: &dyn Fn(&str)) -> Result<PathBuf> {
    let root = root(say)?;
    let nodes = places::nodes();
    let mut hasher = DefaultHasher::new();
    (fingerprint(), READERS, PYTHON_READERS, INSTALL_READERS).hash(&mut hasher);
    let layer = nodes.join(format!("readers-{:016x}", hasher.finish()));
    let lock = nodes.join("lock");
    let file = File::create(&lock).map_err(Error::at(&lock))?;
    let _lock = Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, errno)| Error::errno("the readers' lock")(errno))?;
    if !layer.is_dir() {
        // The kernel tells mounts by their real path; the target directory may be a link.
        let nodes = fs::canonicalize(&nodes).map_err(Error::at(&nodes))?;
        say("installing XRootD and scitokens for the nodes that need them (once, half a minute)");
        build_layer(&nodes.join("new-readers"), &root, &layer, say)?;
    }
    Ok(layer)
}

/// Runs inside the root file system, its changes going to the layer.
const INSTALL_READERS: &str = r#"
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q -y -o Dpkg::Use-Pty=0 install --no-install-recommends $READERS
: > /etc/resolv.conf
rm -rf /var/cache/apt/archives/*.deb /var/cache/apt/*.bin /var/lib/apt/lists/*
"#;

/// Builds in `new`, then renames to `layer`: a layer that is there is whole.
fn build_layer(new: &Path, root: &Path, layer: &Path, say: &dyn Fn(&str)) -> Result<()> {
    if new.exists() {
        sweep::unmount_below(new);
        fs::remove_dir_all(new).map_err(Error::at(new))?;
    }
    let (upper, work, merged) = (new.join("upper"), new.join("work"), new.join("merged"));
    for dir in [&upper, &work, &merged] {
        fs::create_dir_all(dir).map_err(Error::at(dir))?;
    }
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&upper, mode).map_err(Error::at(&upper))?;
    let layers = format!(
        "lowerdir={},upperdir={},workdir={}",
        root.display(),
        upper.display(),
        work.display()
    );
    mount(Some("overlay"), &merged, Some("overlay"), MsFlags::empty(), Some(layers.as_str()))
        .map_err(Error::errno("an overlay for the readers"))?;
    let built = install_readers(new, &merged, say);
    sweep::unmount_below(new);
    built?;
    fs::rename(&upper, layer).map_err(Error::at(layer))?;
    fs::remove_dir_all(new).map_err(Error::at(new))
}

fn install_readers(new: &Path, merged: &Path, say: &dyn Fn(&str)) -> Result<()> {
    // Names are resolved as this machine does it; the script takes it away again.
    let resolver = merged.join("etc/resolv.conf");
    fs::copy("/etc/resolv.conf", &resolver).map_err(Error::at(&resolver))?;
    let mut apt = command::tagged(std::process::id(), "chroot");
    apt.arg(merged).args(["/bin/sh", "-c", INSTALL_READERS]);
    apt.env("READERS", READERS.join(" ")).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command::run_telling(apt, Duration::from_secs(600), &new.with_extension("log"), say)?;
    let mut pip = command::tagged(std::process::id(), "python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-cache-dir", "--no-deps", "--no-compile"]);
    pip.args(["--only-binary=:all:", "--root-user-action=ignore", "--target"]);
    pip.arg(merged.join(PYTHON_READERS_AT.trim_start_matches('/'))).args(PYTHON_READERS);
    command::run(pip, b"", Duration::from_secs(120))?.ok().map(|_| ())
}

fn fingerprint() -> u64 {
    let mut hasher = DefaultHasher::new();
    (SUITE, PACKAGES, USERS, CUSTOMISE).hash(&mut hasher);
    hasher.finish()
}
