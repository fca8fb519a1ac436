//! The arguments and environments of all processes of a node, also of those that live for a moment.

use std::collections::BTreeSet;
use std::time::Duration;

use iamd_tests::{Error, Node, Session, World};

use crate::case::Outcome;

const SCRIPT: &str = "/srv/processes.py";
/// It ends by itself after this.
const AT_MOST: Duration = Duration::from_secs(900);
/// So many processes that live as long as a command that does next to nothing.
const PLANTED: usize = 50;

pub struct Watch<'n> {
    node: &'n Node,
    session: Session,
}

impl<'n> Watch<'n> {
    /// Watches from now on.
    pub fn start(node: &'n Node) -> Result<Watch<'n>, Error> {
        node.put(SCRIPT, 0o644, "root", include_bytes!("processes.py"))?;
        let mut command = node.inside()?;
        command.args(["python3", SCRIPT, &AT_MOST.as_secs().to_string()]);
        let mut session = Session::start(command, Duration::from_secs(60))?;
        session.wait_for("ready\n")?;
        Ok(Watch { node, session })
    }

    /// Where one of these was seen: a line each, `cmdline: ` or `environ: ` and the whole of it.
    pub fn places(&mut self, secrets: &BTreeSet<String>) -> Result<String, Error> {
        let from = self.session.seen().len();
        let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
        self.session.send(&format!("?{}\n", secrets.join("\t")))?;
        self.session.find("where it was seen", |seen| {
            let (places, count) = seen.get(from..)?.rsplit_once("asked ")?;
            count.ends_with('\n').then(|| places.to_owned())
        })
    }

    /// Insists that a secret in the arguments or the environment of a short-lived process is seen.
    pub fn would_have_seen(&mut self, world: &World, secret: &str) -> Outcome {
        // The shell that starts them has it from a pipe. Each is another process with another text.
        let plant = format!(
            "read -r secret; for n in $(seq {PLANTED}); do \
             sh -c 'sleep 0.02; :' short-lived-$n \"$secret\"; \
             PLANTED=$n-$secret sh -c 'sleep 0.02; :'; done"
        );
        let line = format!("{secret}\n");
        self.node.exec_with(&plant, line.as_bytes(), Duration::from_secs(60))?.ok()?;
        let places = self.places(&BTreeSet::from([secret.to_owned()]))?;
        let of = |kind: &str, mark: &dyn Fn(usize) -> String| {
            let has = |n: &usize| {
                let mark = mark(*n);
                places.lines().any(|line| line.starts_with(kind) && line.contains(&mark))
            };
            (1..=PLANTED).filter(has).count()
        };
        let arguments = of("cmdline: ", &|n| format!("short-lived-{n}\\x00"));
        let environments = of("environ: ", &|n| format!("PLANTED={n}-"));
        world.say(&format!(
            "canaries: of {PLANTED} processes of 20 ms the arguments of {arguments} were seen, the \
             environment of {environments}"
        ));
        assert!(arguments > 0 && environments > 0, "it sees nothing: {places}");
        Ok(())
    }
}
