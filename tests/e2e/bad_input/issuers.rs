//! Issuers that a user names, limits on what an issuer may send, and nonsense on the PAM socket.

use std::time::Duration;

use iamd_tests::{Error, Issuer, IssuerSpec, Node, Product, Session, World, sign_in};
use serde_json::json;

use super::logs_in;
use crate::case::{Case, Outcome};
use crate::cases;
use crate::people::{error_of, sign_in_as, start_login, wait_for_state};

pub fn cases() -> Vec<Case> {
    cases![
        an_issuer_that_is_not_listed_is_refused_where_the_site_does_not_allow_it,
        an_issuer_url_that_is_none_is_refused_with_the_reason,
        an_issuer_inside_the_sites_network_is_refused_and_not_contacted,
        a_reply_of_more_than_a_mebibyte_is_refused,
        a_reply_slower_than_the_limit_is_given_up,
        r06_a_poll_that_times_out_is_tried_again_until_it_works,
        nonsense_on_the_pam_socket_does_not_disturb_a_login,
    ]
}

/// A node of this module's own: users may name issuers, and an issuer has two seconds. Each test
/// that makes faults has an issuer of its own, for an issuer that fails often is left in peace.
struct Open {
    node: Node,
    big: Issuer,
    late: Issuer,
    patient: Issuer,
    /// Known to the node by name only, as a service inside the site's network would be.
    inside: Issuer,
}

fn open(world: &World) -> Result<Open, Error> {
    let start = |name: &str| world.start_issuer(IssuerSpec::new(&format!("{name}.test")));
    let (big, late, patient) = (start("big")?, start("late")?, start("patient")?);
    let inside = start("inside")?;
    // Last in the file is [issuers].
    let more = "custom = true\n[limits]\nreply_time = \"2s\"\nlogin_starts = 100\n";
    let spec = world.spec("limits").host_at("inside.test", inside.address());
    let product = Product::new(&big).issuer("late", &late).issuer("patient", &patient);
    let node = world.boot(product.config(more).on(spec))?;
    Ok(Open { node, big, late, patient, inside })
}

fn named(node: &Node, user: &str, url: &str) -> Result<(i32, String, String), Error> {
    let said = node.exec_as(user, &format!("iamctl login --issuer '{url}' --json"))?;
    let (name, text) = error_of(&said)?;
    Ok((said.code, name, text))
}

fn an_issuer_that_is_not_listed_is_refused_where_the_site_does_not_allow_it(
    world: &World,
) -> Outcome {
    let (node, user) = (world.node()?, world.user()?);
    for url in ["https://issuer.example/", "https://10.77.0.1/", "https://issuer.test:8444/"] {
        let (code, name, text) = named(node, &user, url)?;
        assert_eq!((code, name.as_str()), (4, "IssuerNotAllowed"), "{url}: {text}");
        assert!(text.contains(url), "{text}");
    }
    let (code, name, _) = named(node, &user, "nobody")?;
    assert_eq!((code, name.as_str()), (1, "NoSuchIssuer"));
    Ok(())
}

fn an_issuer_url_that_is_none_is_refused_with_the_reason(world: &World) -> Outcome {
    let place = world.place(open)?;
    let user = world.user()?;
    for (url, why) in [
        ("http://issuer.example/", "must begin with https://"),
        ("ftp://issuer.example/", "must begin with https://"),
        ("https://me:secret@issuer.example/", "must not carry a user name or password"),
        ("https://issuer.example/?a=b", "neither query nor fragment"),
        ("https://issuer.example/#a", "neither query nor fragment"),
        ("https://issuer.example:22/", "its port is one of the system's"),
        ("https://", "not a URL"),
        ("file:///etc/shadow", "must begin with https://"),
    ] {
        let (code, name, text) = named(&place.node, &user, url)?;
        assert_eq!((code, name.as_str()), (2, "InvalidArgument"), "{url}: {text}");
        assert!(text.contains(why), "{url}: {text}");
    }
    Ok(())
}

fn an_issuer_inside_the_sites_network_is_refused_and_not_contacted(world: &World) -> Outcome {
    let place = world.place(open)?;
    let user = world.user()?;
    let address = place.inside.address();
    for url in [
        "https://inside.test/".to_owned(),
        format!("https://{address}/"),
        format!("https://[::ffff:{address}]/"),
        "https://169.254.169.254/latest/meta-data/".to_owned(),
        "https://127.0.0.1/".to_owned(),
        "https://2130706433/".to_owned(),
        "https://0x7f.1/".to_owned(),
        "https://localhost/".to_owned(),
        "https://[::1]/".to_owned(),
        "https://[fe80::1]/".to_owned(),
        "https://[fd00::1]/".to_owned(),
        "https://0.0.0.0/".to_owned(),
        "https://100.64.0.1/".to_owned(),
        "https://[64:ff9b::10.77.0.1]/".to_owned(),
    ] {
        let (code, name, text) = named(&place.node, &user, &url)?;
        assert_eq!((code, name.as_str()), (4, "AddressNotPublic"), "{url}: {text}");
    }
    assert_eq!(place.inside.requests()?, Vec::<serde_json::Value>::new());
    // The one that the site lists is inside as well.
    start_login(&place.node, &user, "fine", "test")?;
    // However public, an address of the node itself leads inside.
    let own = "11.22.33.44";
    let line = format!("ip address add {own}/32 dev lo && echo '{own} own.test' >> /etc/hosts");
    place.node.root_says(&line)?;
    for url in [format!("https://{own}/"), "https://own.test/".to_owned()] {
        let (code, name, text) = named(&place.node, &user, &url)?;
        assert_eq!((code, name.as_str()), (4, "AddressNotPublic"), "{url}: {text}");
        assert!(text.contains("11.22.33.44 (this node's own)"), "{url}: {text}");
    }
    Ok(())
}

fn a_reply_of_more_than_a_mebibyte_is_refused(world: &World) -> Outcome {
    let place = world.place(open)?;
    let user = world.user()?;
    sign_in_as(&place.node, &place.big, &user, "big", "test")?;
    let refresh = || place.node.exec_as(&user, "iamctl token big --force-new --json");
    let rule = |fault: serde_json::Value| {
        let refreshes = json!({"path": "/token", "grant_type": "refresh_token"});
        json!([{"match": refreshes, "fault": fault}])
    };
    {
        let _faults = place.big.faults(&rule(json!({"oversize": {"bytes": (1 << 20) + 1}})))?;
        let (name, text) = error_of(&refresh()?.exited(1)?)?;
        assert_eq!(name, "IssuerReplyTooLong");
        assert!(text.contains("longer than 1024 KiB (limits.reply_bytes)"), "{text}");
    }
    {
        let padding = json!({"set": {"padding": "x".repeat(900_000)}});
        let _faults = place.big.faults(&rule(json!({"replace_json": padding})))?;
        refresh()?.ok()?;
    }
    Ok(())
}

fn a_reply_slower_than_the_limit_is_given_up(world: &World) -> Outcome {
    let place = world.place(open)?;
    let user = world.user()?;
    sign_in_as(&place.node, &place.late, &user, "late", "late")?;
    let refreshes = json!({"path": "/token", "grant_type": "refresh_token"});
    for fault in [json!({"latency": {"ms": 20_000}}), json!({"slow_body": {"bytes_per_s": 50}})] {
        let _faults = place.late.faults(&json!([{"match": refreshes, "fault": fault}]))?;
        let said = place.node.exec_as(&user, "iamctl token late --force-new --json")?.exited(5)?;
        let (name, text) = error_of(&said)?;
        assert_eq!(name, "IssuerReplyTooSlow");
        assert!(text.contains("no answer from late.test within 2 s (limits.reply_time)"), "{text}");
        assert!(said.took < Duration::from_secs(4), "{:?}", said.took);
    }
    // The token that is valid goes on being given.
    place.node.exec_as(&user, "iamctl token late")?.ok()?;
    place.node.exec_as(&user, "iamctl token late --force-new")?.ok()?;
    Ok(())
}

fn r06_a_poll_that_times_out_is_tried_again_until_it_works(world: &World) -> Outcome {
    let place = world.place(open)?;
    let user = world.user()?;
    let hasty = json!({"replace_json": {"set": {"interval": 1}}});
    let _faults = place.patient.faults(&json!([
        {"match": {"path": "/devicecode"}, "fault": hasty},
        {"match": {"path": "/token", "grant_type": "device_code", "count": 1}, "fault": "blackhole"},
    ]))?;
    let (uri, code) = start_login(&place.node, &user, "patient", "patient")?;
    place.patient.approve(&uri, &code, &user)?;
    wait_for_state(&place.node, &user, "patient", "signed-in", Duration::from_secs(25))?;
    Ok(())
}

/// Each conversation as a line of Python, `s` being a connection to the socket.
const NONSENSE: [&str; 9] = [
    "s.sendall(struct.pack('<I', 65537) + b'x' * 70000)",
    "s.sendall(b'\\xff\\xff\\xff\\xff')",
    "s.sendall(struct.pack('<I', 0))",
    "s.sendall(os.urandom(4096))",
    "s.sendall(struct.pack('<I', 5) + b'{\"op\"')",
    "s.sendall(frame(b'{\"open\":{\"uid\":-1,\"user\":7}}'))",
    "s.sendall(frame(b'[' * 60000))",
    "s.sendall(frame(b'{\"close\":{\"session\":\"../../etc/passwd\"}}'))",
    "s.shutdown(socket.SHUT_WR)",
];

fn nonsense_on_the_pam_socket_does_not_disturb_a_login(world: &World) -> Outcome {
    let (node, user) = (world.node()?, world.user()?);
    let session = sign_in(node, world.issuer()?, &user)?;
    drop(session);
    let pid = node.root_says("systemctl show -P MainPID iamd")?;
    // Two hundred that say nothing, or half a length, and stay.
    let script = format!(
        r"
import os, socket, struct, sys
def frame(body):
    return struct.pack('<I', len(body)) + body
def connect():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect('/run/iamd/pam.sock')
    return s
stalled = [connect() for _ in range(200)]
for s in stalled[:100]:
    s.sendall(b'\x10')
for line in {NONSENSE:?}:
    s = connect()
    try:
        exec(line)
        print('answer', len(s.recv(65536)))
    except OSError:
        print('answer 0')
print('sent', flush=True)
sys.stdin.readline()
"
    );
    node.put(&format!("/srv/nonsense-{user}.py"), 0o644, "root", script.as_bytes())?;
    let mut command = node.inside()?;
    command.args(["python3", &format!("/srv/nonsense-{user}.py")]);
    let mut nonsense = Session::start(command, Duration::from_secs(30))?;
    let begun = iamd_tests::clock::now();
    logs_in(node, &user)?;
    let file = node.ssh(&user).run("cat $BEARER_TOKEN_FILE")?.ok()?;
    assert!(file.text().starts_with("eyJ"), "the session is served meanwhile: {file:?}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let said = nonsense.wait_for("sent")?;
    // Each is told what it is, but the one that said nothing.
    let answers = said.lines().filter(|line| line.starts_with("answer")).collect::<Vec<_>>();
    assert_eq!(answers.len(), NONSENSE.len(), "{said}");
    let told = answers.iter().filter(|line| **line != "answer 0").count();
    assert_eq!(told, NONSENSE.len() - 1, "{said}");
    logs_in(node, &user)?;
    assert_eq!(node.root_says("systemctl show -P MainPID iamd")?, pid);
    let log = node.journal("iamd")?;
    assert!(log.contains("a frame of 65537 bytes"), "the log names it: {log}");
    assert!(!log.contains("etc/passwd"), "and does not repeat it");
    Ok(())
}
