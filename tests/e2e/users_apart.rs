//! A user cannot read, list, cancel, observe or guess another's accounts, tokens, logins or
//! sessions; and what only administrators may do, only they can.

use std::time::Duration;

use iamd_tests::{
    Error, Issuer, IssuerSpec, Node, Product, Session, World, eventually, token_file, uid,
};

use serde_json::Value;

use crate::case::{Case, Outcome};
use crate::cases;
use crate::people::{BUS, bus, json, put_bus_client, sign_in_as, start_login};

pub fn cases() -> Vec<Case> {
    cases![
        no_method_tells_whether_another_user_has_an_account_or_a_login,
        a_login_of_another_user_is_neither_seen_nor_cancelled,
        listings_show_nothing_of_another_user,
        no_file_of_the_daemon_or_of_another_user_can_be_read_or_listed,
        nobody_sees_who_has_an_account_how_many_or_when_one_is_renewed,
        the_pam_socket_refuses_everybody_but_root,
        nobody_hears_of_another_users_accounts_on_the_bus,
        the_bus_name_cannot_be_owned_by_a_user,
        the_daemons_process_shows_nothing_to_users,
        administration_needs_polkits_leave,
    ]
}

/// A node of this module's own: its polkit is changed, and its daemon has only these users.
pub struct Apart {
    pub node: Node,
    pub issuer: Issuer,
}

pub fn apart(world: &World) -> Result<Apart, Error> {
    let issuer = world.start_issuer(IssuerSpec::new("apart.test"))?;
    let node = world.boot(Product::new(&issuer).on(world.spec("apart")))?;
    put_bus_client(&node)?;
    Ok(Apart { node, issuer })
}

/// Every method that takes the name of an account and fails where there is none, as words of the
/// D-Bus client.
const NAMING: [&str; 14] = [
    "call org.iamd1.Tokens GetToken 'sa{sv}'",
    "call org.iamd1.Accounts Show s",
    "call org.iamd1.Accounts LoginState su",
    "call org.iamd1.Accounts CancelLogin s",
    "call org.iamd1.Accounts Logout s",
    "call org.iamd1.Accounts Edit 'sa{sv}'",
    "call org.iamd1.Accounts Rename ss",
    "call org.iamd1.Accounts SetDefault s",
    "call org.iamd1.Accounts Remove 'sa{sv}'",
    "call org.iamd1.Accounts Secrets s",
    "call org.iamd1.Accounts Lock s",
    "call org.iamd1.Accounts Unlock 'sa{sv}h'",
    "call org.iamd1.Accounts SetPassphrase 'sa{sh}'",
    "call org.iamd1.Accounts LoginWithPassword 'sa{sv}a{sh}'",
];

/// The arguments behind a method of [`NAMING`].
fn asking(method: &str, name: &str) -> String {
    let more = match method {
        _ if method.contains("LoginState") => " 10",
        _ if method.contains("Rename") => " another",
        _ if method.contains("Unlock") => " 12345678",
        _ if method.contains("SetPassphrase") => " new_passphrase=12345678",
        _ if method.contains("LoginWithPassword") => " -",
        _ => "",
    };
    format!("{method} {name}{more}")
}

fn no_method_tells_whether_another_user_has_an_account_or_a_login(world: &World) -> Outcome {
    let place = world.place(apart)?;
    let node = &place.node;
    let (alice, bob) = (world.user()?, world.user()?);
    sign_in_as(node, &place.issuer, &alice, "thesis", "test")?;
    start_login(node, &alice, "waiting", "test")?;
    for own in [false, true] {
        if own {
            // Again with an account of bob's own, as the answers then come another way.
            sign_in_as(node, &place.issuer, &bob, "mine", "test")?;
        }
        for method in NAMING {
            let none = bus(node, &bob, &asking(method, "nobodys"))?;
            assert!(none.starts_with("error org.iamd1.Error."), "{method}: {none}");
            for name in ["thesis", "waiting"] {
                let answer = bus(node, &bob, &asking(method, name))?;
                assert_eq!(answer.replace(name, "nobodys"), none, "{method} {name}, own: {own}");
            }
        }
    }
    // What takes a secret comes by the command.
    for words in ["unlock", "passphrase"] {
        let said = |name: &str| -> Result<_, Error> {
            let command = format!("iamctl account {words} {name} --passphrase-fd 3 3<<<12345678");
            let said = node.exec_as(&bob, &format!("bash -c '{command}'"))?;
            Ok((said.code, said.errors().replace(name, "NAME")))
        };
        let none = said("nobodys")?;
        assert_ne!(none.0, 0, "{words}: {none:?}");
        for name in ["thesis", "waiting"] {
            assert_eq!(said(name)?, none, "{words} {name}");
        }
    }
    for more in ["", " --issuer unknown"] {
        let none = login_as(node, &bob, "nobodys", more)?;
        for name in ["thesis", "waiting"] {
            assert_eq!(login_as(node, &bob, name, more)?, none, "login {name}{more}");
        }
    }
    // An account of the same name is made as of any other; the names are equally long, as lengths
    // are in the answer.
    let add = |name: &str| -> Result<String, Error> {
        let added =
            bus(node, &bob, &format!("call org.iamd1.Accounts Add 'sa{{sv}}a{{sh}}' {name} -"))?;
        let removed = bus(node, &bob, &asking("call org.iamd1.Accounts Remove 'sa{sv}'", name))?;
        Ok(format!("{added}\n{removed}").replace(name, "NAME"))
    };
    for (theirs, nobodys) in [("thesis", "nobody"), ("waiting", "nobodys")] {
        let none = add(nobodys)?;
        assert!(none.starts_with("ok") && none.contains("\nok"), "{none}");
        assert_eq!(add(theirs)?, none, "add {theirs}");
    }
    let token = node.exec_as(&alice, "iamctl token thesis")?.ok()?.line();
    assert_eq!(place.issuer.verify(&token)?["aud"], "https://wlcg.cern.ch/jwt/v1/any");
    let waiting = bus(node, &alice, &asking(NAMING[2], "waiting"))?;
    assert!(waiting.contains("pending"), "{waiting}");
    Ok(())
}

/// What a login that is begun, or refused, says to `user`, without what is another one each time.
fn login_as(node: &Node, user: &str, name: &str, more: &str) -> Result<(i32, String), Error> {
    let said = node.exec_as(user, &format!("iamctl login {name}{more} --no-wait --json"))?;
    bus(node, user, &format!("call org.iamd1.Accounts CancelLogin s {name}"))?;
    let mut text = said.text().replace(name, "NAME") + &said.errors();
    let reply: Value = serde_json::from_str(said.text().lines().last().unwrap_or_default())
        .map_err(|error| Error::Wrong(format!("{error}: {said:?}")))?;
    for member in ["user_code", "expires_at"] {
        text = text.replace(&reply[member].to_string(), "");
        text = text.replace(reply[member].as_str().unwrap_or("\0"), "");
    }
    Ok((said.code, text))
}

fn a_login_of_another_user_is_neither_seen_nor_cancelled(world: &World) -> Outcome {
    let place = world.place(apart)?;
    let node = &place.node;
    let (alice, bob) = (world.user()?, world.user()?);
    let (uri, code) = start_login(node, &alice, "shared", "test")?;
    // The same name is another login with another code.
    let (_, other) = start_login(node, &bob, "shared", "test")?;
    assert_ne!(code, other);
    let seen = bus(node, &bob, "call org.iamd1.Accounts LoginState su shared 10")?;
    assert!(seen.contains(&other) && !seen.contains(&code), "{seen}");
    let cancelled = bus(node, &bob, "call org.iamd1.Accounts CancelLogin s shared")?;
    assert_eq!(cancelled, "ok");
    place.issuer.approve(&uri, &code, &alice)?;
    crate::people::wait_for_state(node, &alice, "shared", "signed-in", Duration::from_secs(10))?;
    assert_ne!(node.exec_as(&bob, "iamctl token shared")?.code, 0);
    Ok(())
}

fn listings_show_nothing_of_another_user(world: &World) -> Outcome {
    let place = world.place(apart)?;
    let node = &place.node;
    let (alice, bob) = (world.user()?, world.user()?);
    let _session = node.ssh(&alice).pty().open(None)?;
    sign_in_as(node, &place.issuer, &alice, "dissertation", "test")?;
    for method in ["List", "Status", "Diagnose", "Issuers"] {
        let seen = bus(node, &bob, &format!("call org.iamd1.Accounts {method} ''"))?;
        let uid = uid(&alice)?.to_string();
        for word in [alice.as_str(), "dissertation", uid.as_str()] {
            assert!(!seen.contains(word), "{method} shows {word}: {seen}");
        }
    }
    let status = json(node, &bob, "iamctl status --json")?;
    assert_eq!((&status["sessions"], &status["accounts"]), (&0.into(), &serde_json::json!([])));
    let before = bus(node, &bob, "call org.freedesktop.DBus.Introspectable Introspect ''")?;
    assert!(before.contains("GetToken") && !before.contains("dissertation"), "{before}");
    let tree = node.exec_as(&bob, "busctl --system --list tree org.iamd1")?.ok()?.line();
    let paths: Vec<&str> = tree.lines().filter(|line| line.starts_with('/')).collect();
    assert_eq!(paths, ["/", "/org", "/org/iamd1"], "one object, the same for everybody");
    Ok(())
}

fn no_file_of_the_daemon_or_of_another_user_can_be_read_or_listed(world: &World) -> Outcome {
    let place = world.place(apart)?;
    let node = &place.node;
    let (alice, bob) = (world.user()?, world.user()?);
    let _session: Session = iamd_tests::sign_in(node, &place.issuer, &alice)?;
    let (file, uid) = (token_file(&alice)?, uid(&alice)?);
    node.exec_as(&alice, &format!("test -s {file}"))?.ok()?;
    let dir = format!("/run/iamd/users/{uid}");
    for line in [
        format!("cat {file}"),
        format!("stat {file}"),
        format!("ls {dir}/"),
        format!("stat {dir}/"),
        format!("stat /run/iamd/users/.{uid}/files"),
        format!("touch {dir}/mine"),
        format!("cat /run/user/{uid}/bt_u{uid}"),
        "ls /run/iamd".into(),
        "ls /run/iamd/users".into(),
        "ls /run/iamd/sessions".into(),
        "cat /run/iamd/sessions/*".into(),
        "ls /var/lib/iamd".into(),
        "cat /var/lib/iamd/iamd.db".into(),
        "cat /var/lib/iamd/keyring".into(),
        "touch /run/iamd/mine".into(),
        "touch /run/iamd/users/mine".into(),
        "mkdir /run/iamd/users/4242".into(),
        "mv /run/iamd/users /run/iamd/away".into(),
        "ls /run/credentials/iamd.service".into(),
    ] {
        let said = node.exec_as(&bob, &line)?;
        assert_ne!(said.code, 0, "{line}: {said:?}");
    }
    let modes = "stat -c '%n %U %a' /run/iamd /run/iamd/users /run/iamd/sessions \
                 /run/iamd/pam.sock /var/lib/iamd /var/lib/iamd/*";
    for line in node.root_says(modes)?.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [path, owner, mode] = words[..] else { return Err(line.into()) };
        assert_eq!(owner, "root", "{line}");
        // Passed through on the way to one's own directory, and that is all.
        let most = if matches!(path, "/run/iamd" | "/run/iamd/users") { 0o011 } else { 0 };
        let mode = u32::from_str_radix(mode, 8)?;
        assert_eq!(mode & 0o077 & !most, 0, "{line}");
    }
    let own = node.root_says(&format!("stat -c '%U %a' {dir}/ {file}"))?;
    assert_eq!(own, format!("{alice} 700\n{alice} 600"));
    Ok(())
}

/// What another user finds out of the two names below the directory that everybody may pass through.
fn seen_by(node: &Node, bob: &str, user: &str, what: &str) -> Result<String, Error> {
    let uid = uid(user)?;
    let line = format!("cd /run/iamd/users && stat -c '{what}' {uid} .{uid}");
    Ok(node.exec_as(bob, &line)?.ok()?.text().replace(&uid.to_string(), "UID"))
}

fn nobody_sees_who_has_an_account_how_many_or_when_one_is_renewed(world: &World) -> Outcome {
    let place = world.place(apart)?;
    let (node, issuer) = (&place.node, &place.issuer);
    let [bob, none, one, two] = [(); 4].map(|()| world.user());
    let [bob, none, one, two] = [bob?, none?, one?, two?];
    let mut without = node.ssh(&none).pty().open(None)?;
    without.ask("true")?;
    let _ones: Session = iamd_tests::sign_in(node, issuer, &one)?;
    let _twos: Session = iamd_tests::sign_in(node, issuer, &two)?;
    let all = "%N %F %a %s %h %b";
    let times = "%N %Y %Z %.9Y %.9Z";
    let (before, at_first) = (seen_by(node, &bob, &two, all)?, seen_by(node, &bob, &two, times)?);
    // By its name after the other, which stays the default.
    sign_in_as(node, issuer, &two, "work", "test")?;
    let named = format!("{}-work", token_file(&two)?);
    eventually("the second file", Duration::from_secs(10), || {
        node.exec(&format!("test -s {named}"))?.ok()
    })?;
    node.exec_as(&two, "iamctl token --force-new")?.ok()?;
    assert_eq!(seen_by(node, &bob, &two, all)?, before, "of two accounts and of one");
    assert_eq!(seen_by(node, &bob, &two, times)?, at_first, "a second account, a renewal");
    assert_eq!(seen_by(node, &bob, &one, all)?, before, "of two users with an account");
    assert_eq!(seen_by(node, &bob, &none, all)?, before, "of a user with none");
    // Nothing behind them can be asked about.
    let (two, none) = (uid(&two)?, uid(&none)?);
    let behind =
        |uid: u32| format!("stat /run/iamd/users/{uid}/bt_u{uid}; stat /run/iamd/users/{uid}/");
    let told = |uid: u32| -> Result<String, Error> {
        let said = node.exec_as(&bob, &behind(uid))?;
        Ok(said.errors().replace(&uid.to_string(), "UID"))
    };
    assert_eq!(told(two)?, told(none)?);
    Ok(())
}

fn the_pam_socket_refuses_everybody_but_root(world: &World) -> Outcome {
    let place = world.place(apart)?;
    let bob = world.user()?;
    let connect = "python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); \
                   s.connect(\"/run/iamd/pam.sock\"); print(\"connected\")'";
    let refused = place.node.exec_as(&bob, connect)?;
    assert!(refused.errors().contains("PermissionError"), "{refused:?}");
    assert_eq!(place.node.root_says(connect)?, "connected");
    Ok(())
}

fn nobody_hears_of_another_users_accounts_on_the_bus(world: &World) -> Outcome {
    let place = world.place(apart)?;
    let node = &place.node;
    let (alice, bob) = (world.user()?, world.user()?);
    let become_monitor = node.exec_as(&bob, "timeout 10 busctl --system monitor org.iamd1")?;
    assert!(become_monitor.code != 0 && become_monitor.code != 124, "{become_monitor:?}");
    let eavesdrop = node.exec_as(&bob, "timeout 10 dbus-monitor --system eavesdrop=true")?;
    assert!(eavesdrop.code != 0 && eavesdrop.code != 124, "{eavesdrop:?}");
    // What is left to a user is to ask for every signal that the bus sends to all.
    let mut listen = node.inside()?;
    listen.args(["setpriv", "--reuid", &bob, "--regid", &bob, "--init-groups"]);
    listen.args(["python3", BUS, "listen"]);
    let mut listener = Session::start(listen, Duration::from_secs(30))?;
    listener.wait_for("listening")?;
    sign_in_as(node, &place.issuer, &alice, "thesis", "test")?;
    node.exec_as(&alice, "iamctl token thesis --force-new")?.ok()?;
    node.exec_as(&alice, "iamctl logout thesis")?.ok()?;
    // A signal that everybody gets: what was sent before it has come too.
    node.exec("busctl --system emit /org/iamd1test org.iamd1test Over")?.ok()?;
    let heard = listener.wait_for("Over")?;
    assert!(heard.contains("NameOwnerChanged"), "it hears nothing at all: {heard}");
    let uid = uid(&alice)?.to_string();
    for word in ["thesis", "/org/iamd1 ", alice.as_str(), uid.as_str(), "eyJ"] {
        assert!(!heard.contains(word), "{word} in {heard}");
    }
    Ok(())
}

fn the_bus_name_cannot_be_owned_by_a_user(world: &World) -> Outcome {
    let place = world.place(apart)?;
    let bob = world.user()?;
    let request = "dbus-send --system --print-reply --dest=org.freedesktop.DBus \
                   /org/freedesktop/DBus org.freedesktop.DBus.RequestName";
    for name in ["org.iamd1", "org.iamd1.Tokens"] {
        let line = format!("{request} string:{name} uint32:3");
        let said = place.node.exec_as(&bob, &line)?;
        let denied = name == "org.iamd1" && said.errors().contains("AccessDenied");
        assert!(said.code != 0 && (denied || name != "org.iamd1"), "{name}: {said:?}");
    }
    Ok(())
}

fn the_daemons_process_shows_nothing_to_users(world: &World) -> Outcome {
    let place = world.place(apart)?;
    let node = &place.node;
    let bob = world.user()?;
    let pid = node.root_says("systemctl show -P MainPID iamd")?;
    for file in ["environ", "maps", "mem", "fd", "auxv", "stack", "io", "cwd", "root", "exe"] {
        let line = match file {
            "fd" => format!("ls /proc/{pid}/fd"),
            "cwd" | "root" | "exe" => format!("readlink /proc/{pid}/{file}"),
            _ => format!("cat /proc/{pid}/{file}"),
        };
        let said = node.exec_as(&bob, &line)?;
        assert!(said.code != 0 && said.stdout.is_empty(), "{line}: {said:?}");
    }
    // Not dumpable: what may not trace everybody does not see it as root either. (CAP_PERFMON and
    // CAP_SYS_ADMIN may read, since Linux 6.14.)
    for (target, seen) in [(pid.as_str(), false), ("$$", true)] {
        let line = format!(
            "capsh --drop=cap_sys_ptrace,cap_perfmon,cap_sys_admin -- -c 'cat /proc/{target}/environ'"
        );
        let said = node.exec(&line)?;
        assert_eq!(said.code == 0, seen, "{said:?}");
    }
    Ok(())
}

fn administration_needs_polkits_leave(world: &World) -> Outcome {
    let place = world.place(apart)?;
    let node = &place.node;
    let (operator, bob) = (world.user()?, world.user()?);
    let methods = ["Reload", "Users", "Sessions", "PasswordFlows"];
    let call =
        |user: &str, method: &str| bus(node, user, &format!("call org.iamd1.Admin {method} ''"));
    for method in methods {
        let said = call(&bob, method)?;
        assert!(said.starts_with("error org.iamd1.Error.NotAuthorized"), "{method}: {said}");
        assert!(call("root", method)?.starts_with("ok"), "{method} by root");
    }
    let refused = node.exec_as(&bob, "iamctl admin users")?;
    assert_eq!((refused.code, refused.text().as_str()), (4, ""), "{refused:?}");
    let rule = format!(
        "polkit.addRule(function(action, subject) {{ if (action.id == \
         'org.iamd1.admin.inspect' && subject.user == '{operator}') return polkit.Result.YES; }});"
    );
    // In one step: polkit reads a file once it is there, whole or not.
    node.put("/etc/iamd/rule", 0o644, "root", rule.as_bytes())?;
    node.exec("mv /etc/iamd/rule /etc/polkit-1/rules.d/10-iamd.rules")?.ok()?;
    eventually("polkit to read the rule", Duration::from_secs(5), || {
        match call(&operator, "Users")? {
            said if said.starts_with("ok") => Ok(()),
            said => Err(Error::Wrong(said)),
        }
    })?;
    assert!(call(&operator, "Sessions")?.starts_with("ok"));
    // The rule says nothing of the other action, and nothing of the other user.
    assert!(call(&operator, "Reload")?.starts_with("error org.iamd1.Error.NotAuthorized"));
    assert!(call(&bob, "Users")?.starts_with("error org.iamd1.Error.NotAuthorized"));
    Ok(())
}
