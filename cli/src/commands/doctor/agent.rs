//! Do clients of oidc-agent find iamd? They go by a variable, which another agent may have set.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use iamd_protocol::bus::Finding;
use iamd_protocol::paths::AGENT_SOCKET;
use iamd_protocol::variables::OIDC_SOCK;

use super::{OK, WARNING, finding};
use crate::environment::Environment;

/// Looks at the variable and at the socket; nothing is said where there is neither.
pub(super) fn look(environment: &Environment) -> Option<Finding> {
    let name = "oidc-agent";
    let is_socket = |path: &Path| {
        let found = std::fs::metadata(environment.path(path));
        found.is_ok_and(|found| found.file_type().is_socket())
    };
    let ours = Path::new(AGENT_SOCKET);
    let export = format!("export {OIDC_SOCK}={AGENT_SOCKET}");
    Some(match (environment.non_empty(OIDC_SOCK), is_socket(ours)) {
        (None, false) => return None,
        (None, true) => finding(
            name,
            OK,
            format!("its clients are served at {AGENT_SOCKET}; {OIDC_SOCK} is not set here"),
            "",
        ),
        (Some(set), true) if set == ours => {
            finding(name, OK, format!("its clients find iamd at {AGENT_SOCKET}"), "")
        }
        (Some(set), false) if set == ours => finding(
            name,
            WARNING,
            format!("there is no socket at {AGENT_SOCKET}: its clients get nothing"),
            "Administrators: agent_socket.enabled in iamd.toml, then  systemctl reload iamd",
        ),
        (Some(set), served) => finding(
            name,
            WARNING,
            format!(
                "{OIDC_SOCK} is {}: its clients ask that agent, not iamd",
                Path::new(set).display()
            ),
            if served { format!("To go over to iamd:  {export}") } else { String::new() },
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn found(variables: &[(&'static str, &str)], served: bool) -> Option<Finding> {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run/iamd/oidc-agent.sock");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _listener = served.then(|| UnixListener::bind(&path).unwrap());
        look(&Environment::for_test(variables, root.path()))
    }

    #[test]
    fn a_variable_that_leads_elsewhere_or_nowhere_is_told() {
        let ours = [(OIDC_SOCK, AGENT_SOCKET)];
        assert_eq!(found(&ours, true).unwrap().level, OK);
        let nowhere = found(&ours, false).unwrap();
        assert!(nowhere.level == WARNING && nowhere.advice.contains("agent_socket.enabled"));
        let other = found(&[(OIDC_SOCK, "/tmp/oidc-x/agent")], true).unwrap();
        assert!(other.level == WARNING && other.text.contains("/tmp/oidc-x/agent"));
        assert!(other.advice.ends_with("export OIDC_SOCK=/run/iamd/oidc-agent.sock"));
        assert_eq!(found(&[(OIDC_SOCK, "/x")], false).unwrap().advice, "");
        assert_eq!(found(&[], true).unwrap().level, OK);
        assert!(found(&[], false).is_none());
    }
}
