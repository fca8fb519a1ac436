//! Tokens that live a minute, for five minutes: the promise that programs build on.

use std::time::Duration;

use iamd_tests::{IssuerSpec, Product, World, clock, sign_in, token_file, uid};

use crate::case::{Case, Outcome};
use crate::cases;
use crate::watch::Watch;

pub fn cases() -> Vec<Case> {
    cases![
        ;
        apart: a_reader_never_sees_a_bad_file_while_tokens_of_a_minute_are_renewed_for_five,
    ]
}

const MINUTES: Duration = Duration::from_secs(300);
const EVERY: Duration = Duration::from_millis(100);

fn a_reader_never_sees_a_bad_file_while_tokens_of_a_minute_are_renewed_for_five(
    world: &World,
) -> Outcome {
    let issuer = IssuerSpec::new("minute.test").option("AT_TTL", "60").option("ROTATE", "always");
    let issuer = world.start_issuer(issuer)?;
    let node = world.boot(Product::new(&issuer).on(world.spec("renewal")))?;
    let (user, uid) = ("alice", uid("alice")?);
    let mut session = sign_in(&node, &issuer, user)?;
    let file = token_file(user)?;
    let link = format!("/run/user/{uid}/bt_u{uid}");
    let first = node.root_says(&format!("cat {file}"))?;

    let readers = [&file, &link].map(|path| Watch::start(&node, user, path, EVERY));
    clock::pause(MINUTES);
    for reader in readers {
        let seen = reader?.end()?;
        world.say(&format!("renewal: {seen:?}"));
        seen.no_problem();
        // A reader that was held up for long would prove nothing.
        assert!(seen.looks > 2000 && seen.longest_gap < Duration::from_secs(3), "{seen:?}");
        assert!((7..=9).contains(&seen.tokens), "{seen:?}");
        assert!(seen.least_left > Duration::from_secs(5), "{seen:?}");
    }

    // About one in 40 s, each with the refresh token that the one before gave: a token that was
    // used twice would have cost the family its life, and the next refresh an answer other than 200.
    let refreshes: Vec<u64> = issuer
        .requests()?
        .iter()
        .filter(|request| request["grant_type"] == "refresh_token")
        .map(|request| request["status"].as_u64().unwrap_or_default())
        .collect();
    assert!(refreshes.iter().all(|status| *status == 200), "{refreshes:?}");
    assert!((6..=8).contains(&refreshes.len()), "{refreshes:?}");
    let last = session.ask(&format!("cat {file}"))?;
    assert_ne!(last, first);
    assert_eq!(issuer.verify(&last)?["sub"], issuer.verify(&first)?["sub"]);
    let state = node.exec_as(user, "iamctl status --json")?.ok()?.line();
    assert!(state.contains("\"state\":\"signed-in\""), "{state}");
    Ok(())
}
