//! Accounts of Debian's oidc-agent become accounts here: files that its oidc-gen wrote on the node,
//! at an issuer that replaces refresh tokens.

use iamd_tests::rootfs::readers;
use iamd_tests::sign_in::warm;
use iamd_tests::{Issuer, IssuerSpec, Node, Output, Product, Result, World};
use serde_json::json;

use crate::case::{Case, Outcome};
use crate::cases;
use crate::own::{iamctl, iamctl_json, json};

pub fn cases() -> Vec<Case> {
    cases![; apart: accounts_of_oidc_agent_become_accounts_here]
}

const HOST: &str = "moving.test";

/// What each script begins with. An agent that would ask for a new sign-in waits for a display.
const PRELUDE: &str = r#"
export OIDC_ENCRYPTION_PW='moving house' NO_COLOR=1 ISS=https://moving.test/
eval "$(oidc-agent --quiet --no-autoreauthenticate)"
trap 'oidc-agent -k > /dev/null' EXIT
for _ in $(seq 300); do oidc-add -a > /dev/null 2>&1 && break; sleep 0.1; done
rt() {
    curl -sS -m 20 -u site-password:site-secret "${ISS}token" -d grant_type=password \
        -d "username=$USER" -d "password=$USER-pw" \
        -d "scope=openid offline_access storage.read:/" | jq -r .refresh_token
}
gen() {
    oidc-gen "$1" --manual --client-id=site-password --client-secret=site-secret --rt="$(rt)" \
        --scope="openid offline_access storage.read:/" --iss=$ISS --pw-env --prompt=none \
        --redirect-uri=http://localhost:4242 --confirm-default \
        --cp=/etc/ssl/certs/ca-certificates.crt >&2
}
"#;

const IMPORT: &str = "account import oidc-agent";
const PASSWORD: &str = "--password-fd 3 3<<<'moving house'";

struct Moving {
    node: Node,
    issuer: Issuer,
    user: String,
}

impl Moving {
    fn script(&self, script: &str) -> Result<Output> {
        self.node
            .ssh(&self.user)
            .run_with("bash -s", format!("{PRELUDE}\n{script}\nexit\n").as_bytes())
    }

    fn import(&self, words: &str) -> Result<Output> {
        self.node.ssh(&self.user).run(&format!("iamctl {IMPORT} {words} {PASSWORD}"))
    }

    fn refreshes(&self) -> Result<u64> {
        self.issuer.count("POST /token refresh_token")
    }
}

fn accounts_of_oidc_agent_become_accounts_here(world: &World) -> Outcome {
    let spec = IssuerSpec::new(HOST).option("ROTATE", "always").option("REUSE", "fails");
    let issuer = world.start_issuer(spec)?;
    let product = Product::new(&issuer);
    let node =
        world.boot(product.on(world.spec("moving").over(readers(&|line| world.say(line))?)))?;
    warm(&node)?;
    let moving = Moving { node, issuer, user: world.user()? };
    moving.script("gen first && gen second && gen third")?.ok()?;
    nothing_is_used_to_see_what_would_be_done(&moving)?;
    a_sign_in_moves_and_goes_on_here(&moving)?;
    what_oidc_agent_used_up_is_told_and_leaves_nothing(&moving)
}

fn nothing_is_used_to_see_what_would_be_done(moving: &Moving) -> Outcome {
    let before = moving.refreshes()?;
    let seen = json(&moving.import("--dry-run --json")?.ok()?)?;
    let accounts = seen["accounts"].as_array().cloned().unwrap_or_default();
    let results: Vec<_> = accounts.iter().map(|one| &one["result"]).collect();
    assert_eq!(results, [&json!("would-import"); 3], "{seen}");
    assert_eq!(accounts[0]["issuer"], json!(moving.issuer.url()));
    assert_eq!(moving.refreshes()?, before);
    let wrong = moving.node.ssh(&moving.user);
    let wrong =
        wrong.run(&format!("iamctl {IMPORT} first --password-fd 3 3<<<other"))?.exited(1)?;
    assert!(wrong.errors().contains("that is not the password"), "{wrong:?}");
    assert_eq!(moving.refreshes()?, before);
    Ok(())
}

fn a_sign_in_moves_and_goes_on_here(moving: &Moving) -> Outcome {
    let (node, user) = (&moving.node, moving.user.as_str());
    let before = moving.refreshes()?;
    let moved = moving.import("first --remove")?.ok()?;
    assert!(moved.errors().contains("oidc-add -R"), "{moved:?}");
    assert_eq!(moving.refreshes()?, before + 1, "the refresh token is used once");
    let files = node.ssh(user).run("ls ~/.oidc-agent")?.ok()?.text();
    assert!(!files.contains("first") && files.contains("second"), "{files}");
    assert_eq!(iamctl_json(node, user, "account show first")?["account"]["state"], "signed-in");
    // Each of these uses the refresh token that the one before it brought.
    for _ in 0..2 {
        let token = iamctl(node, user, "token first --force-new -s storage.read:/")?.ok()?.line();
        moving.issuer.verify(&token)?;
    }
    // It is on disk, and outlives the daemon.
    node.restart("iamd")?;
    let token = iamctl(node, user, "token first --force-new")?.ok()?.line();
    assert_eq!(
        moving.issuer.verify(&token)?["scope"].as_str().map(|s| s.contains("storage.read:/")),
        Some(true)
    );
    // The name is taken now; another one is not.
    let second = moving.import("second --as first --json")?.exited(1)?;
    assert_eq!(json(&second)?["accounts"][0]["error"]["name"], "AccountExists");
    moving.import("second --as another --keep")?.ok()?;
    iamctl(node, user, "token another --force-new")?.ok()?;
    // oidc-agent finds that its copy is dead, and says what it says of any that is.
    let theirs = moving.script("oidc-add second --pw-env >&2; timeout 20 oidc-token -f second")?;
    assert_ne!(theirs.code, 0, "two holders of one refresh token: {theirs:?}");
    assert_eq!(theirs.text(), "");
    iamctl(node, user, "token another --force-new")?.ok()?;
    Ok(())
}

fn what_oidc_agent_used_up_is_told_and_leaves_nothing(moving: &Moving) -> Outcome {
    let (node, user) = (&moving.node, moving.user.as_str());
    // What stands in the file of `second` was replaced when it was taken over.
    let dead = moving.import("second --as once-more --remove --json")?.exited(3)?;
    let error = &json(&dead)?["accounts"][0]["error"];
    assert_eq!(error["name"], "LoginRequired");
    let advice = error["advice"].as_str().unwrap_or_default();
    assert!(advice.contains("iamctl account add NAME --issuer https://moving.test"), "{advice}");
    let names = iamctl_json(node, user, "account list")?;
    assert!(!names.to_string().contains("once-more"), "{names}");
    // All that is left: one is dead and one is good, and each is told.
    let rest = json(&moving.import("--json")?.exited(3)?)?;
    let results: Vec<_> =
        rest["accounts"].as_array().into_iter().flatten().map(|a| &a["result"]).collect();
    assert_eq!(results, [&json!("failed"), &json!("imported")], "{rest}");
    let files = node.ssh(user).run("ls ~/.oidc-agent")?.ok()?.text();
    assert!(files.contains("second") && files.contains("third"), "nothing was removed: {files}");
    Ok(())
}
