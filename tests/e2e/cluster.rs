//! Two login nodes that share their accounts in one etcd (`[store] kind = "etcd"`).

use std::time::Duration;

use iamd_tests::{
    Error, Etcd, Issuer, IssuerSpec, Node, Product, Session, World, clock, eventually, sign_in,
    token_file,
};
use serde_json::json;

use crate::case::{Case, Outcome};
use crate::cases;
use crate::people::{start_login, wait_for_state};

pub fn cases() -> Vec<Case> {
    cases![
        ;
        apart: a_sign_in_on_one_node_is_one_on_the_other_and_so_is_its_end,
        nodes_that_refresh_at_once_lose_no_family,
        while_etcd_is_away_logins_work_and_afterwards_all_goes_on,
        what_a_killed_node_held_the_other_goes_on_with,
    ]
}

type Result<T> = std::result::Result<T, Error>;

/// What one node does is on the other at once; a machine that is busy takes its time.
const SOON: Duration = Duration::from_secs(20);
const REFRESH: &str = "POST /token refresh_token";

/// Dropped in this order: nodes, then what they stand on.
struct Cluster {
    one: Node,
    two: Node,
    issuer: Issuer,
    etcd: Etcd,
}

/// Two nodes, used before, and an issuer that ends the family of a refresh token used twice.
fn cluster(world: &World, name: &str, config: &str) -> Result<Cluster> {
    let spec = IssuerSpec::new(&format!("{name}.test")).option("ROTATE", "always");
    let issuer = world.start_issuer(spec)?;
    let etcd = Etcd::start(world.ground(), &format!("etcd-{name}.test"))?;
    let boot = |number: &str| {
        let product = Product::new(&issuer).config(&etcd.config()).config(config);
        let node = world.boot(etcd.on(product.on(world.spec(&format!("{name}{number}")))))?;
        sign_in::warm(&node)?;
        Ok::<Node, Error>(node)
    };
    let (one, two) = (boot("1")?, boot("2")?);
    issuer.reset()?;
    Ok(Cluster { one, two, issuer, etcd })
}

/// What is in the token file.
fn file(node: &Node, user: &str) -> Result<String> {
    Ok(node.exec(&format!("cat {}", token_file(user)?))?.ok()?.line())
}

/// Logs in with a terminal, and waits for the prompt; nothing of iamd's was shown.
fn quiet_login(node: &Node, user: &str) -> Result<Session> {
    let mut session = node.ssh(user).pty().open(None)?;
    let seen = session.find("the prompt", |seen| seen.ends_with("$ ").then(|| seen.to_owned()))?;
    match seen.contains("iamd:") {
        false => Ok(session),
        true => Err(Error::Wrong(format!("the login was not quiet: {seen}"))),
    }
}

/// Waits for the same token in the files of both nodes, another than `than`; answers it.
fn same_in_both(cluster: &Cluster, user: &str, than: &str) -> Result<String> {
    eventually("the same new token on both nodes", SOON, || {
        let (one, two) = (file(&cluster.one, user)?, file(&cluster.two, user)?);
        match one == two && one != than {
            true => Ok(one),
            false => Err(Error::Wrong(format!("same: {}, new: {}", one == two, one != than))),
        }
    })
}

/// Waits for this token in the files of both nodes.
fn both_have(cluster: &Cluster, user: &str, token: &str) -> Result<()> {
    eventually("this token on both nodes", SOON, || {
        let has = |node| Ok::<bool, Error>(file(node, user)? == token);
        match (has(&cluster.one)?, has(&cluster.two)?) {
            (true, true) => Ok(()),
            other => Err(Error::Wrong(format!("{other:?}"))),
        }
    })
}

fn a_sign_in_on_one_node_is_one_on_the_other_and_so_is_its_end(world: &World) -> Outcome {
    let cluster = cluster(world, "shared", "")?;
    let Cluster { one, two, issuer, etcd } = &cluster;
    let _at_one = sign_in(one, issuer, "alice")?;
    let codes = issuer.count("POST /devicecode")?;
    let mut at_two = quiet_login(two, "alice")?;
    let token = same_in_both(&cluster, "alice", "")?;
    issuer.verify(&token)?;
    assert_eq!(two.exec_as("alice", "iamctl token")?.ok()?.line(), token);
    assert_eq!((issuer.count("POST /devicecode")?, issuer.count(REFRESH)?), (codes, 0));

    // One refresh is one for both, whoever makes it.
    for (count, node) in [(1, one), (2, two)] {
        // A file with a token of the same second is as good, and stays as it is.
        clock::pause(Duration::from_millis(1100));
        let token = node.exec_as("alice", "iamctl token --force-new")?.ok()?.line();
        both_have(&cluster, "alice", &token)?;
        for node in [one, two] {
            assert_eq!(node.exec_as("alice", "iamctl token")?.ok()?.line(), token);
        }
        assert_eq!(issuer.count(REFRESH)?, count);
    }

    // What is in etcd tells nobody a token, nor of which issuer it is; names of rows it does tell.
    let stored = etcd.everything()?;
    let told = |what: &str| stored.contains(what);
    assert!(told("iamd/rows/accounts/1001/"), "{} bytes, and no account", stored.len());
    for secret in ["eyJ", "refresh_token", "storage.read", issuer.host()] {
        assert!(!told(secret), "etcd has {secret:?} in clear");
    }

    // A logout on either ends it on both.
    at_two.ask("iamctl logout")?;
    let start = clock::now();
    eventually("the file of the other node to go", SOON, || match file(one, "alice") {
        Err(_) => Ok(()),
        Ok(_) => Err("it is there"),
    })?;
    world.say(&format!("a logout ended it on the other node within {:?}", start.elapsed()));
    for node in [one, two] {
        node.exec_as("alice", "iamctl token")?.exited(3)?;
    }

    // A sign-in while there are sessions on both is in the files of both.
    let (uri, code) = start_login(one, "alice", "test", "test")?;
    issuer.approve(&uri, &code, "alice")?;
    wait_for_state(one, "alice", "test", "signed-in", SOON)?;
    issuer.verify(&same_in_both(&cluster, "alice", &token)?)?;
    // And one that is removed is gone for both.
    one.exec_as("alice", "iamctl account remove test --yes")?.ok()?;
    eventually("the account to be gone on the other node", SOON, || {
        two.exec_as("alice", "iamctl account show test")?.exited(1)
    })?;
    Ok(())
}

fn nodes_that_refresh_at_once_lose_no_family(world: &World) -> Outcome {
    const EACH: usize = 12;
    let cluster = cluster(world, "race", "")?;
    let Cluster { one, two, issuer, .. } = &cluster;
    let _at_one = sign_in(one, issuer, "bob")?;
    let _at_two = quiet_login(two, "bob")?;
    let line =
        format!("for i in $(seq {EACH}); do iamctl token --force-new > /dev/null || exit; done");
    let line = &line;
    std::thread::scope(|scope| {
        let racing = [one, two].map(|node| scope.spawn(move || node.exec_as("bob", line)?.ok()));
        racing.into_iter().try_for_each(|racer| match racer.join() {
            Ok(said) => said.map(|_| ()),
            Err(_) => Err(Error::Wrong("a racer panicked".into())),
        })
    })?;
    // No refresh token was presented twice: that would have ended the family.
    let requests = issuer.count(REFRESH)?;
    world.say(&format!("{} wants of two nodes at once: {requests} requests", 2 * EACH));
    assert!(requests <= 2 * EACH as u64, "{requests} requests");
    for node in [one, two] {
        let token = node.exec_as("bob", "iamctl token --force-new")?.ok()?.line();
        issuer.verify(&token)?;
    }
    for node in [one, two] {
        issuer.verify(&file(node, "bob")?)?;
    }
    Ok(())
}

fn while_etcd_is_away_logins_work_and_afterwards_all_goes_on(world: &World) -> Outcome {
    let cluster = cluster(world, "away", "")?;
    let Cluster { one, two, issuer, etcd } = &cluster;
    let _at_one = sign_in(one, issuer, "bob")?;
    let _at_two = quiet_login(two, "bob")?;
    let token = same_in_both(&cluster, "bob", "")?;
    etcd.freeze(true)?;
    // The file stays, and whoever logs in is in.
    for node in [one, two] {
        let said = node.ssh("bob").run("echo in")?.ok()?;
        assert_eq!(said.line(), "in", "{said:?}");
        world.say(&format!("a login without etcd took {:?}", said.took));
        assert_eq!(file(node, "bob")?, token);
    }
    // What needs the store is told so in the end, and the issuer is not asked.
    let said = one.exec_as("bob", "iamctl token --force-new")?.exited(5)?;
    assert_eq!(issuer.count(REFRESH)?, 0, "{said:?}");
    etcd.freeze(false)?;
    let fresh = eventually("a new token", SOON, || {
        one.exec_as("bob", "iamctl token --force-new")?.ok().map(|said| said.line())
    })?;
    both_have(&cluster, "bob", &fresh)?;
    issuer.verify(&fresh)?;
    Ok(())
}

fn what_a_killed_node_held_the_other_goes_on_with(world: &World) -> Outcome {
    let cluster = cluster(world, "killed", "[limits]\nreply_time = \"10s\"\n")?;
    let Cluster { one, two, issuer, .. } = &cluster;
    let _at_one = sign_in(one, issuer, "alice")?;
    let _at_two = quiet_login(two, "alice")?;
    let before = same_in_both(&cluster, "alice", "")?;
    // The node dies with the account's lock, in the middle of a refresh that the issuer never sees.
    let hole = issuer.faults(&json!([
        {"match": {"path": "/token"}, "fault": "blackhole"}
    ]))?;
    let mut refresh = one.inside()?;
    refresh.args(["setpriv", "--reuid", "alice", "--regid", "alice", "--init-groups"]);
    refresh.args(["iamctl", "token", "--force-new"]);
    let refresh = Session::start(refresh, SOON)?;
    eventually("the refresh to be at the issuer", SOON, || {
        let counters = hole.counters()?;
        match counters[0]["matched"].as_u64() {
            Some(1..) => Ok(()),
            _ => Err(Error::Wrong(counters.to_string())),
        }
    })?;
    one.power_cut()?;
    drop((refresh, hole));
    // Its lock ends with its lease, 25 s after etcd last heard of it; the other has it then.
    let start = clock::now();
    let token = eventually("the other node to refresh", Duration::from_secs(120), || {
        two.exec_as("alice", "iamctl token --force-new")?.ok().map(|said| said.line())
    })?;
    world.say(&format!("the other node had a new token after {:?}", start.elapsed()));
    assert_ne!(token, before);
    issuer.verify(&token)?;
    let _again = quiet_login(one, "alice")?;
    both_have(&cluster, "alice", &token)?;
    Ok(())
}
