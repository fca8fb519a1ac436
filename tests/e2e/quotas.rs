//! Quotas: what one user may have at once, each with an error of its own, and nobody else
//! affected.

use iamd_tests::{Error, Issuer, IssuerSpec, Node, Product, World, clock};
use serde_json::json;

use crate::case::{Case, Outcome};
use crate::cases;
use crate::people::{bus, error_of, put_bus_client, sign_in_as, start_login};

pub fn cases() -> Vec<Case> {
    cases![
        the_17th_account_is_refused_with_its_own_error,
        the_3rd_running_login_is_refused_with_its_own_error,
        r31_who_begins_login_after_login_is_refused_with_its_own_error,
        the_65th_request_in_flight_is_refused_with_its_own_error,
        a_pam_frame_over_the_limit_is_refused_with_its_own_error_and_the_session_opens,
    ]
}

/// A node of this module's own, whose second issuer's device codes end after a second.
struct Quotas {
    node: Node,
    issuer: Issuer,
    hasty: Issuer,
}

fn quotas(world: &World) -> Result<Quotas, Error> {
    let issuer = world.start_issuer(IssuerSpec::new("quota.test"))?;
    let hasty = world.start_issuer(IssuerSpec::new("hasty.test"))?;
    let product = Product::new(&issuer).issuer("hasty", &hasty);
    let product = product.config("[limits]\nframe_bytes = 1024\nlogin_starts = 20\n");
    let node = world.boot(product.on(world.spec("quotas")))?;
    put_bus_client(&node)?;
    Ok(Quotas { node, issuer, hasty })
}

fn the_17th_account_is_refused_with_its_own_error(world: &World) -> Outcome {
    let place = world.place(quotas)?;
    let node = &place.node;
    let (alice, bob) = (world.user()?, world.user()?);
    let _ends = place.hasty.faults(&json!([{
        "match": {"path": "/devicecode"}, "fault": {"replace_json": {"set": {"expires_in": 1}}},
    }]))?;
    // A login that nobody answers leaves its account behind; two may run at a time.
    let line = "for n in $(seq 1 2 15); do \
                for m in $n $((n + 1)); do [ $m = 16 ] || iamctl login a$m --issuer hasty & done; \
                wait; done 2>&1 | grep -c 'nobody approved'";
    assert_eq!(node.exec_as(&alice, line)?.line(), "15");
    // Both of these would be the 16th.
    let login = |name: &str| {
        node.exec_as(&alice, &format!("iamctl login {name} --issuer test --no-wait --json"))
    };
    login("b1")?.ok()?;
    let refused = login("b2")?.exited(4)?;
    let (name, text) = error_of(&refused)?;
    assert_eq!(name, "TooManyAccounts");
    assert!(text.ends_with("as many accounts as this site allows: 16"), "{text}");
    // What is there can still be signed in to, and others have quotas of their own.
    start_login(node, &alice, "a1", "hasty")?;
    sign_in_as(node, &place.issuer, &bob, "b2", "test")?;
    Ok(())
}

fn the_3rd_running_login_is_refused_with_its_own_error(world: &World) -> Outcome {
    let place = world.place(quotas)?;
    let node = &place.node;
    let (alice, bob) = (world.user()?, world.user()?);
    let first = start_login(node, &alice, "one", "test")?;
    start_login(node, &alice, "two", "test")?;
    let third = "iamctl login three --issuer test --no-wait --json";
    let (name, text) = error_of(&node.exec_as(&alice, third)?.exited(4)?)?;
    assert_eq!(name, "TooManyLogins");
    assert!(text.ends_with("as this site allows: 2"), "{text}");
    // One that runs is joined, not counted again.
    assert_eq!(start_login(node, &alice, "one", "test")?, first);
    start_login(node, &bob, "three", "test")?;
    node.exec_as(&alice, "iamctl login --cancel two")?.ok()?;
    start_login(node, &alice, "three", "test")?;
    Ok(())
}

fn r31_who_begins_login_after_login_is_refused_with_its_own_error(world: &World) -> Outcome {
    let place = world.place(quotas)?;
    let node = &place.node;
    let (alice, bob) = (world.user()?, world.user()?);
    let begin = "iamctl login x --issuer hasty --no-wait --json";
    let many = format!(
        "for n in $(seq 60); do out=$({begin} 2>&1) || {{ echo \"$out\"; exit 4; }}; \
         iamctl login --cancel x 2>/dev/null || :; done"
    );
    let refused = node.exec_as(&alice, &many)?.exited(4)?;
    let (name, text) = error_of(&refused)?;
    assert_eq!(name, "TooManyLoginStarts");
    assert!(text.contains("limits.login_starts"), "{text}");
    start_login(node, &bob, "x", "hasty")?;
    Ok(())
}

fn the_65th_request_in_flight_is_refused_with_its_own_error(world: &World) -> Outcome {
    let place = world.place(quotas)?;
    let node = &place.node;
    let (alice, bob) = (world.user()?, world.user()?);
    start_login(node, &alice, "slow", "test")?;
    // Each waits ten seconds for a change that does not come.
    let begun = clock::now();
    let flood = "flood 65 2 org.iamd1.Accounts LoginState su slow 10000";
    let answers = bus(node, &alice, flood)?;
    assert!(answers.starts_with("error org.iamd1.Error.TooManyRequests"), "{answers}");
    assert_eq!(answers.lines().count(), 1, "64 are served: {answers}");
    let listing = "call org.iamd1.Accounts List ''";
    let refused = node.exec_as(&alice, "iamctl account list --json")?.exited(4)?;
    assert_eq!(error_of(&refused)?.0, "TooManyRequests");
    assert!(bus(node, &bob, listing)?.starts_with("ok"), "another user is affected");
    assert!(begun.elapsed().as_secs() < 10, "the machine is too slow for this test");
    iamd_tests::eventually(
        "the requests to end",
        std::time::Duration::from_secs(20),
        || match bus(node, &alice, listing)? {
            served if served.starts_with("ok") => Ok(()),
            other => Err(Error::Wrong(other)),
        },
    )?;
    Ok(())
}

fn a_pam_frame_over_the_limit_is_refused_with_its_own_error_and_the_session_opens(
    world: &World,
) -> Outcome {
    let place = world.place(quotas)?;
    let (node, user) = (&place.node, world.user()?);
    // `required`: what the module answers is what the program gets.
    let stack = b"session required pam_iam.so services=afar debug\n";
    node.put("/etc/pam.d/afar", 0o644, "root", stack)?;
    let said = |of: &str| format!("journalctl --sync; journalctl -b -o cat --no-pager {of}");
    for (letters, line) in [(2000, "iamd refused: FrameTooLong: a frame of 2"), (20, "nothing for")]
    {
        let host = "x".repeat(letters);
        let open = format!("pamtester -I rhost={host} afar {user} open_session");
        node.exec(&open)?.ok()?;
        let told = node.root_says(&said("-g 'pam_iam.afar' | tail -n 1"))?;
        assert!(told.contains(line), "{told}");
    }
    assert_eq!(node.root_says(&said("-u iamd -g FrameTooLong | wc -l"))?, "1");
    Ok(())
}
