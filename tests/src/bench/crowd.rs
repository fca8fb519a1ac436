//! Many users who are logged in: each has a session that iamd was told of on the socket of its PAM
//! module, as sshd would have told it. The sessions last as long as this program, which runs on the
//! node as root and opens more at each line it reads.

use std::io::{BufRead, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use iamd_protocol::pam::{self, Open, Reply, Request};
use iamd_protocol::paths::PAM_SOCKET;
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// The uid of the first one.
pub const FIRST_UID: u32 = 30_001;
const LIMIT: Duration = Duration::from_secs(20);

/// The name of the user of this number, from 0 on.
pub fn name(number: u32) -> String {
    format!("crowd{:06}", number + 1)
}

/// The uid of the user of this number.
pub fn uid(number: u32) -> u32 {
    FIRST_UID + number
}

/// The lines of passwd(5) and group(5) of so many users.
pub fn accounts(count: u32) -> (String, String) {
    let lines = (0..count).map(|number| {
        let (name, uid) = (name(number), uid(number));
        (format!("{name}:x:{uid}:{uid}::/nonexistent:/bin/sh\n"), format!("{name}:x:{uid}:\n"))
    });
    lines.unzip()
}

/// The plan: to do what the lines say.
pub fn plan() -> Value {
    json!({"what": "crowd"})
}

/// Opens sessions until as many users are there as the line says, answers `here N`, and ends with
/// the input.
pub fn stand() -> Result<()> {
    let mut here = 0;
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(Error::io("an order"))?;
        let wanted = line.trim().parse::<u32>().map_err(|_| Error::Wrong(line.clone()))?;
        while here < wanted {
            open(here)?;
            here += 1;
        }
        println!("here {here}");
        std::io::stdout().flush().map_err(Error::io("an answer"))?;
    }
    Ok(())
}

fn open(number: u32) -> Result<()> {
    let request = Request::Open(Open {
        uid: uid(number),
        user: name(number),
        service: "sshd".into(),
        rhost: Some("192.0.2.1".into()),
        tty: Some("ssh".into()),
        quiet: true,
    });
    let wrong = |error: String| Error::Wrong(format!("a session of {}: {error}", name(number)));
    let mut socket = UnixStream::connect(PAM_SOCKET).map_err(Error::io(PAM_SOCKET))?;
    socket.set_read_timeout(Some(LIMIT)).map_err(Error::io(PAM_SOCKET))?;
    let frame = pam::encode(&request).map_err(|error| wrong(error.to_string()))?;
    socket.write_all(&frame).map_err(Error::io(PAM_SOCKET))?;
    match pam::read::<Reply>(&mut socket) {
        Ok(Reply::Opened(_)) => Ok(()),
        other => Err(wrong(format!("{other:?}"))),
    }
}
