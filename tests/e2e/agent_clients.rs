//! Clients of oidc-agent, unchanged, as users have them: Debian's oidc-token, oidc-add and
//! oidc-agent, liboidcagent from PyPI, a program on Debian's liboidc-agent. They are given nothing
//! but what a session has.

use std::time::Duration;

use iamd_tests::rootfs::{PYTHON_READERS_AT, readers};
use iamd_tests::{Error, Issuer, Node, Product, Result, World, sign_in, token_file};
use serde_json::{Value, json};

use crate::case::{Case, Outcome};
use crate::cases;
use crate::people::parsed;

pub fn cases() -> Vec<Case> {
    cases![
        ;
        apart: debians_oidc_token_has_its_tokens_from_iamd_and_nothing_was_started,
        oidc_add_and_oidc_agent_find_iamd_in_place_of_an_agent,
        liboidcagent_and_a_c_program_on_liboidc_agent_run_unchanged,
        another_user_gets_nothing_through_the_socket,
        neither_stalled_clients_nor_a_hundred_at_once_keep_anybody_waiting,
        a_session_has_oidc_sock_only_where_the_socket_is_served_and_nothing_else_set_it,
    ]
}

const SOCKET: &str = "/run/iamd/oidc-agent.sock";

/// A node with oidc-agent's programs and libraries.
struct Place(Node);

fn place(world: &World) -> Result<Place> {
    let layer = readers(&|line| world.say(line))?;
    let product = Product::new(world.issuer()?);
    Ok(Place(world.boot(product.on(world.spec("clients").over(layer)))?))
}

/// A program's plain request for an ID token; what came of it.
const ID_TOKEN: &str = r#"python3 -c '
import json, os, socket
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["OIDC_SOCK"])
s.sendall(json.dumps({"request": "id_token", "account": "test", "application_hint": "oidc-token"}).encode())
print(json.loads(s.makefile().read())["id_token"])'"#;

fn debians_oidc_token_has_its_tokens_from_iamd_and_nothing_was_started(world: &World) -> Outcome {
    let place = world.place(place)?;
    let (node, issuer, user) = (&place.0, world.issuer()?, world.user()?);
    let _session = sign_in(node, issuer, &user)?;
    let said = |line: &str| Ok::<_, iamd_tests::Error>(node.ssh(&user).run(line)?.ok()?.text());
    let claims = |line: &str| issuer.verify(said(line)?.trim_end());
    let file = String::from_utf8(node.get(&token_file(&user)?)?)?;
    assert_eq!(said("oidc-token test && oidc-token -t 600 test")?, format!("{file}\n{file}\n"));
    let url = issuer.url();
    let by_issuer = format!("oidc-token {url} && oidc-token {}", url.trim_end_matches('/'));
    assert_eq!(said(&by_issuer)?, format!("{file}\n{file}\n"));
    let all = said("oidc-token -a test")?;
    let all: Vec<_> = all.lines().collect();
    assert_eq!(all[..2], [&file, &url]);
    // Counted from when it was asked for, so never after the token's own end.
    let (expires_at, exp) = (all[2].to_owned(), &issuer.verify(&file)?["exp"]);
    let early = exp.as_i64().unwrap_or_default() - expires_at.parse::<i64>()?;
    assert!((0..60).contains(&early), "{expires_at} of {exp}");
    let by_variables = "eval \"$(oidc-token -c test)\"; echo \"$OIDC_AT $OIDC_ISS $OIDC_EXP\"";
    assert_eq!(said(by_variables)?, format!("{file} {url} {expires_at}\n"));

    let narrowed =
        "oidc-token -s openid -s storage.read:/ --aud='https://a.test https://b.test' test";
    let narrow = claims(narrowed)?;
    let scopes = narrow["scope"].as_str().unwrap_or_default();
    assert!(scopes.contains("storage.read:/") && !scopes.contains("compute"), "{narrow}");
    assert_eq!(narrow["aud"], json!(["https://a.test", "https://b.test"]), "{narrow}");
    // The same again is the same, and the issuer is not asked.
    assert_eq!(claims(narrowed)?["jti"], narrow["jti"]);
    let new = claims("oidc-token -f test")?;
    assert_ne!(new["jti"], issuer.verify(&file)?["jti"]);
    // Debian's own option looks for an agent on another host only (OIDC_REMOTE_SOCK).
    let id = claims(ID_TOKEN)?;
    assert_eq!((&id["sub"], &id["iss"]), (&new["sub"], &new["iss"]));

    let unknown = node.ssh(&user).run("oidc-token nothere")?.exited(1)?;
    assert!(unknown.stdout.is_empty(), "{unknown:?}");
    let told = unknown.errors();
    assert!(told.contains("No account configured with that short name"), "{told}");
    // Longer than the issuer gives: a new one all the same, as an agent would have it.
    let before = claims("oidc-token test")?;
    assert_ne!(claims("oidc-token -t 999999 test")?["jti"], before["jti"]);
    assert_eq!(said("pgrep -u $USER oidc-agent; true")?, "");
    // The record says who asked, and for what.
    let uid = iamd_tests::uid(&user)?;
    let records =
        format!("journalctl -o cat --output-fields=IAMD_DETAIL IAMD_EVENT=issue IAMD_UID={uid}");
    let records = node.root_says(&records)?;
    assert!(records.contains("ID token for oidc-token"), "{records}");
    Ok(())
}

fn oidc_add_and_oidc_agent_find_iamd_in_place_of_an_agent(world: &World) -> Outcome {
    let place = world.place(place)?;
    let (node, user) = (&place.0, world.user()?);
    let before = node.ssh(&user).run("oidc-add -a")?.ok()?.text();
    assert!(!before.contains("test"), "{before}");
    let _session = sign_in(node, world.issuer()?, &user)?;
    let loaded = node.ssh(&user).run("oidc-add -a")?.ok()?.text();
    assert!(loaded.lines().any(|line| line.trim() == "test"), "{loaded}");
    let status = node.ssh(&user).run("oidc-agent --status")?.ok()?.text();
    assert!(status.contains(&user) && status.contains("test"), "{status}");
    let status = node.ssh(&user).run("oidc-agent --status --json")?.ok()?.text();
    let status: Value = serde_json::from_str(&status)?;
    assert_eq!(status["loaded_accounts"], json!(["test"]), "{status}");
    // What iamd does not do is told, with the command that does.
    let locked = node
        .ssh(&user)
        .run("echo secret | oidc-add -x --pw-prompt=cli 2>&1; oidc-add -R 2>&1; true")?;
    assert!(locked.text().contains("iamctl"), "{locked:?}");
    node.ssh(&user).run("oidc-token test")?.ok()?;
    Ok(())
}

const PYTHON: &str = r#"
import json, liboidcagent as agent
print(json.dumps({
    "token": agent.get_access_token("test", 60, "python"),
    "response": agent.get_token_response("test"),
    "by_issuer": agent.get_access_token_by_issuer_url(ISSUER),
    "infos": agent.liboidcagent.get_account_infos(),
    "configured": sorted(agent.liboidcagent.get_configured_accounts()),
}))
try:
    agent.get_access_token("nothere")
except agent.OidcAgentError as error:
    print(error.message)
"#;

const C: &str = r#"
#include <oidc-agent/api.h>
#include <stdio.h>
static void ask(const char* account) {
    struct agent_response response = getAgentTokenResponse(account, 60, NULL, "c-program", NULL);
    if (response.type == AGENT_RESPONSE_TYPE_TOKEN) {
        struct token_response found = response.token_response;
        printf("%s\n%s\n%lu\n", found.token, found.issuer, (unsigned long)found.expires_at);
    } else {
        printf("%s\n%s\n", response.error_response.error, response.error_response.help);
    }
    secFreeAgentResponse(response);
}
int main(void) {
    ask("test");
    ask("nothere");
    return 0;
}
"#;

/// A token in the user's file for which no second ended between when iamd asked and when the issuer
/// answered: iamd counts `expires_in` (RFC 6749 section 5.1) from the one, the claim from the other.
fn to_the_second(node: &Node, issuer: &Issuer, user: &str) -> Result<String> {
    let path = token_file(user)?;
    for _ in 0..6 {
        let told = parsed(&node.ssh(user).run("iamctl token test --json")?.ok()?)?;
        let file = String::from_utf8_lossy(&node.get(&path)?).into_owned();
        if told["token"] == file && told["expires_at"] == issuer.verify(&file)?["exp"] {
            return Ok(file);
        }
        node.ssh(user).run("iamctl token test --force-new")?.ok()?;
    }
    Err(Error::Wrong("a second ended during each of six requests".into()))
}

fn liboidcagent_and_a_c_program_on_liboidc_agent_run_unchanged(world: &World) -> Outcome {
    let place = world.place(place)?;
    let (node, issuer, user) = (&place.0, world.issuer()?, world.user()?);
    let _session = sign_in(node, issuer, &user)?;
    let file = to_the_second(node, issuer, &user)?;
    let claims = issuer.verify(&file)?;
    let script = PYTHON.replace("ISSUER", &format!("{:?}", issuer.url()));
    let python = format!("PYTHONPATH={PYTHON_READERS_AT} python3 -");
    let said = node.ssh(&user).run_with(&python, script.as_bytes())?.ok()?.text();
    let (found, error) = said.split_once('\n').unwrap_or_default();
    let found: Value = serde_json::from_str(found)?;
    assert_eq!((&found["token"], &found["by_issuer"]), (&json!(file), &json!(file)));
    let response = json!([file, issuer.url(), claims["exp"]]);
    assert_eq!(found["response"], response);
    assert_eq!(found["configured"], json!(["test"]));
    assert_eq!(found["infos"][issuer.url()]["accounts"]["test"], true, "{found}");
    assert_eq!(error.trim_end(), "No account configured with that short name");

    node.put(&format!("/home/{user}/client.c"), 0o644, &user, C.as_bytes())?;
    let run = "cc -o client client.c -loidc-agent && ./client";
    let said = node.ssh(&user).run(run)?.ok()?.text();
    let lines: Vec<&str> = said.lines().collect();
    let expires_at = claims["exp"].to_string();
    let (url, unknown) = (issuer.url(), "No account configured with that short name");
    assert_eq!(lines[..4], [file.as_str(), url.as_str(), expires_at.as_str(), unknown], "{said}");
    assert!(lines[4].contains("iamctl account list"), "{said}");
    Ok(())
}

fn another_user_gets_nothing_through_the_socket(world: &World) -> Outcome {
    let place = world.place(place)?;
    let (node, issuer) = (&place.0, world.issuer()?);
    let (alice, bob) = (world.user()?, world.user()?);
    let _session = sign_in(node, issuer, &alice)?;
    for line in ["oidc-token test".to_owned(), format!("oidc-token {}", issuer.url())] {
        let none = node.ssh(&bob).run(&line)?.exited(1)?;
        assert!(none.stdout.is_empty(), "{none:?}");
        // What is told is of bob alone, whose own first login began as he logged in.
        let told = none.errors();
        let his = "Error: invalid_grant: the first login of the account test is running";
        let nobodys = "Error: No account configured with that short name";
        assert!([his, nobodys].contains(&told.lines().next().unwrap_or_default()), "{told}");
        assert!(!told.contains(&alice), "{told}");
    }
    let listed = node.ssh(&bob).run("oidc-add -a && oidc-agent --status --json")?.ok()?.text();
    assert!(!listed.contains("\"test\"") && !listed.lines().any(|line| line.trim() == "test"));
    // Nor is anything but the one socket open to them.
    let open = "for at in /run/iamd/*; do echo $at; done; cat /run/iamd/pam.sock; ls /run/iamd";
    assert_ne!(node.ssh(&bob).run(open)?.code, 0);
    let pam =
        "python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"/run/iamd/pam.sock\")'";
    assert!(node.ssh(&bob).run(pam)?.errors().contains("PermissionError"));
    Ok(())
}

/// Connects as often as it may and says nothing, for as long as it is not let go.
const STALL: &str = r#"
import socket, sys, time
held = []
for i in range(300):
    one = socket.socket(socket.AF_UNIX)
    one.connect("/run/iamd/oidc-agent.sock")
    try:
        one.sendall([b"", b"{\"request\":", b"AAAA"][i % 3])
    except BrokenPipeError:
        pass
    held.append(one)
print("stalled", flush=True)
sys.stdin.read()
"#;

/// So many clients at once, and how many of them had the token.
const CROWD: &str = r#"
import subprocess, sys
run = [subprocess.Popen(["oidc-token", "test"], stdout=subprocess.PIPE) for _ in range(100)]
print(len({one.communicate()[0] for one in run}), sum(one.returncode == 0 for one in run))
"#;

fn neither_stalled_clients_nor_a_hundred_at_once_keep_anybody_waiting(world: &World) -> Outcome {
    let place = world.place(place)?;
    let (node, issuer) = (&place.0, world.issuer()?);
    let (alice, mallory) = (world.user()?, world.user()?);
    let _session = sign_in(node, issuer, &alice)?;
    node.put("/tmp/stall.py", 0o644, &mallory, STALL.as_bytes())?;
    let mut stalled = node.ssh(&mallory).open(Some("python3 /tmp/stall.py"))?;
    stalled.find("the clients that stall", |seen| seen.contains("stalled").then_some(()))?;
    // Within their two seconds, while they hold all they may hold.
    let crowd = node.ssh(&alice).run_with("python3 -", CROWD.as_bytes())?.ok()?;
    assert_eq!(crowd.line(), "1 100", "{crowd:?}");
    // Even a client that has one descriptor too few of its own is served when they have gone.
    let last = node.ssh(&mallory).limit(Duration::from_secs(20));
    let line = "for i in $(seq 50); do oidc-add -a && exit; sleep 0.1; done; exit 1";
    last.run(line)?.ok()?;
    node.exec("systemctl is-active iamd")?.ok()?;
    Ok(())
}

fn a_session_has_oidc_sock_only_where_the_socket_is_served_and_nothing_else_set_it(
    world: &World,
) -> Outcome {
    let layer = readers(&|line| world.say(line))?;
    let product = Product::new(world.issuer()?).config("[agent_socket]\nenabled = false\n");
    let node = world.boot(product.on(world.spec("switched").over(layer)))?;
    let user = world.user()?;
    let variable =
        || Ok::<_, iamd_tests::Error>(node.ssh(&user).run("echo $OIDC_SOCK")?.ok()?.line());
    assert_eq!(variable()?, "");
    node.exec(&format!("test ! -e {SOCKET}"))?.ok()?;
    let switch =
        "sed -i 's/^enabled = false/enabled = true/' /etc/iamd/iamd.toml && systemctl reload iamd";
    node.exec(switch)?.ok()?;
    iamd_tests::eventually("the socket", Duration::from_secs(5), || {
        node.exec(&format!("test -S {SOCKET}"))?.ok()
    })?;
    assert_eq!(variable()?, SOCKET);
    assert_eq!(node.root_says(&format!("stat -c '%a %U' {SOCKET}"))?.trim_end(), "666 root");
    // Debian has pam_env behind the common session; here it goes first.
    let own = "echo 'OIDC_SOCK DEFAULT=/somewhere/else' >> /etc/security/pam_env.conf && \
               sed -i -e '/pam_env/d' -e '1i session required pam_env.so' /etc/pam.d/sshd";
    node.exec(own)?.ok()?;
    assert_eq!(variable()?, "/somewhere/else");
    Ok(())
}
