//! What is checked in and installed is what the service offers: introspection, bus policy,
//! polkit's actions.

use std::{collections::BTreeSet, fs, path::Path};

use super::*;

/// Set, the file is written instead of compared.
const WRITE: &str = "IAMD_WRITE_INTROSPECTION";

fn repository(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands between `before` and the next quotation mark, everywhere.
fn quoted<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// The interfaces of an introspection, by name and in order; the bus' own apart.
fn interfaces(xml: &str) -> (Vec<String>, BTreeSet<String>) {
    let mut blocks: Vec<String> = xml
        .split("  <interface ")
        .skip(1)
        .map(|block| format!("  <interface {}", block.split("</node>").next().unwrap()))
        .collect();
    blocks.sort();
    let standard = |block: &String| block.contains("\"org.freedesktop.");
    let names = blocks.iter().filter(|block| standard(block));
    let names = names.map(|block| quoted(block, "name=\"")[0].to_owned()).collect();
    (blocks.into_iter().filter(|block| !standard(block)).collect(), names)
}

/// The methods of an interface, by name, as the introspection has them.
pub(super) fn methods_of(interface: &str) -> Vec<String> {
    let (ours, _) = interfaces(&read("dist/dbus/org.iamd1.xml"));
    let block = ours.into_iter().find(|block| quoted(block, "name=\"")[0] == interface).unwrap();
    let mut methods: Vec<String> =
        quoted(&block, "<method name=\"").into_iter().map(str::to_owned).collect();
    methods.sort();
    methods
}

#[tokio::test]
async fn the_introspection_is_the_one_that_is_checked_in() {
    let line = Line::of(ALICE).await;
    let reply = line.call("org.freedesktop.DBus.Introspectable", "Introspect", &()).await.unwrap();
    let (ours, standard) = interfaces(&reply.body().deserialize::<String>().unwrap());
    let expected = ["Introspectable", "Peer", "Properties"];
    assert_eq!(standard, expected.map(|name| format!("org.freedesktop.DBus.{name}")).into());
    let found = format!(
        "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n \
         \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n\
         <!-- {PATH} of {NAME}, as the running service describes it; meaning: org.iamd1(5).\n     \
         Written by its test, with {WRITE}=1. -->\n<node>\n{}</node>\n",
        ours.concat()
    );
    let path = "dist/dbus/org.iamd1.xml";
    if std::env::var_os(WRITE).is_some() {
        fs::write(repository(path), &found).unwrap();
    }
    assert!(
        read(path) == found,
        "{path} is not what the service says; a change that is meant is written with {WRITE}=1:\n{found}"
    );
}

#[test]
fn the_bus_lets_through_exactly_the_methods_there_are() {
    let xml = read("dist/dbus/org.iamd1.xml");
    let mut offered = BTreeSet::new();
    for block in xml.split("<interface ").skip(1) {
        let interface = quoted(block, "name=\"")[0].to_owned();
        for member in quoted(block, "<method name=\"") {
            offered.insert((interface.clone(), member.to_owned()));
        }
    }
    assert_eq!(offered.len(), 40);
    let policy = read("dist/dbus/org.iamd1.conf");
    let mut allowed = BTreeSet::new();
    for line in policy.lines().filter(|line| line.contains("send_interface=\"org.iamd1.")) {
        assert!(line.trim().starts_with("<allow send_destination=\"org.iamd1\""), "{line}");
        let interface = quoted(line, "send_interface=\"")[0].to_owned();
        allowed.insert((interface, quoted(line, "send_member=\"")[0].to_owned()));
    }
    assert_eq!(allowed, offered);
    assert!(!xml.contains("<signal"), "a broadcast is seen by every user");
    assert!(!xml.contains("<property"), "properties are not checked by uid");
}

#[test]
fn what_polkit_is_asked_is_what_its_policy_defines() {
    let protocol = read("protocol/src/bus/mod.rs");
    let asked: BTreeSet<&str> = protocol
        .lines()
        .filter(|line| line.starts_with("pub const ACTION_"))
        .map(|line| quoted(line, "= \"")[0])
        .collect();
    let policy = read("dist/polkit/org.iamd1.policy");
    let defined: BTreeSet<&str> = quoted(&policy, "<action id=\"").into_iter().collect();
    assert_eq!(asked, defined);
    assert_eq!(asked.len(), 7);
    assert!(!policy.contains("<allow_any>yes") && !policy.contains("<allow_active>yes"));
}
