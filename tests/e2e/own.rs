//! A node and an issuer of a test's own, and iamctl as a user runs it: what several modules need.

use iamd_tests::sign_in::warm;
use iamd_tests::{Error, Issuer, IssuerSpec, Node, Output, Product, Result, Session, World};
use serde_json::Value;

/// A node `name`, used before, with the product for an issuer at `name.test`, both of the caller's own.
pub fn own(
    world: &World,
    name: &str,
    options: &[(&str, &str)],
    config: &str,
) -> Result<(Node, Issuer)> {
    let spec = IssuerSpec::new(&format!("{name}.test"));
    let spec = options.iter().fold(spec, |spec, (option, value)| spec.option(option, value));
    let issuer = world.start_issuer(spec)?;
    let product = Product::new(&issuer).config(config);
    let node = world.boot(product.on(world.spec(name)))?;
    warm(&node)?;
    issuer.reset()?;
    Ok((node, issuer))
}

/// `iamctl WORDS` as a user who logs in for it.
pub fn iamctl(node: &Node, user: &str, words: &str) -> Result<Output> {
    node.ssh(user).run(&format!("iamctl {words}"))
}

/// As [`iamctl`], with `--json` and exit code 0.
pub fn iamctl_json(node: &Node, user: &str, words: &str) -> Result<Value> {
    json(&iamctl(node, user, &format!("{words} --json"))?.ok()?)
}

/// What a command printed on standard output, as JSON.
pub fn json(output: &Output) -> Result<Value> {
    serde_json::from_slice(&output.stdout)
        .map_err(|error| Error::Wrong(format!("{error}: {}", output.text())))
}

/// Where a running `iamctl login` says to sign in: URL and code.
pub fn prompt(session: &mut Session) -> Result<(String, String)> {
    session.find("where to sign in", |seen| {
        let word = |label: &str| {
            let rest = seen.split_once(&format!("\n  {label}  "))?.1;
            // Whole only when something stands behind it.
            Some(rest[..rest.find(char::is_whitespace)?].to_owned())
        };
        Some((word("Open")?, word("Code")?))
    })
}

/// Starts `iamctl login WORDS` on a terminal, without colours.
pub fn login(node: &Node, user: &str, words: &str) -> Result<Session> {
    node.ssh(user).pty().open(Some(&format!("NO_COLOR=1 iamctl login {words}")))
}
