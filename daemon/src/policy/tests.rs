//! Decisions as tables: rules, users, and what comes of them.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::config::{
    Sources,
    policy::{Clause, Place, Subject},
};

/// A configuration of `iamd.toml` and one file of rules, with the issuers wlcg and cms.
fn config(main: &str, rules: &str) -> Config {
    let dir = tempfile::tempdir().unwrap();
    for name in ["shipped", "policy.d"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    for name in ["wlcg", "cms"] {
        let text =
            format!("name = \"{name}\"\nurl = \"https://{name}.test/\"\nscopes = [\"openid\"]\n");
        std::fs::write(dir.path().join(format!("shipped/{name}.toml")), text).unwrap();
    }
    std::fs::write(dir.path().join("iamd.toml"), main).unwrap();
    std::fs::write(dir.path().join("policy.d/1.toml"), rules).unwrap();
    let at = |name: &str| dir.path().join(name);
    let sources = Sources {
        file: at("iamd.toml"),
        issuers: at("none"),
        shipped_issuers: at("shipped"),
        policy: at("policy.d"),
    };
    Config::load(&sources).unwrap_or_else(|error| panic!("{error}"))
}

fn who(user: &str, groups: &[(&str, bool)]) -> Who {
    let groups = groups.iter().map(|(group, is_in)| ((*group).to_owned(), *is_in)).collect();
    Who { user: user.into(), groups }
}

/// The decision, and the lines that decided.
fn say(config: &Config, who: &Who, question: Question<'_>) -> (bool, Vec<usize>) {
    let decision = decide(config, who, &question);
    let line = |origin: &Origin| match origin {
        Origin::At(place) => place.line,
        Origin::Default(..) => 0,
    };
    (decision.allowed, decision.decided_by.iter().map(line).collect())
}

#[test]
fn r58_r59_only_listed_services_and_ordinary_users_get_a_session() {
    let config = config("", "");
    let alice = who("alice", &[]);
    assert!(serves(&config, 1000, &alice, "sshd"));
    assert!(!serves(&config, 0, &alice, "sshd"));
    assert!(!serves(&config, 999, &alice, "login"));
    for service in ["sudo", "su", "cron", "systemd-user", "polkit-1", ""] {
        assert!(!serves(&config, 1000, &alice, service), "{service}");
    }
}

#[test]
fn an_issuer_that_is_not_listed_needs_https_and_the_sites_leave() {
    let named = |main: &str, text| issuer(&config(main, ""), Some(text), Some(1001));
    let custom = "[issuers]\ncustom = true\n";
    assert!(named("", "wlcg").unwrap().listed);
    assert!(named("", "https://wlcg.test").unwrap().listed);
    assert_eq!(
        named("", "https://other.example/"),
        Err(IssuerRefusal::NotAllowed("https://other.example/".into()))
    );
    assert!(!named(custom, "https://other.example/").unwrap().listed);
    assert_eq!(named(custom, "vo"), Err(IssuerRefusal::Unknown("vo".into())));
    for bad in [
        "http://other.example/",
        "https://u:p@x/",
        "https://x/?q",
        "https://x/#f",
        "https://x:22/",
        "https://x:1023/",
        "://",
    ] {
        assert!(matches!(named(custom, bad), Err(IssuerRefusal::Malformed(..))), "{bad}");
    }
    for good in ["https://x:443/", "https://x:1024/", "https://x:8443/"] {
        let profile = named(custom, good).unwrap();
        assert!(!profile.listed && profile.user == Some(1001), "{good}");
    }
    assert_eq!(issuer(&config(custom, ""), None, None), Err(IssuerRefusal::NoDefault));
    let rule = "[[rule]]\nfor = \"alice\"\ncustom_issuers = true\n";
    let config = config("", rule);
    assert!(!issuer(&config, Some("https://other.example/"), None).unwrap().listed);
    assert!(decide(&config, &who("alice", &[]), &Question::CustomIssuer).allowed);
    assert!(!decide(&config, &who("bob", &[]), &Question::CustomIssuer).allowed);
}

const RULES: &str = "\
[[rule]]
for = \"everybody\"
issuers = [\"wlcg\"]
accounts = 8

[[rule]]
for = \"@staff\"
accounts = 20
show_secrets = true

[[rule]]
for = \"@students\"
priority = 1
accounts = 2
show_secrets = false

[[rule]]
for = [\"@cms\", \"dave\"]
issuers = [\"+cms\"]

[[rule]]
for = \"carol\"
accounts = 3
issuers = [\"cms\"]
services = [\"sshd\", \"xrdp\"]
";

#[test]
fn the_narrower_circle_goes_before_and_each_decision_knows_its_line() {
    let config = config("[limits]\nlogins = 4\n", RULES);
    let no = [("staff", false), ("students", false), ("cms", false)];
    let with = |user, groups: &[(&str, bool)]| {
        let mut all: Vec<(&str, bool)> = no.to_vec();
        all.extend(groups);
        who(user, &all)
    };
    let staff = ("staff", true);
    let students = ("students", true);
    let cms = ("cms", true);
    let accounts = |who: &Who| {
        let (most, by) = most(&config, who, Key::Accounts);
        let [Origin::At(place)] = &by[..] else { panic!("{by:?}") };
        (most, place.line)
    };
    for (user, groups, expected) in [
        ("bob", vec![], (8, 4)),
        ("bob", vec![staff], (20, 8)),
        ("bob", vec![students], (2, 14)),
        ("bob", vec![staff, students], (2, 14)),
        ("carol", vec![], (3, 23)),
        ("carol", vec![staff, students], (3, 23)),
    ] {
        assert_eq!(accounts(&with(user, &groups)), expected, "{user} {groups:?}");
    }
    assert_eq!(most(&config, &with("carol", &[]), Key::Logins).0, 4);
    assert_eq!(most(&config, &with("carol", &[]), Key::Requests).0, 64);

    let issuer = |who: &Who, name| say(&config, who, Question::Issuer(name));
    for (user, groups, wlcg, of_cms) in [
        ("bob", vec![], (true, vec![3]), (false, vec![3])),
        ("bob", vec![cms], (true, vec![3]), (true, vec![19])),
        ("dave", vec![], (true, vec![3]), (true, vec![19])),
        ("carol", vec![cms], (false, vec![24]), (true, vec![24])),
    ] {
        let who = with(user, &groups);
        assert_eq!(issuer(&who, "wlcg"), wlcg, "{user} {groups:?}");
        assert_eq!(issuer(&who, "cms"), of_cms, "{user} {groups:?}");
    }
    let secrets = |who: &Who| say(&config, who, Question::ShowSecrets);
    assert_eq!(secrets(&with("bob", &[])), (false, vec![0]));
    assert_eq!(secrets(&with("bob", &[staff])), (true, vec![9]));
    assert_eq!(secrets(&with("bob", &[staff, students])), (false, vec![15]));
    assert!(serves(&config, 1000, &with("carol", &[]), "xrdp"));
    assert!(!serves(&config, 1000, &with("carol", &[]), "login"));
    assert!(!serves(&config, 1000, &with("bob", &[]), "xrdp"));
    assert_eq!(services(&config), ["login", "sshd", "xrdp"]);
    assert_eq!(issuers(&config, &with("bob", &[cms])), ["cms", "wlcg"]);
}

#[test]
fn scopes_are_compared_as_paths_and_patterns() {
    let rules = "[[rule]]\nfor = \"everybody\"\nscopes = [\"storage.read:/atlas\", \"wlcg*\", \
                 \"compute.read\"]\n";
    let config = config("", rules);
    let may = |scope| decide(&config, &who("a", &[]), &Question::Scope(scope)).allowed;
    for scope in [
        "storage.read:/atlas",
        "storage.read:/atlas/x",
        "wlcg",
        "wlcg.groups:/x",
        "compute.read",
        "openid",
        "offline_access",
    ] {
        assert!(may(scope), "{scope}");
    }
    for scope in
        ["storage.read:/", "storage.read:/atlasx", "storage.modify:/atlas", "profile", "compute"]
    {
        assert!(!may(scope), "{scope}");
    }
}

#[test]
fn lifetimes_are_bounds_and_unlimited_lifts_them() {
    let rules = "[[rule]]\nfor = \"everybody\"\nlongest_sign_in = \"1d\"\n\
                 longest_min_valid = \"1h\"\n[[rule]]\nfor = \"robot\"\n\
                 longest_sign_in = \"unlimited\"\n";
    let config = config("", rules);
    let (alice, robot) = (who("alice", &[]), who("robot", &[]));
    let age = |who, seconds| {
        decide(&config, who, &Question::SignInOfAge(std::time::Duration::from_secs(seconds)))
            .allowed
    };
    assert!(age(&alice, 86_400) && !age(&alice, 86_401) && age(&robot, 1 << 40));
    let valid = |seconds| Question::MinValid(std::time::Duration::from_secs(seconds));
    assert_eq!(say(&config, &robot, valid(3600)), (true, vec![4]));
    assert_eq!(say(&config, &robot, valid(3601)), (false, vec![4]));
    assert_eq!(longest(&config, &robot, Key::LongestSignIn), None);
}

#[test]
fn what_the_name_service_does_not_say_allows_less_and_never_more() {
    let config = config("", RULES);
    let unknown = who("bob", &[]);
    // May be of the students, may be of the staff: the less of what there is.
    assert_eq!(most(&config, &unknown, Key::Accounts).0, 2);
    let decision = decide(&config, &unknown, &Question::ShowSecrets);
    assert!(!decision.allowed);
    let groups: Vec<_> = decision.doubt.iter().map(|doubt| doubt.group.as_str()).collect();
    assert_eq!(groups, ["staff", "students"]);
    let decision = decide(&config, &unknown, &Question::Issuer("cms"));
    assert!(!decision.allowed && decision.doubt.len() == 1);
    // What is allowed whatever they are in is no matter of doubt.
    let decision = decide(&config, &unknown, &Question::Issuer("wlcg"));
    assert!(decision.allowed && decision.doubt.is_empty());
    // And a rule for the user goes before all groups.
    let decision = decide(&config, &who("carol", &[]), &Question::Issuer("wlcg"));
    assert!(!decision.allowed && decision.doubt.is_empty());
    assert_eq!(most(&config, &who("carol", &[]), Key::Accounts).0, 3);
}

#[test]
fn a_doubt_that_cannot_change_the_answer_is_none() {
    let rules = "[[rule]]\nfor = \"@gone\"\nservices = [\"+jupyter\"]\n\
                 scopes = [\"+compute.read\"]\nlongest_sign_in = \"1d\"\n";
    let config = config("[policy]\nscopes = [\"storage.read:/\"]\n", rules);
    let alice = who("alice", &[]);
    for service in ["cron", "su", "sudo"] {
        assert!(!serves(&config, 1000, &alice, service), "{service}");
    }
    assert!(serves(&config, 1000, &alice, "jupyter"));
    let doubts = |question| decide(&config, &alice, &question).doubt.len();
    assert_eq!(doubts(Question::Scope("storage.modify:/")), 0);
    assert_eq!(doubts(Question::Scope("compute.read")), 1);
    let days = |days: u64| Question::SignInOfAge(std::time::Duration::from_secs(days * 86_400));
    assert_eq!((doubts(days(1)), doubts(days(2))), (0, 1));
}

#[test]
fn no_group_is_taken_to_be_in_and_out_at_once() {
    // Who is in @gone has the one list, who is not has the other; cms is in neither.
    let rules = "[[rule]]\nfor = \"@gone\"\nissuers = [\"+cms\"]\n\
                 [[rule]]\nfor = \"@gone\"\npriority = 1\nissuers = [\"wlcg\"]\n";
    let config = config("[issuers]\nallow = [\"wlcg\"]\n", rules);
    let decision = decide(&config, &who("alice", &[]), &Question::Issuer("cms"));
    assert_eq!((decision.allowed, decision.doubt), (false, vec![]));
}

#[test]
fn a_session_is_a_session_until_the_name_service_says_otherwise() {
    let rules = "[[rule]]\nfor = \"@guests\"\nservices = [\"login\"]\n";
    let config = config("", rules);
    assert!(serves(&config, 1000, &who("a", &[]), "sshd"));
    assert!(serves(&config, 1000, &who("a", &[("guests", false)]), "sshd"));
    assert!(!serves(&config, 1000, &who("a", &[("guests", true)]), "sshd"));
}

#[test]
fn an_explanation_says_what_holds_and_which_line_decided() {
    let config = config("[limits]\nlogins = 4\n", RULES);
    let groups = [("staff", true), ("students", false), ("cms", true)];
    let lines = explain::user(&config, &who("bob", &groups), Some(1000));
    let of = |key: Key| lines.iter().find(|line| line.key == key).unwrap();
    assert_eq!(lines.len(), Key::ALL.len());
    assert_eq!(of(Key::Accounts).text, "may have 20 accounts");
    assert_eq!(of(Key::Issuers).text, "may use the issuers cms, wlcg");
    let by: Vec<_> = of(Key::Issuers).decided_by.iter().map(ToString::to_string).collect();
    assert!(by[0].ends_with("/policy.d/1.toml:3") && by[1].ends_with("/policy.d/1.toml:19"));
    assert!(of(Key::Logins).decided_by[0].to_string().ends_with("/iamd.toml:2"));
    assert_eq!(of(Key::Requests).decided_by[0].to_string(), "default of limits.requests");
    let doubtful = explain::user(&config, &who("bob", &[]), None);
    let accounts = doubtful.iter().find(|line| line.key == Key::Accounts).unwrap();
    assert_eq!(accounts.doubt.len(), 2, "{accounts:?}");
    let all = explain::site(&config);
    assert_eq!(all.len(), Key::ALL.len() + config.policy.clauses.len());
    assert_eq!(all[0].text, "may use every issuer that has a file");
    let whom: BTreeSet<_> = all.iter().map(|line| line.whom.as_str()).collect();
    assert!(whom.contains("@students (priority 1)") && whom.contains("dave"), "{whom:?}");
}

#[test]
fn two_rules_of_one_rank_that_say_the_same_are_both_named() {
    let rule = |whom| format!("[[rule]]\nfor = \"@{whom}\"\nflows = [\"device\"]\nlogins = 2\n");
    let config = config("", &format!("{}{}{}", rule("a"), rule("b"), rule("c")));
    let known = who("x", &[("a", true), ("b", false), ("c", true)]);
    assert_eq!(most(&config, &known, Key::Logins).1.len(), 2);
    assert_eq!(say(&config, &known, Question::Flow(Flow::Device)), (true, vec![3, 11]));
    assert_eq!(say(&config, &known, Question::Flow(Flow::Password)), (false, vec![3, 11]));
    // The one does not take away what the other says, nor a doubt between them.
    let doubtful = who("x", &[("a", true), ("c", true)]);
    assert_eq!(say(&config, &doubtful, Question::Flow(Flow::Device)), (true, vec![3, 11]));
    assert!(decide(&config, &doubtful, &Question::Flow(Flow::Password)).doubt.is_empty());
}

#[test]
fn every_answer_has_a_sentence() {
    let item = |adds, items: &[&str]| Value::Names {
        adds,
        items: items.iter().map(|item| (*item).to_owned()).collect(),
    };
    for key in Key::ALL {
        let values = match config("", "").site_wide(key) {
            Value::Flag(_) => vec![Value::Flag(true), Value::Flag(false)],
            Value::Number(_) => vec![Value::Number(3)],
            Value::Span(_) => {
                let day = std::time::Duration::from_secs(86_400);
                vec![Value::Span(None), Value::Span(Some(day))]
            }
            Value::Names { .. } => {
                vec![item(false, &["*"]), item(false, &[]), item(true, &["device"])]
            }
        };
        let sentences: BTreeSet<_> =
            values.iter().map(|value| explain::sentence(key, value)).collect();
        assert_eq!(sentences.len(), values.len(), "{sentences:?}");
        for text in sentences {
            assert!(!text.contains(" = "), "{text}");
        }
    }
}

/// Another way to the same answer: of all clauses that may be for the user, the widest first.
fn plainly(config: &Config, who: &Who, scope: &str) -> bool {
    let mut mine: Vec<&Clause> = config
        .policy
        .clauses
        .iter()
        .filter(|clause| match &clause.subject {
            Subject::Everybody => true,
            Subject::User(name) => *name == who.user,
            Subject::Group(group) => who.groups[group],
        })
        .collect();
    mine.sort_by_key(|clause| clause.rank());
    let whole =
        mine.iter().rposition(|clause| matches!(clause.value, Value::Names { adds: false, .. }));
    let from = whole.unwrap_or(0);
    let mut names: BTreeSet<String> = mine[from..]
        .iter()
        .filter_map(|clause| match &clause.value {
            Value::Names { items, .. } => Some(items.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    if whole.is_none() {
        names.insert("*".into());
    }
    names.contains("*") || names.contains(scope)
}

fn clauses() -> impl Strategy<Value = Vec<Clause>> {
    let subject = prop_oneof![
        Just(Subject::Everybody),
        "[gh]".prop_map(Subject::Group),
        "[ab]".prop_map(Subject::User),
    ];
    let value = ("[xyz]{0,3}", any::<bool>()).prop_map(|(names, adds)| Value::Names {
        adds,
        items: names.chars().map(String::from).collect(),
    });
    // A priority of its own each, so that none contradicts another.
    prop::collection::vec((subject, value), 0..8).prop_map(|clauses| {
        let numbered = clauses.into_iter().zip(1..);
        numbered
            .map(|((subject, value), number)| Clause {
                subject,
                priority: number,
                key: Key::Scopes,
                value,
                place: Place { file: "rules".into(), line: number as usize },
            })
            .collect()
    })
}

fn groups() -> impl Strategy<Value = Vec<Option<bool>>> {
    prop::collection::vec(prop::option::of(any::<bool>()), 2)
}

proptest! {
    #[test]
    fn explanation_and_enforcement_agree_and_a_doubt_is_where_answers_would_differ(
        clauses in clauses(),
        groups in groups(),
        user in "[abc]",
    ) {
        let mut config = config("", "");
        config.policy.clauses = clauses;
        let named = |known: &[Option<bool>]| -> Who {
            let of = ["g", "h"].into_iter().zip(known);
            let groups = of.filter_map(|(group, is)| Some((group.to_owned(), (*is)?))).collect();
            Who { user: user.clone(), groups }
        };
        let asker = named(&groups);
        let lines = explain::user(&config, &asker, None);
        let told = lines.iter().find(|line| line.key == Key::Scopes).unwrap();
        let settled = |known: &[Option<bool>], answer: usize| -> Vec<Option<bool>> {
            known.iter().enumerate().map(|(i, is)| is.or(Some(answer >> i & 1 == 1))).collect()
        };
        for scope in ["x", "y", "z"] {
            let decision = decide(&config, &asker, &Question::Scope(scope));
            let explained = told.values.iter().any(|value| value == "*" || value == scope);
            prop_assert_eq!(decision.allowed, explained, "{:?} {:?}", scope, told);
            prop_assert!(decision.decided_by.iter().all(|by| told.decided_by.contains(by)));
            let every = (0..4).all(|answer| plainly(&config, &named(&settled(&groups, answer)), scope));
            prop_assert!(!decision.allowed || every, "{:?}", scope);
            if groups.iter().all(Option::is_some) {
                prop_assert_eq!(decision.allowed, every, "{:?}", scope);
            }
            let some = (0..4).any(|answer| plainly(&config, &named(&settled(&groups, answer)), scope));
            // A no is in doubt where an answer of the name service makes it a yes, and only there.
            prop_assert_eq!(!decision.doubt.is_empty(), some && !decision.allowed, "{:?}", scope);
        }
    }
}

#[test]
fn a_listed_issuer_is_itself_in_every_spelling_of_its_url() {
    let config = config("[issuers]\ncustom = true\n", "");
    for named in [
        "https://cms.test",
        "https://cms.test/",
        "https://CMS.test/",
        "https://cms.test:443/",
        "https://cms.test//",
        "https://cms.test/.",
        "https://cms.test./",
        "HTTPS://cms.test/a/..",
    ] {
        let found = issuer(&config, Some(named), None).unwrap();
        assert!(found.listed && found.name == "cms", "{named}: {found:?}");
    }
    assert!(!issuer(&config, Some("https://cms.test/b"), None).unwrap().listed);
    for odd in ["https://other.test//", "https://other.test/a//b", "https://other.test./"] {
        assert!(
            matches!(issuer(&config, Some(odd), None), Err(IssuerRefusal::Malformed(..))),
            "{odd}"
        );
    }
}
