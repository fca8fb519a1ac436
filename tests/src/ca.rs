//! The run's certificate authority, and the certificates it gives to issuer and proxy.

use std::path::{Path, PathBuf};

use crate::command::must;
use crate::error::{Error, Result};
use crate::places;
use crate::run::Run;

/// A CA that exists for one run, made by `tests/issuer/ca.mjs`.
#[derive(Debug)]
pub struct Ca {
    dir: PathBuf,
}

impl Ca {
    /// Makes the CA in the run's directory.
    pub fn make(run: &Run) -> Result<Ca> {
        let ca = Ca { dir: run.dir().join("ca") };
        ca.script(run, &[])?;
        Ok(ca)
    }

    /// The CA's certificate, PEM.
    pub fn certificate(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// Certificate and key for a server that is called by `names` (host names, addresses). More
    /// words go to ca.mjs: `--expired`, `--wrong-name`.
    pub fn issue(&self, run: &Run, names: &[&str], more: &[&str]) -> Result<(PathBuf, PathBuf)> {
        let Some(name) = names.first() else {
            return Err(Error::Wrong("a certificate needs a name".into()));
        };
        let mut words = vec!["--cert", name, "--san"];
        let list = names.join(",");
        words.push(&list);
        words.extend(more);
        self.script(run, &words)?;
        Ok((self.dir.join(format!("{name}.pem")), self.dir.join(format!("{name}.key"))))
    }

    /// Makes the system in `root` trust this CA, as `update-ca-certificates` would (which takes
    /// seconds, most of them for the certificates that are there already).
    pub fn trust_in(&self, root: &Path) -> Result<()> {
        let path = self.certificate();
        let pem = std::fs::read_to_string(&path).map_err(Error::at(&path))?;
        let source = root.join("usr/local/share/ca-certificates/iamd-test.crt");
        std::fs::write(&source, &pem).map_err(Error::at(&source))?;
        let bundle = root.join("etc/ssl/certs/ca-certificates.crt");
        let all = std::fs::read_to_string(&bundle).map_err(Error::at(&bundle))?;
        std::fs::write(&bundle, all + &pem).map_err(Error::at(&bundle))
    }

    fn script(&self, run: &Run, words: &[&str]) -> Result<()> {
        let mut node = run.command("node");
        node.arg(places::repository().join("tests/issuer/ca.mjs"));
        node.arg("--dir").arg(&self.dir).args(words);
        must(node).map(|_| ())
    }
}
