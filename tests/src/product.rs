//! The product on a node: installed by `dist/install` as a site would, before the node boots.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::command;
use crate::error::{Error, Result};
use crate::issuer::Issuer;
use crate::node::{NodeSpec, write};
use crate::places;

/// What is installed and how it is configured.
#[derive(Clone, Debug)]
pub struct Product {
    binaries: PathBuf,
    daemon: Option<PathBuf>,
    config: String,
    issuers: Vec<(String, String)>,
    hosts: Vec<(String, std::net::Ipv4Addr)>,
    pam: bool,
    options: Vec<String>,
}

impl Product {
    /// The product for `issuer`, under the name `test`, which is the default.
    pub fn new(issuer: &Issuer) -> Product {
        let config = "[site]\nname = \"Test cluster\"\n\n[issuers]\ndefault = \"test\"\n";
        Product {
            binaries: places::binaries(),
            daemon: None,
            config: config.into(),
            issuers: Vec::new(),
            hosts: Vec::new(),
            pam: true,
            options: Vec::new(),
        }
        .issuer("test", issuer)
    }

    /// With one more issuer, under `name`.
    pub fn issuer(mut self, name: &str, issuer: &Issuer) -> Product {
        self.hosts.push((issuer.host().to_owned(), issuer.address()));
        let file = issuer_file(name, issuer);
        self.issuer_file(name, &file)
    }

    /// With `/etc/iamd/issuers.d/NAME.toml` as given, in place of an earlier one of that name.
    pub fn issuer_file(mut self, name: &str, toml: &str) -> Product {
        self.issuers.retain(|(other, _)| other != name);
        self.issuers.push((name.into(), toml.into()));
        self
    }

    /// With more lines at the end of `iamd.toml`.
    pub fn config(mut self, toml: &str) -> Product {
        self.config += "\n";
        self.config += toml;
        self
    }

    /// Installed with one more option of `dist/install`.
    pub fn option(mut self, option: &str) -> Product {
        self.options.push(option.into());
        self
    }

    /// Installed, but not in the PAM stack.
    pub fn without_pam(mut self) -> Product {
        self.pam = false;
        self
    }

    /// With this `iamd` in the place of the one that is shipped, such as
    /// [`places::fault_points`].
    pub fn daemon(mut self, iamd: PathBuf) -> Product {
        self.daemon = Some(iamd);
        self
    }

    /// The specification of a node that has it.
    pub fn on(self, mut spec: NodeSpec) -> NodeSpec {
        for (host, address) in &self.hosts {
            spec = spec.host_at(host, *address);
        }
        spec.prepare(move |root| self.install(root))
    }

    fn install(&self, root: &Path) -> Result<()> {
        for file in ["iamd", "iamctl", "libpam_iam.so"] {
            let path = self.binaries.join(file);
            if !path.is_file() {
                return Err(Error::Wrong(format!(
                    "{} is not built; build and test with: tests/run --only build,e2e",
                    path.display()
                )));
            }
        }
        let mut install = Command::new(places::repository().join("dist/install"));
        install.arg("--binaries").arg(&self.binaries).env("DESTDIR", root).env("PREFIX", "/usr");
        install.args(&self.options);
        command::run(install, b"", Duration::from_secs(60))?.ok()?;
        if let Some(daemon) = &self.daemon {
            let iamd = std::fs::read(daemon).map_err(Error::at(daemon))?;
            write(&root.join("usr/sbin/iamd"), 0o755, &iamd)?;
        }
        write(&root.join("etc/iamd/iamd.toml"), 0o644, self.config.as_bytes())?;
        for (name, toml) in &self.issuers {
            let path = root.join(format!("etc/iamd/issuers.d/{name}.toml"));
            write(&path, 0o644, toml.as_bytes())?;
        }
        if self.pam {
            let mut pam = Command::new("chroot");
            pam.arg(root).args(["pam-auth-update", "--enable", "iamd", "--package"]);
            pam.env("DEBIAN_FRONTEND", "noninteractive");
            pam.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
            command::must(pam)?;
        }
        let mut enable = Command::new("systemctl");
        enable.arg("--root").arg(root).args(["--quiet", "enable", "iamd.service"]);
        command::must(enable).map(|_| ())
    }
}

/// The issuer file of the test issuer.
pub fn issuer_file(name: &str, issuer: &Issuer) -> String {
    format!(
        "name = \"{name}\"\ntitle = \"the test issuer\"\nurl = \"{}\"\nscopes = [\"openid\", \
         \"profile\", \"offline_access\", \"wlcg\", \"wlcg.groups\", \"storage.read:/\", \
         \"storage.modify:/\", \"compute.read\"]\n",
        issuer.url()
    )
}
