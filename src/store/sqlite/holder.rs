//! Who holds a lease: a process, named so that another one on the same machine can tell whether it lives.
//!
//! Deadlines alone would make a restart after a crash wait for the dead process's lease to run out.

use uuid::Uuid;

/// A name for one holding of a lease: `{boot}/{process namespace}/{process}/{start}/{random}`, where the
/// machine tells these, and never the same twice.
pub(super) fn name() -> String {
    let process = Process::of(std::process::id()).map_or_else(|| "?".to_owned(), |process| process.to_string());
    format!("{process}/{}", Uuid::new_v4())
}

/// Whether the process that made this name has surely ended. `false` where nobody can know: it runs on
/// another machine or in another container, or this system does not tell.
pub(super) fn is_dead(name: &str) -> bool {
    let mut parts = name.split('/');
    let mut part = || parts.next().unwrap_or_default().to_owned();
    let (boot, namespace, id, start) = (part(), part(), part(), part());
    let (Ok(id), Some(ours)) = (id.parse(), Process::of(std::process::id())) else { return false };
    if (&boot, &namespace) != (&ours.boot, &ours.namespace) {
        return false;
    }
    // The number may have been given to another process since; that one has another start.
    Process::of(id).is_none_or(|process| process.start != start)
}

struct Process {
    boot: String,
    namespace: String,
    id: u32,
    start: String,
}

impl Process {
    /// A running process of this machine and this process namespace; `None` if there is none or the system
    /// does not tell.
    fn of(id: u32) -> Option<Self> {
        let read = |path: &str| std::fs::read_to_string(path).ok();
        let stat = read(&format!("/proc/{id}/stat"))?;
        // The second field, a name in brackets, may hold anything; the state is the third, the start the 22nd.
        let (_, fields) = stat.rsplit_once(") ")?;
        let mut fields = fields.split(' ');
        if fields.next() == Some("Z") {
            return None; // it has ended, and its parent has not noticed
        }
        Some(Self {
            boot: read("/proc/sys/kernel/random/boot_id")?.trim().to_owned(),
            namespace: std::fs::read_link("/proc/self/ns/pid").ok()?.to_string_lossy().into_owned(),
            id,
            start: fields.nth(18)?.to_owned(),
        })
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}/{}/{}", self.boot, self.namespace, self.id, self.start)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_living_process_is_told_from_one_that_has_ended_and_from_a_stranger() {
        let ours = name();
        assert!(!is_dead(&ours), "{ours}");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let theirs = format!("{}/x", Process::of(child.id()).unwrap());
        assert!(!is_dead(&theirs), "{theirs}");
        child.kill().unwrap();
        while !is_dead(&theirs) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(is_dead(&theirs));
        let parts: Vec<&str> = ours.split('/').collect();
        let reused = [parts[0], parts[1], parts[2], "1", "x"].join("/");
        assert!(is_dead(&reused), "the number belongs to another process by now");
        let stranger = ["another-boot", parts[1], "1", "1", "x"].join("/");
        for unknown in [stranger.as_str(), "", "?/x", "a/b/c/d"] {
            assert!(!is_dead(unknown), "{unknown}");
        }
    }
}
