//! What stands in the memory of a process, as a root who may read it (ptrace) finds it.

use std::time::Duration;

use iamd_tests::{Node, Result};

const LOOK: &str = r#"
import re, sys
pid, patterns = sys.argv[1], [p for p in open(sys.argv[2], "rb").read().split(b"\n") if p]
read = 0
with open(f"/proc/{pid}/mem", "rb", 0) as memory:
    for line in open(f"/proc/{pid}/maps"):
        ends = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
        if not ends or "[vvar" in line or "[vsyscall" in line:
            continue
        start, end = (int(part, 16) for part in ends.groups())
        memory.seek(start)
        try:
            piece = memory.read(end - start)
        except OSError:
            continue
        read += len(piece)
        for pattern in patterns:
            at = piece.find(pattern)
            if at >= 0:
                print(pattern.decode(), "in", line.split()[-1], line.split()[0], "at", hex(start + at))
if read < 100000:
    sys.exit(f"only {read} bytes could be read")
"#;

/// Where in the memory of process `pid` a line of the file `patterns` stands.
pub fn of(node: &Node, pid: &str, patterns: &str) -> Result<String> {
    let line = format!("python3 - {pid} {patterns}");
    Ok(node.exec_with(&line, LOOK.as_bytes(), Duration::from_secs(60))?.ok()?.line())
}

/// As [`of`], in that of the daemon.
pub fn of_the_daemon(node: &Node, patterns: &str) -> Result<String> {
    let pid = node.root_says("systemctl show -P MainPID iamd")?;
    of(node, &pid, patterns)
}
