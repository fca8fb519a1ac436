//! The demo's story, step by step; each step shows what it saw, and the first that is not as
//! promised ends it.

use std::io::BufRead;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::clock::{self, eventually};
use crate::error::{Error, Result};
use crate::forward::Forward;
use crate::issuer::{Issuer, IssuerSpec, claims};
use crate::node::Node;
use crate::notice::Notice;
use crate::product::Product;
use crate::ssh::Session;
use crate::sweep;
use crate::world::World;

/// A name that browsers and only they resolve to loopback by themselves (RFC 6761 §6.3); on the
/// node it stands in /etc/hosts.
const HOST: &str = "issuer.localhost";
const PORT: u16 = 8443;
/// How long a person may take; the code lives as long.
const PERSON: Duration = Duration::from_secs(600);
/// After approval: one polling interval and two seconds, and as much again for a slow machine.
const TOKEN: Duration = Duration::from_secs(14);
const FILE: &str = "\"$BEARER_TOKEN_FILE\"";

/// Runs the demo; `auto` approves without a person.
pub fn run(auto: bool) -> Result<()> {
    let start = clock::now();
    step("A login node, a test issuer with a certificate of its own, and iamd on the node");
    let world = World::start(|line| println!("    {line}"))?;
    let forward = Forward::reserve(PORT)?;
    let issuer = world.start_issuer(IssuerSpec::new(HOST).port(forward.port()))?;
    println!("    the issuer listens at {}", issuer.url());
    forward.open(world.ground(), issuer.address());
    let node = world.boot(Product::new(&issuer).on(world.spec("login1")))?;
    for unit in ["iamd", "ssh"] {
        println!("    {unit}: {}", node.root_says(&format!("systemctl is-active {unit}"))?);
    }

    if let Err(error) = story(&node, &issuer, auto) {
        println!("\nWhat iamd on the node has to say:");
        quote(&node.journal("iamd").unwrap_or_default());
        return Err(error);
    }

    step("Taking everything down");
    drop(node);
    drop(issuer);
    drop(world);
    let left = sweep::left_of(std::process::id());
    check(left.is_empty(), &format!("something was left behind: {}", left.join(", ")))?;
    println!("    nothing is left running");
    println!("\nAll of it happened, in {} s.", start.elapsed().as_secs());
    Ok(())
}

/// From the first login to the second.
fn story(node: &Node, issuer: &Issuer, auto: bool) -> Result<()> {
    step("alice logs in:  ssh alice@login1");
    let mut session = node.ssh("alice").pty().limit(Duration::from_secs(20)).open(None)?;
    let notice = session.find("the notice", Notice::find)?;
    quote(&notice.text);

    step("She signs in, in a browser on any device");
    approve(issuer, &notice, &mut session, auto)?;

    step("Her token comes by itself:  cat $BEARER_TOKEN_FILE");
    let full = show_token(issuer, &mut session)?;

    step("A token for less:  iamctl token -s storage.read:/home/alice");
    show_narrowed(issuer, &mut session, &full)?;

    step("What iamd has for her:  iamctl status");
    let status = session.ask("iamctl status")?;
    quote(&status);
    check(status.contains("test"), "`iamctl status` does not name her account")?;

    step("She logs in again: nothing is asked, the token is there");
    second_login(node)?;
    session.send("exit\n")?;
    session.close()?;
    Ok(())
}

fn approve(issuer: &Issuer, notice: &Notice, session: &mut Session, auto: bool) -> Result<()> {
    if auto {
        issuer.approve(&notice.uri, &notice.code, "alice")?;
        println!("    opened {}, entered {}, signed in, allowed", notice.uri, notice.code);
        return Ok(());
    }
    println!("    Open {} in a browser on this machine, enter {},", notice.uri, notice.code);
    println!(
        "    sign in as alice with the password alice-pw, and allow. (The browser warns of the"
    );
    println!("    certificate: its authority lives for this demo only.)");
    println!(
        "    From another machine, first: ssh -L {0}:127.0.0.1:{0} THIS-MACHINE",
        port(issuer)
    );
    println!("    Or press Enter here, and the demo does it for you.");
    let pressed = Arc::new(AtomicBool::new(false));
    let tell = pressed.clone();
    thread::spawn(move || {
        let mut line = String::new();
        // An end of input is no Enter.
        if std::io::stdin().lock().read_line(&mut line).is_ok_and(|read| read > 0) {
            tell.store(true, Ordering::Relaxed);
        }
    });
    let start = clock::now();
    while !has_token(session)? {
        if pressed.swap(false, Ordering::Relaxed) {
            return approve(issuer, notice, session, true);
        }
        if start.elapsed() >= PERSON {
            return Err(Error::Wrong("nobody approved the sign-in within ten minutes".into()));
        }
        clock::pause(Duration::from_millis(500));
    }
    Ok(())
}

/// Claims of the token in the file, its signature checked.
fn show_token(issuer: &Issuer, session: &mut Session) -> Result<Value> {
    let start = clock::now();
    eventually("the token file", TOKEN, || match has_token(session) {
        Ok(true) => Ok(()),
        Ok(false) => Err("there is none yet".to_owned()),
        Err(error) => Err(error.to_string()),
    })?;
    println!("    it was there after {:.1} s", start.elapsed().as_secs_f64());
    let list =
        session.ask(&format!("echo {FILE}; stat -c 'mode %a, owner %U, %s bytes' {FILE}"))?;
    quote(&list);
    check(list.contains("mode 600, owner alice"), "the token file is not alice's alone")?;
    let token = session.ask(&format!("cat {FILE}"))?;
    check(!token.ends_with('\n'), "the token file ends in a newline")?;
    let claims = issuer.verify(&token)?;
    quote(&pretty(&claims));
    println!("    the signature is right by the issuer's published keys");
    check(claims["exp"].as_u64() > Some(clock::unix_time()), "the token has expired")?;
    Ok(claims)
}

fn show_narrowed(issuer: &Issuer, session: &mut Session, full: &Value) -> Result<()> {
    let printed = session.ask("iamctl token -s storage.read:/home/alice")?;
    let narrowed = issuer.verify(printed.trim())?;
    quote(&pretty(&narrowed));
    let scope = narrowed["scope"].as_str().unwrap_or_default();
    check(scope == "storage.read:/home/alice", "its scope is not the one that was asked for")?;
    check(narrowed["sub"] == full["sub"], "it is somebody else's token")
}

fn second_login(node: &Node) -> Result<()> {
    let mut session = node.ssh("alice").pty().limit(Duration::from_secs(20)).open(None)?;
    let token = session.ask(&format!("cat {FILE}"))?;
    check(claims(&token)?["exp"].as_u64() > Some(clock::unix_time()), "the token has expired")?;
    check(!session.seen().contains("iamd: "), "the second login said something")?;
    session.send("exit\n")?;
    session.close()?;
    println!("    no notice, and the token before the shell's first command");
    Ok(())
}

fn has_token(session: &mut Session) -> Result<bool> {
    Ok(session.ask(&format!("test -s {FILE} && echo yes || echo no"))?.contains("yes"))
}

fn port(issuer: &Issuer) -> String {
    issuer.url().trim_end_matches('/').rsplit(':').next().unwrap_or_default().to_owned()
}

fn check(right: bool, otherwise: &str) -> Result<()> {
    if right { Ok(()) } else { Err(Error::Wrong(otherwise.into())) }
}

fn step(what: &str) {
    use std::sync::atomic::AtomicU32;
    static STEPS: AtomicU32 = AtomicU32::new(1);
    println!("\n{}. {what}", STEPS.fetch_add(1, Ordering::Relaxed));
}

fn quote(text: &str) {
    for line in text.trim_end().lines() {
        println!("    | {line}");
    }
}

fn pretty(claims: &Value) -> String {
    serde_json::to_string_pretty(claims).unwrap_or_default()
}
