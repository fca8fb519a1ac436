//! Rules as tables: who is let in, and what is said of the others.

use serde_json::json;

use super::*;

fn alice() -> Owner {
    Owner { uid: 1001, user: "alice".into() }
}

fn rule(claim: &str, expect: Expect) -> IdentityRule {
    IdentityRule { claim: claim.into(), expect, scopes: ScopeSet::default() }
}

fn judge(owner: &Owner, claim: &str, expect: Expect, claims: Value) -> Result<(), Mismatch> {
    let rule = rule(claim, expect);
    rule.admits(owner, &rule.values_in(claims.as_object().unwrap()))
}

const ANOTHER: Result<(), Mismatch> = Err(Mismatch::Another);
const MISSING: Result<(), Mismatch> = Err(Mismatch::Missing);

#[test]
fn a_value_must_equal_the_text_with_the_users_name_or_uid_in_it() {
    for (text, value, expected) in [
        ("{user}", json!("alice"), Ok(())),
        ("{user}", json!("Alice"), ANOTHER),
        ("{user}", json!("alice "), ANOTHER),
        ("{user}", json!("alic"), ANOTHER),
        ("{user}@cern.ch", json!("alice@cern.ch"), Ok(())),
        ("{user}@cern.ch", json!("alice@cernXch"), ANOTHER),
        ("{uid}", json!("1001"), Ok(())),
        ("{uid}", json!(1001), Ok(())),
        ("{uid}", json!(1001.0), MISSING),
        ("{uid}", json!(-1001), ANOTHER),
        ("{user}", json!(true), MISSING),
        ("{user}", json!(null), MISSING),
        ("{user}", json!(""), MISSING),
        ("{user}", json!({ "alice": "alice" }), MISSING),
        // Any of a list.
        ("{user}", json!(["bob", "alice"]), Ok(())),
        ("{user}", json!(["bob", "carol"]), ANOTHER),
        ("{user}", json!([]), MISSING),
        ("{user}", json!([["alice"]]), MISSING),
        ("/cms", json!(["/cms", "/cms/pilot"]), Ok(())),
        ("/cms", json!(["/cms/pilot"]), ANOTHER),
    ] {
        let expect = Expect::Equal(text.into());
        let said = judge(&alice(), "c", expect, json!({ "c": value }));
        assert_eq!(said, expected, "{text} of {value}");
    }
    assert_eq!(judge(&alice(), "c", Expect::Equal("{user}".into()), json!({})), MISSING);
}

#[test]
fn a_name_that_looks_like_a_place_or_an_expression_is_only_a_name() {
    let odd = Owner { uid: 7, user: "{uid}".into() };
    assert_eq!(judge(&odd, "c", Expect::Equal("{user}".into()), json!({ "c": "7" })), ANOTHER);
    assert_eq!(judge(&odd, "c", Expect::Equal("{user}".into()), json!({ "c": "{uid}" })), Ok(()));
    let dots = Owner { uid: 7, user: "a.c|x*".into() };
    let pattern = || Expect::Match("{user}@x".into());
    for (value, expected) in
        [("a.c|x*@x", Ok(())), ("abc@x", ANOTHER), ("xx@x", ANOTHER), ("a.c", ANOTHER)]
    {
        assert_eq!(judge(&dots, "c", pattern(), json!({ "c": value })), expected, "{value}");
    }
}

#[test]
fn an_expression_is_anchored_at_both_ends_whatever_is_in_it() {
    for (pattern, value, expected) in [
        ("{user}(@.*)?", "alice@cern.ch", Ok(())),
        ("{user}(@.*)?", "alice", Ok(())),
        ("{user}", "malice", ANOTHER),
        ("{user}", "alice2", ANOTHER),
        ("{user}", "alice\n", ANOTHER),
        ("{user}|root", "rooty", ANOTHER),
        ("x|{user}", "xalice", ANOTHER),
        ("(?i){user}", "ALICE", Ok(())),
        ("(?m)^{user}$", "bob\nalice", ANOTHER),
        ("{user}{2}", "alicealice", Ok(())),
        ("u{uid}", "u1001", Ok(())),
        (r"/cms(/\w+)*", "/cms/pilot", Ok(())),
    ] {
        let said = judge(&alice(), "c", Expect::Match(pattern.into()), json!({ "c": value }));
        assert_eq!(said, expected, "{pattern} of {value:?}");
    }
}

#[test]
fn a_map_says_which_value_is_which_user() {
    let map = [("4711", "alice"), ("4712", "bob"), ("4713", "alice"), ("4713", "bob")];
    let mut values = IdentityMap::default();
    for (value, user) in map {
        values.0.entry(value.into()).or_default().insert(user.into());
    }
    let values = Arc::new(values);
    let expect = || Expect::Mapped(Arc::clone(&values));
    for (value, expected) in
        [("4711", Ok(())), ("4713", Ok(())), ("4712", ANOTHER), ("alice", ANOTHER)]
    {
        assert_eq!(judge(&alice(), "sub", expect(), json!({ "sub": value })), expected, "{value}");
    }
}

#[test]
fn a_claim_is_found_by_its_whole_name_first_and_then_inside_objects() {
    let claims = json!({
        "wlcg.groups": ["/cms"],
        "wlcg": { "groups": ["/atlas"], "ver": "1.0" },
        "resource_access": { "site": { "roles": [{ "name": "a" }, { "name": ["b"] }, "c"] } },
        "a.b": { "c.d": "deep" },
        "flat": "x",
    });
    for (path, values) in [
        ("wlcg.groups", vec!["/cms"]),
        ("wlcg.ver", vec!["1.0"]),
        ("resource_access.site.roles.name", vec!["a", "b"]),
        ("resource_access.site.roles", vec!["c"]),
        ("a.b.c.d", vec!["deep"]),
        ("flat.x", vec![]),
        ("", vec![]),
        (".", vec![]),
        ("a.b.", vec![]),
    ] {
        let found = rule(path, Expect::Equal("x".into())).values_in(claims.as_object().unwrap());
        assert_eq!(found, ClaimValues::new(values), "{path}");
    }
}

#[test]
fn what_a_site_writes_is_checked_before_anybody_signs_in() {
    for good in ["{user}", "{uid}@x", "/cms", "a b"] {
        check_text(good).unwrap();
    }
    for bad in ["", "{usr}", "{user", "user}", "a\nb", "{{user}}"] {
        check_text(bad).unwrap_err();
    }
    for good in ["{user}", r"{user}@[a-z.]+", "{user}{2,3}", "(?i){uid}", r"\p{L}+"] {
        check_expression(good).unwrap();
    }
    for bad in
        ["(", "[{user}]", "[a{uid}]", "{users}", "a)|(b", "x{1000}{1000}{1000}", "(?x){user}#"]
    {
        let said = check_expression(bad).unwrap_err();
        assert!(!said.contains('\n'), "{said}");
    }
}

#[test]
fn a_refusal_tells_the_rule_and_nothing_of_the_other_person() {
    let expect = Expect::Equal("{user}".into());
    let rule = rule("preferred_username", expect);
    let said = rule.refusal("WLCG", &alice(), Mismatch::Another);
    assert_eq!(
        said,
        "for alice, this site requires at WLCG that preferred_username is alice; \
         the one who signed in is somebody else"
    );
    assert!(rule.refusal("WLCG", &alice(), Mismatch::Missing).ends_with("did not say it"));
    assert_eq!(rule.told(), "preferred_username is {user}");
    let values = rule.values_in(json!({ "preferred_username": "mallory" }).as_object().unwrap());
    assert!(!format!("{values:?}").contains("mallory"));
}
