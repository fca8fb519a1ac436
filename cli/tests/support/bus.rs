//! A `dbus-daemon` of our own, without any service of the machine.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// The bus; it ends with this value.
pub(crate) struct Bus {
    daemon: Child,
    pub(crate) address: String,
    _directory: tempfile::TempDir,
}

const CONFIGURATION: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=SOCKET</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
    REFUSED
  </policy>
</busconfig>
"#;

impl Bus {
    /// A bus that delivers everything.
    pub(crate) fn start() -> Self {
        Self::with_policy("")
    }

    /// A bus whose policy refuses `Reload`.
    pub(crate) fn refusing_reload() -> Self {
        Self::with_policy(r#"<deny send_interface="org.iamd1.Admin" send_member="Reload"/>"#)
    }

    fn with_policy(refused: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("bus");
        let file = directory.path().join("bus.conf");
        let configuration =
            CONFIGURATION.replace("SOCKET", &socket.to_string_lossy()).replace("REFUSED", refused);
        std::fs::write(&file, configuration).unwrap();
        let mut daemon = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", file.display()))
            .args(["--nofork", "--print-address=1", "--nopidfile"])
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .expect("these tests need dbus-daemon (Debian: dbus)");
        let mut address = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { daemon, address: address.trim().to_owned(), _directory: directory }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
