//! What commands of oidc-gen become.

use super::*;

fn becomes(line: &str, exists: bool) -> Result<String, String> {
    let words = std::iter::once("oidc-gen").chain(line.split(' '));
    let asked = Asked::try_parse_from(words).unwrap();
    let account = AccountInfo {
        name: "cms".into(),
        issuer: "https://x/".into(),
        client: Some(client::GIVEN.into()),
        client_id: Some("mine".into()),
        ..AccountInfo::default()
    };
    let commands = asked.commands(exists.then_some(&account));
    let line = |commands: Vec<Vec<String>>| {
        commands.iter().map(|words| words.join(" ")).collect::<Vec<_>>().join("; ")
    };
    commands.map(line).map_err(|failure| failure.message)
}

#[test]
fn each_has_its_command_of_iamctl() {
    for (line, exists, command) in [
        ("cms", false, "account add cms"),
        ("cms -w device", false, "account add cms"),
        ("-w code -w device cms", false, "account add cms"),
        ("cms -w device", true, "login cms"),
        ("cms --scope=a --aud=b", true, "login cms --scope=a --aud=b"),
        // What it says of the account is so.
        ("cms --iss=https://x --client-id=mine --scope=a", true, "login cms --scope=a"),
        ("cms -w password", true, "login cms --flow=password"),
        ("cms -w code -w password -w device", true, "login cms --flow=password"),
        ("cms -w device -w password", true, "login cms"),
        ("cms --reauthenticate -w password", true, "login cms --flow=password"),
        (
            "cms --iss=https://x/ -w password --op-username=al",
            false,
            "account add cms --issuer=https://x/ --no-login; login cms --flow=password --user=al",
        ),
        ("cms --reauthenticate", true, "login cms"),
        ("--rename=new cms", true, "account rename cms new"),
        ("-d cms", true, "account remove cms"),
        ("-d cms --confirm-yes", true, "account remove cms --yes"),
        (
            "cms --iss=https://x/ --pub",
            false,
            "account add cms --issuer=https://x/ --public-client",
        ),
        ("cms --issuer https://x/", false, "account add cms --issuer=https://x/"),
        ("cms --scope=a --scope=b", false, "account add cms --scope=a --scope=b"),
        ("cms --scope-max", false, "account add cms --scope=max"),
        ("cms --scope-all", false, "account add cms --scope=max"),
        ("cms --client-id=-x", false, "account add cms --client-id=-x"),
        ("-m cms --client-id=x", false, "account add cms --client-id=x"),
        ("cms --audience=u", false, "account add cms --aud=u"),
        ("cms --cnid=n7", false, "account add cms --client-name=oidc-agent:cms-n7"),
    ] {
        assert_eq!(becomes(line, exists).as_deref(), Ok(command), "{line}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_the_way_out() {
    for (line, says) in [
        ("cms -m", "iamctl account add NAME --client-id ID"),
        ("cms --manual --issuer=https://x/ -w device", "--client-id ID"),
        ("cms -w code", "--flow=device"),
        ("cms --op-username=al", "it is for --flow=password"),
        (
            "cms --iss=https://other/",
            "at https://x/; make one of another name:  iamctl account add NEW_NAME --issuer https://other/",
        ),
        (
            "cms --client-id=other",
            "iamctl account add NEW_NAME --issuer https://x/ --client-id other",
        ),
        ("cms --pub", "iamctl account add NEW_NAME --issuer https://x/ --public-client"),
        ("cms --cnid=n7", "iamctl account edit cms --client-name oidc-agent:cms-n7"),
        ("cms --scope-max", "iamctl account edit cms --scope max --login"),
        ("cms --scope=max", "iamctl account edit cms --scope max --login"),
        ("cms -w refresh", "--refresh-token-fd"),
        ("cms -w magic", "device and password only"),
        ("-d --confirm-yes", "has to be named"),
        ("--rename=x", "has to be named"),
    ] {
        let said = becomes(line, true).unwrap_err();
        assert!(said.contains(says), "{line}: {said}");
    }
}
