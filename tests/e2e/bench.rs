//! The bench runs: a short form of it, with the rows that need least, so that it cannot rot. What it
//! finds is not judged here, where many tests run at once; but a token that is in memory costs no
//! request at the issuer, however busy the machine is.

use std::process::Command;
use std::time::Duration;

use iamd_tests::{World, command};
use serde_json::Value;

use crate::case::{Case, Outcome};
use crate::cases;

pub fn cases() -> Vec<Case> {
    cases![; apart: the_bench_measures_both_sides_and_tells_it_in_a_table_as_json_and_in_plots]
}

/// It boots a node, signs in at six accounts twice and starts a few hundred programs.
const LIMIT: Duration = Duration::from_secs(180);

fn the_bench_measures_both_sides_and_tells_it_in_a_table_as_json_and_in_plots(
    world: &World,
) -> Outcome {
    let directory = world.ground().run.dir().join("bench");
    std::fs::create_dir(&directory)?;
    let json = directory.join("bench.json");
    let mut bench = Command::new(env!("CARGO_BIN_EXE_iamd-bench"));
    bench.args(["--quick", "--only", "cached,narrowed,bus", "--json"]).arg(&json);
    bench.arg("--plots").arg(&directory);
    let said = command::run(bench, b"", LIMIT)?.ok()?;
    for words in ["oidc-token test", "iamctl token -s storage.read:/", "medians of rounds"] {
        assert!(said.text().contains(words), "{said:?}");
    }
    let told: Value = serde_json::from_slice(&std::fs::read(&json)?)?;
    assert_eq!(told["about"]["quick"], true);
    let rows = told["rows"].as_array().ok_or("no rows")?;
    let ids: Vec<_> = rows.iter().filter_map(|row| row["id"].as_str()).collect();
    assert_eq!(ids, ["cached", "narrowed", "bus"]);
    for series in rows.iter().flat_map(|row| row["series"].as_array().into_iter().flatten()) {
        assert!(series["median"].as_f64() > Some(0.0), "{series}");
        assert!(series["p99"].as_f64() >= series["median"].as_f64(), "{series}");
        if series["who"] == "iamd" {
            assert_eq!(series["requests"], 0, "{series}");
        }
    }
    // What oidc-agent asks for anew each time, it asks for anew: the requests are counted.
    let narrowed = &rows[1]["series"][1];
    assert_eq!(
        (&narrowed["who"], &narrowed["requests"]),
        (&"oidc-agent".into(), &narrowed["done"])
    );
    assert!(told["goals"].as_array().is_some_and(|goals| goals.len() == 4), "{told}");
    let plot = std::fs::read_to_string(directory.join("tokens.svg"))?;
    assert!(plot.starts_with("<svg ") && plot.contains("oidc-token test"), "{plot}");
    Ok(())
}
