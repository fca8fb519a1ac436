//! What users hear whom a rule refuses something, and administrators whose rules have mistakes.

use super::*;

fn shows(when: &str, error: ServiceError) {
    crate::testing::shows("Policy", when, error);
}

/// A house with this answer for everybody.
fn ruled(answer: &str) -> House {
    House::ruled(&format!("[[rule]]\nfor = \"everybody\"\n{answer}\n"))
}

fn some(text: &str) -> Option<Vec<String>> {
    Some(text.split(' ').map(str::to_owned).collect())
}

#[tokio::test(start_paused = true)]
async fn an_issuer_or_a_way_to_sign_in() {
    let house = ruled("issuers = [\"cms\"]");
    shows("a rule names other issuers", told(house.login("").await));
    let house = House::with("[site]\ncontact = \"grid@example.org\"\n");
    house.rules("1", "[[rule]]\nfor = \"alice\"\nissuers = []\n");
    house.service.reload(By::ITSELF).unwrap();
    let login = house.login_with("", at("wlcg")).await;
    shows("a rule names no issuer, and site.contact whom to ask", told(login));
    let house = House::ruled("[[rule]]\nfor = \"@vo\"\nissuers = [\"cms\"]\n");
    house.name_service_dies(true);
    let login = house.login("").await;
    shows("a rule is for a group, and the name service does not answer", told(login));
    let house = ruled("flows = [\"password\"]");
    shows("a rule names other ways to sign in", told(house.login("").await));
    let house = ruled("flows = []");
    let mut handed = Handed::default();
    handed.add("refresh-token", "rt".to_owned().into());
    let options = AddOptions { client_id: Some("c".into()), ..AddOptions::default() };
    let added = house.service.add(&house.caller(ALICE), "wlcg", options, handed).await;
    shows("a refresh token is brought, and a rule names no way to sign in", told(added));
}

#[tokio::test(start_paused = true)]
async fn scopes_and_times() {
    let house = ruled("scopes = [\"storage.read:/home\"]");
    let named = LoginOptions { scopes: some("storage.read:/"), ..LoginOptions::default() };
    shows("a rule names other scopes", told(house.login_with("", named).await));
    house.signed_in_with_token();
    let token = house.token(TokenOptions::default()).await;
    shows("an account has a scope that a rule took away since", told(token));
    let house = ruled("longest_sign_in = \"1d\"");
    let key = house.signed_in_with_token();
    house.change(&key, |record| record.signed_in_at = Some(UnixTime(1)));
    let token = house.token(TokenOptions::default()).await;
    shows("the sign-in is older than longest_sign_in", told(token));
    let house = ruled("longest_min_valid = \"1h\"");
    house.signed_in_with_token();
    let long = TokenOptions { min_valid_seconds: Some(7200), ..TokenOptions::default() };
    shows("token --min-valid is more than longest_min_valid", told(house.token(long).await));
}

#[tokio::test(start_paused = true)]
async fn nobody_has_that_name() {
    let explained = House::new().service.explain_policy(By::ITSELF, "a b").await;
    shows("iamctl admin policy explain of what is no name", told(explained));
}

#[tokio::test]
async fn mistakes_in_rules() {
    let rule = |lines: &str| format!("[[rule]]\nfor = \"alice\"\n{lines}\n");
    let for_whom = |whom: &str| format!("[[rule]]\nfor = {whom}\nlogins = 1\n");
    for (when, text) in [
        ("a rule is for nobody", for_whom("[]")),
        ("a rule without whom it is for", "[[rule]]\nlogins = 1\n".to_owned()),
        ("a rule is for what is neither a user nor a group", for_whom("\"@\"")),
        ("a rule names somebody twice", for_whom("[\"alice\", \"alice\"]")),
        ("a rule names whom it is for without quotes", for_whom("[3]")),
        ("a rule says nothing", rule("")),
        ("a rule begins with one bracket", "[rule]\nfor = \"alice\"\n".to_owned()),
        ("rules in a list", "rule = [1]\n".to_owned()),
        ("a rule names an issuer that there is not", rule("issuers = [\"atlas\"]")),
        ("a rule with a '+' before some names", rule("issuers = [\"+cms\", \"wlcg\"]")),
        ("a rule names a way to sign in that there is not", rule("flows = \"implicit\"")),
        ("a rule with a time out of bounds", rule("longest_sign_in = \"1s\"")),
        ("a rule with a '*' inside of a scope", rule("scopes = [\"a*b\"]")),
        ("a rule with a '*' behind a path", rule("scopes = [\"storage.read:/a*\"]")),
        ("a rule with two scopes in one", rule("scopes = [\"a b\"]")),
        ("two rules contradict", rule("logins = 1") + &rule("logins = 2")),
        (
            "rules for two groups contradict for who is in both",
            for_whom("\"@a\"") + &for_whom("\"@b\"").replace('1', "2"),
        ),
    ] {
        let house = House::with("");
        house.rules("10", &text);
        reloaded(when, &house);
    }
    let house = House::with("[policy]\n");
    let main = house.dir.path().join("iamd.toml");
    std::fs::write(main, "[policy]\nscopes = [\"+openid\"]\n").unwrap();
    reloaded("a '+' in iamd.toml, where there is nothing to add to", &house);
    let house = House::with("");
    let dir = house.dir.path().join("policy.d");
    std::fs::remove_dir(&dir).unwrap();
    std::fs::write(dir, "").unwrap();
    reloaded("the directory of rules cannot be read", &house);
}

fn reloaded(when: &str, house: &House) {
    let mut error = told(house.service.reload(By::ITSELF));
    error.message = error.message.replace(house.dir.path().to_str().unwrap(), "/etc/iamd");
    crate::testing::shows("Configuration", when, error);
}
