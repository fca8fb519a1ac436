//! What administrators do beside the configuration: they end sign-ins, and take no new ones, where
//! polkit lets them; and each time it is recorded.

use std::time::Duration;

use iamd_tests::{
    Error, Issuer, IssuerSpec, Node, Product, World, eventually, sign_in, token_file, uid,
};

use crate::case::{Case, Outcome};
use crate::cases;
use crate::people::{json, parsed, sign_in_as, wait_for_state};

pub fn cases() -> Vec<Case> {
    cases![
        an_administrator_ends_the_sign_ins_of_a_user_and_of_nobody_else,
        an_administrator_ends_the_sign_ins_at_an_issuer_and_of_a_client,
        ; alone: a_drained_node_takes_no_new_sign_ins_and_holds_nobody_up
    ]
}

/// A node whose administrator is not root: `carol`, by a rule of polkit's.
struct Administered {
    node: Node,
    issuer: Issuer,
    other: Issuer,
}

fn administered(world: &World) -> Result<Administered, Error> {
    let issuer = world.start_issuer(IssuerSpec::new("administered.test"))?;
    let other = world.start_issuer(IssuerSpec::new("administered-too.test"))?;
    let product = Product::new(&issuer).issuer("other", &other);
    let rule = "polkit.addRule(function(action, subject) { if \
                (action.id.indexOf('org.iamd1.admin.') == 0 && subject.user == 'carol') \
                return polkit.Result.YES; });\n";
    let spec = product.on(world.spec("administered"));
    let node = world.boot(spec.file("/etc/polkit-1/rules.d/10-iamd.rules", 0o644, rule))?;
    Ok(Administered { node, issuer, other })
}

fn records(node: &Node, matches: &str) -> Result<Vec<String>, Error> {
    let line = format!("journalctl -u iamd -o cat --no-pager {matches}");
    Ok(node.exec(&line)?.text().lines().map(str::to_owned).collect())
}

fn an_administrator_ends_the_sign_ins_of_a_user_and_of_nobody_else(world: &World) -> Outcome {
    let place = world.place(administered)?;
    let node = &place.node;
    let (alice, bob) = (world.user()?, world.user()?);
    let mut session = sign_in(node, &place.issuer, &alice)?;
    sign_in_as(node, &place.other, &alice, "second", "other")?;
    sign_in_as(node, &place.issuer, &bob, "mine", "test")?;
    // Nobody who is not an administrator: not of others, not of themselves.
    for user in [&alice, &bob] {
        let refused = node.exec_as(user, &format!("iamctl admin revoke {alice} --yes"))?;
        assert_eq!((refused.code, refused.text().as_str()), (4, ""), "{refused:?}");
        assert!(refused.errors().contains("administrator"), "{refused:?}");
    }
    let dry = json(node, "carol", &format!("iamctl admin revoke {alice} --dry-run --json"))?;
    assert_eq!(dry["sign_ins"].as_array().map(Vec::len), Some(2), "{dry}");
    let file = token_file(&alice)?;
    node.exec(&format!("test -s {file}"))?.ok()?;
    let (here, there) = (place.issuer.count("POST /revoke")?, place.other.count("POST /revoke")?);
    let reply = json(node, "carol", &format!("iamctl admin revoke {alice} --yes --json"))?;
    let ended = reply["sign_ins"].as_array().ok_or("no sign-ins")?;
    assert_eq!(ended.len(), 2, "{reply}");
    assert!(ended.iter().all(|one| one["result"] == "revoked" && one["user"] == *alice), "{reply}");
    assert_eq!(place.issuer.count("POST /revoke")?, here + 1);
    assert_eq!(place.other.count("POST /revoke")?, there + 1);
    // At once, in the session that is open too.
    node.exec(&format!("test ! -e {file}"))?.ok()?;
    let said = session.ask("iamctl token >/dev/null; echo code $?")?;
    assert!(said.contains("code 3"), "{said}");
    wait_for_state(node, &bob, "mine", "signed-in", Duration::from_secs(10))?;
    node.exec_as(&bob, "iamctl token mine")?.ok()?;
    let number = uid(&alice)?;
    let told = records(node, &format!("IAMD_EVENT=sign-out IAMD_UID={number}"))?;
    let by = format!("by an administrator, uid {}", uid("carol")?);
    assert!(told.len() == 2 && told.iter().all(|line| line.contains(&by)), "{told:?}");
    // With the administrator's program, which is not the user's.
    let program = node.root_says(&format!(
        "journalctl -u iamd -o json --no-pager -n 1 IAMD_EVENT=sign-out IAMD_UID={number}"
    ))?;
    assert!(program.contains("\"IAMD_CALLER_EXE\":\"[iamctl]\""), "{program}");
    let told = records(node, "IAMD_EVENT=administration IAMD_RESULT=NotAuthorized")?;
    assert!(told.len() >= 2, "{told:?}");
    // With the process that asked, whether it was allowed or not.
    node.exec_as("carol", "iamctl admin users && iamctl admin rekey --status")?.ok()?;
    for matches in [
        "IAMD_RESULT=NotAuthorized".to_owned(),
        format!("IAMD_UID={} IAMD_DETAIL=users", uid("carol")?),
        format!("IAMD_UID={} IAMD_DETAIL='rekey status'", uid("carol")?),
    ] {
        let line = format!(
            "journalctl -u iamd -o json --no-pager -n 1 IAMD_EVENT=administration {matches}"
        );
        let record =
            eventually("the record", Duration::from_secs(10), || parsed(&node.exec(&line)?.ok()?))?;
        let pid = record["IAMD_CALLER_PID"].as_str().and_then(|pid| pid.parse::<u32>().ok());
        assert!(pid.is_some(), "{matches}: {record}");
    }
    let seen = json(node, "carol", "iamctl admin users --json")?;
    let of = |uid: u32| {
        let users = seen["users"].as_array().cloned().unwrap_or_default();
        users.into_iter().find(|user| user["uid"] == uid)
    };
    let hers = of(number).ok_or("alice is not listed")?;
    assert_eq!((&hers["accounts"], &hers["signed_in"]), (&2.into(), &0.into()), "{hers}");
    assert_eq!(hers["states"]["login-required"], 2, "{hers}");
    drop(session);
    the_numbers_of_a_node_are_told(node, &alice)
}

fn the_numbers_of_a_node_are_told(node: &Node, user: &str) -> Outcome {
    assert_eq!(node.exec_as(user, "iamctl admin stats")?.code, 4);
    let stats = json(node, "carol", "iamctl admin stats --json")?;
    let number = |key: &str| stats[key].as_u64().unwrap_or_default();
    for key in
        ["since", "users", "tokens", "sign_ins", "sign_outs", "logins_started", "store_bytes"]
    {
        assert!(number(key) > 0, "{key}: {stats}");
    }
    assert!(stats["accounts"]["login-required"].as_u64() >= Some(2), "{stats}");
    assert!(stats["accounts"]["signed-in"].as_u64() >= Some(1), "{stats}");
    let issuers = stats["issuers"].as_array().ok_or("no issuers")?;
    let closed =
        |name: &str| issuers.iter().any(|it| it["name"] == name && it["circuit"] == "closed");
    assert!(closed("test") && closed("other"), "{stats}");
    assert_eq!(stats["keys"].as_array().map(Vec::len), Some(1), "{stats}");
    let said = node.exec_as("carol", "iamctl admin stats")?.ok()?;
    assert!(
        said.text().contains("refreshes  ") && said.text().contains("circuit closed"),
        "{said:?}"
    );
    Ok(())
}

fn an_administrator_ends_the_sign_ins_at_an_issuer_and_of_a_client(world: &World) -> Outcome {
    let place = world.place(administered)?;
    let node = &place.node;
    let (alice, bob) = (world.user()?, world.user()?);
    let add = "iamctl account add mine --issuer other --own-client --no-login --json";
    for user in [&alice, &bob] {
        node.exec_as(user, add)?.ok()?;
        sign_in_as(node, &place.other, user, "mine", "other")?;
        sign_in_as(node, &place.issuer, user, "rest", "test")?;
    }
    let hers = json(node, &alice, "iamctl account show mine --json")?;
    let client = hers["account"]["client_id"].as_str().ok_or("no client")?.to_owned();
    let reply = json(node, "carol", &format!("iamctl admin revoke --client {client} -y --json"))?;
    let ended = reply["sign_ins"].as_array().ok_or("no sign-ins")?;
    assert_eq!(ended.len(), 1, "{reply}");
    assert_eq!((&ended[0]["user"], &ended[0]["account"]), (&alice.clone().into(), &"mine".into()));
    // Both together: what fits one of them only, stays.
    let line = format!("iamctl admin revoke {bob} --issuer {} -y --json", place.other.url());
    let reply = json(node, "carol", &line)?;
    let ended = reply["sign_ins"].as_array().ok_or("no sign-ins")?;
    assert_eq!(ended.len(), 1, "{reply}");
    assert_eq!((&ended[0]["user"], &ended[0]["account"]), (&bob.clone().into(), &"mine".into()));
    for user in [&alice, &bob] {
        node.exec_as(user, "iamctl token rest")?.ok()?;
        assert_eq!(node.exec_as(user, "iamctl token mine")?.code, 3);
    }
    for (line, code) in [
        ("iamctl admin revoke", 2),
        ("iamctl admin revoke --issuer nobody --yes", 1),
        ("iamctl admin revoke nobody --yes", 0),
        ("iamctl admin revoke nobdy --yes", 1),
        ("iamctl admin revoke user01", 2),
    ] {
        let said = node.exec_as("carol", &format!("{line} </dev/null"))?;
        assert_eq!(said.code, code, "{line}: {said:?}");
    }
    Ok(())
}

fn a_drained_node_takes_no_new_sign_ins_and_holds_nobody_up(world: &World) -> Outcome {
    let place = world.place(administered)?;
    let node = &place.node;
    let (alice, bob) = (world.user()?, world.user()?);
    sign_in_as(node, &place.issuer, &alice, "mine", "test")?;
    let refused = node.exec_as(&bob, "iamctl admin drain")?;
    assert_eq!(refused.code, 4, "{refused:?}");
    node.exec_as("carol", "iamctl admin drain --reason 'new kernel at noon'")?.ok()?;
    let text = "takes no new sign-ins at the moment: new kernel at noon";
    let authorizations = place.issuer.count("POST /devicecode")?;
    // A restart of the daemon does not forget it.
    node.restart("iamd")?;
    let said = node.exec_as(&bob, "iamctl login")?;
    assert_eq!((said.code, said.text().as_str()), (5, ""), "{said:?}");
    assert!(said.errors().contains(text) && said.errors().contains("Try again later"), "{said:?}");
    assert_eq!(node.exec_as(&bob, "iamctl account add more --issuer test --no-login")?.code, 5);
    let mut session = node.ssh(&bob).pty().open(None)?;
    session.wait_for(text)?;
    let said = session.ask("echo still $((40 + 2))")?;
    assert!(said.contains("still 42"), "{said}");
    assert_eq!(place.issuer.count("POST /devicecode")?, authorizations);
    // Who is signed in notices nothing.
    let token = node.exec_as(&alice, "iamctl token mine --force-new")?.ok()?;
    assert!(!token.text().is_empty());
    assert!(node.exec_as(&alice, "iamctl status")?.text().contains(text));
    let state = parsed(&node.exec_as("carol", "iamctl admin drain --show --json")?)?;
    assert_eq!(
        (&state["draining"], &state["by"]),
        (&true.into(), &uid("carol")?.into()),
        "{state}"
    );
    node.exec_as("carol", "iamctl admin drain --off")?.ok()?;
    eventually("sign-ins are taken again", Duration::from_secs(5), || {
        node.exec_as(&bob, "iamctl login --no-wait && iamctl login --cancel")?.ok()
    })?;
    let told = records(node, "IAMD_EVENT=administration IAMD_RESULT=ok")?;
    for what in ["drain: new kernel at noon", "drain off"] {
        assert!(told.iter().any(|line| line.contains(what)), "{what}: {told:?}");
    }
    Ok(())
}
