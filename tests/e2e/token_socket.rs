//! The socket of `iamctl token`: no bus between, and nothing that the bus would not give.

use iamd_tests::{World, sign_in};

use crate::case::{Case, Outcome};
use crate::cases;

pub fn cases() -> Vec<Case> {
    cases![
        iamctl_token_asks_without_the_bus_and_is_recorded_with_its_process,
        over_the_token_socket_nobody_gets_what_is_another_users,
    ]
}

fn iamctl_token_asks_without_the_bus_and_is_recorded_with_its_process(world: &World) -> Outcome {
    let (node, user) = (world.node()?, world.user()?);
    let _session = sign_in(node, world.issuer()?, &user)?;
    let token = "strace -f -qq -e trace=connect -o calls iamctl token";
    let said = node.exec_as(&user, &format!("cd && {token} && cat calls"))?.ok()?.text();
    assert!(said.starts_with("eyJ"), "{said}");
    let calls: Vec<_> = said.lines().filter(|line| line.contains("connect(")).collect();
    assert_eq!(calls.len(), 1, "{calls:?}");
    // The process may not be looked into, so the address is only seen by its length.
    let length = format!(", {})", "\0\0/run/iamd/token.sock\0".len());
    assert!(calls[0].contains(&length) && calls[0].ends_with("= 0"), "{calls:?}");
    let uid = iamd_tests::uid(&user)?;
    let record = node.root_says(&format!(
        "journalctl --sync; journalctl -b -o json --no-pager IAMD_EVENT=issue IAMD_UID={uid}"
    ))?;
    assert!(record.contains("iamctl") && record.contains("IAMD_CALLER_PID"), "{record}");
    // Where nobody listens, the bus is asked: seen from a mount namespace that has a file there.
    let over_the_bus = node.root_says(&format!(
        "unshare -m sh -c 'mount --bind /dev/null /run/iamd/token.sock && \
         exec setpriv --reuid {user} --regid {user} --init-groups iamctl token'"
    ))?;
    assert_eq!(over_the_bus, said.lines().next().unwrap_or_default());
    Ok(())
}

/// As another user, with whatever account is named, and as one who only stalls.
const ASK: &str = r#"
import socket, sys
def ask(account):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect("/run/iamd/token.sock")
    body = b'{"account":"%s","uid":0,"user":"root"}' % account.encode()
    s.sendall(len(body).to_bytes(4, "little") + body)
    size = int.from_bytes(s.recv(4, socket.MSG_WAITALL), "little")
    return s.recv(size, socket.MSG_WAITALL).decode()
stalled = [socket.socket(socket.AF_UNIX) for _ in range(100)]
for s in stalled:
    s.connect("/run/iamd/token.sock")
for account in sys.argv[1:]:
    print(ask(account))
"#;

fn over_the_token_socket_nobody_gets_what_is_another_users(world: &World) -> Outcome {
    let (node, alice, bob) = (world.node()?, world.user()?, world.user()?);
    let _session = sign_in(node, world.issuer()?, &alice)?;
    let path = format!("/srv/ask-{bob}.py");
    node.put(&path, 0o644, "root", ASK.as_bytes())?;
    let said = node.exec_as(&bob, &format!("python3 {path} '' test https://issuer.test/"))?.ok()?;
    let answers: Vec<_> = said.text().lines().map(str::to_owned).collect();
    assert_eq!(answers.len(), 3, "{said:?}");
    assert!(answers[0].contains("org.iamd1.Error.LoginRequired"), "{answers:?}");
    for answer in &answers[1..] {
        assert!(answer.contains("org.iamd1.Error.NoSuchAccount"), "{answers:?}");
    }
    assert!(!said.text().contains("eyJ"), "{answers:?}");
    Ok(())
}
