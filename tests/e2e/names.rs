//! Scripts that were written for oidc-agent, on a node that has its names and not it.

use std::time::Duration;

use iamd_tests::{Node, Output, Product, Result, World, sign_in};

use crate::case::{Case, Outcome};
use crate::cases;
use crate::own::{iamctl_json, prompt};

pub fn cases() -> Vec<Case> {
    cases![; apart: scripts_for_oidc_agent_go_on_with_its_names]
}

/// As a site's users have it: start or find an agent, load, get tokens, use them.
const SCRIPT: &str = r#"
set -euo pipefail
eval "$(oidc-agent-service use)" > /dev/null
eval $(oidc-agent) > /dev/null
eval "$(oidc-keychain --accounts test)"
[ "$OIDC_SOCK" = /run/iamd/oidc-agent.sock ] && [ -z "${OIDCD_PID-}" ]
oidc-add --loaded | grep -qx test || oidc-add test
oidc-add -l | grep -qx test
[ "$(oidc-gen -p test 2> /dev/null | sed -n 's/.*"issuer_url": "\(.*\)".*/\1/p')" = "$(oidc-token -i test)" ]
oidc-agent --status | grep -q 'accounts loaded: test$'
eval "$(oidc-token -c test)"
[ "$OIDC_EXP" -gt "$(date +%s)" ]
[ "$(oidc-token test)" = "$OIDC_AT" ] && [ "$(oidc-token "$OIDC_ISS")" = "$OIDC_AT" ]
[ "$(oidc-token -f test)" != "$OIDC_AT" ]
[ "$(oidc-token --auth-header test)" = "Authorization: Bearer $(oidc-token test)" ]
if oidc-token nobody 2> /dev/null; then exit 9; fi
command -v oidc-token
oidc-token -t 60 -s storage.read:/ --aud https://se.example.org test
eval "$(oidc-agent -k)"
[ -z "${OIDC_SOCK-}" ]
"#;

/// What a login shell makes of a script, without what sshd says to who has no command. It ends with
/// its input: `exit` would have `~/.bash_logout` say how it ended.
fn as_at_a_login(node: &Node, user: &str, script: &str) -> Result<Output> {
    node.ssh(user).run_with("bash -ls", format!("{script}\n").as_bytes())
}

fn scripts_for_oidc_agent_go_on_with_its_names(world: &World) -> Outcome {
    let (issuer, user) = (world.issuer()?, world.user()?);
    let product = Product::new(issuer).option("--with-oidc-agent-names");
    let node = world.boot(product.on(world.spec("names")))?;
    drop(sign_in(&node, issuer, &user)?);
    let missing = as_at_a_login(&node, &user, "command -v oidc-token")?;
    assert_ne!(missing.code, 0, "on no PATH until the site says so: {missing:?}");
    node.root_says("ln -s /usr/share/iamd/profile.d/oidc-agent-names.sh /etc/profile.d/")?;
    let said = as_at_a_login(&node, &user, SCRIPT)?.ok()?.text();
    let mut lines = said.lines();
    assert_eq!(lines.next(), Some("/usr/lib/iamd/oidc-agent/oidc-token"));
    let claims = issuer.verify(lines.next().unwrap_or_default())?;
    assert_eq!(
        (&claims["scope"], &claims["aud"]),
        (&"storage.read:/".into(), &"https://se.example.org".into())
    );
    // An oidc-agent that is installed goes before.
    node.put("/usr/local/bin/oidc-token", 0o755, "root", b"#!/bin/sh\necho theirs\n")?;
    assert_eq!(as_at_a_login(&node, &user, "oidc-token test")?.ok()?.text(), "theirs\n");
    // Another account, as oidc-gen makes one.
    let line = "NO_COLOR=1 bash -lc 'oidc-gen -w device second --iss=test --scope=openid'";
    let mut session = node.ssh(&user).pty().limit(Duration::from_secs(60)).open(Some(line))?;
    let (uri, code) = prompt(&mut session)?;
    issuer.approve(&uri, &code, &user)?;
    session.wait_for("Everything setup correctly!")?;
    assert_eq!(session.close()?, 0);
    assert_eq!(iamctl_json(&node, &user, "account show second")?["account"]["state"], "signed-in");
    Ok(())
}
