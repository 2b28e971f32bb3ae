//! A RabbitMQ node of a test's own, which may be stopped and killed.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::until;

/// A node with data, ports and processes of its own; ended with the test, also by a panic.
pub struct Node {
    dir: TempDir,
    url: String,
}

impl Node {
    pub async fn start() -> Self {
        // Made first, so that a start that fails is cleaned up as well.
        let mut node = Self { dir: TempDir::new().unwrap(), url: String::new() };
        node.up().await;
        node
    }

    /// A node with these plugins, which the shared broker need not have.
    pub async fn start_with(plugins: &[&str]) -> Self {
        let mut node = Self { dir: TempDir::new().unwrap(), url: String::new() };
        std::fs::write(node.dir.path().join("enabled_plugins"), format!("[{}].\n", plugins.join(","))).unwrap();
        node.up().await;
        node
    }

    /// Runs `rabbitmqctl` for it.
    pub async fn ctl(&self, words: &[&str]) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/broker.sh");
        let mut command = Command::new("bash");
        command.arg(path).args(["node", "ctl"]).arg(self.dir.path()).args(words);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{words:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Starts it again, with its data and on its port.
    pub async fn up(&mut self) {
        let name = format!("it-{}", std::process::id());
        let dir = self.dir.path().to_path_buf();
        let started = tokio::task::spawn_blocking(move || script(&["start", &name], &dir)).await.unwrap();
        self.url = started.trim().strip_prefix("AMQP_URL=").unwrap().to_owned();
    }

    /// An orderly stop.
    pub async fn stop(&self) {
        self.down("stop").await;
    }

    /// SIGKILL.
    pub async fn kill(&self) {
        self.down("kill").await;
    }

    async fn down(&self, verb: &'static str) {
        let dir = self.dir.path().to_path_buf();
        tokio::task::spawn_blocking(move || script(&[verb], &dir)).await.unwrap();
    }

    /// Waits until the queues declared before are on disk: RabbitMQ 3.10 writes their directory only
    /// once a second, and a queue younger than that comes back empty after a SIGKILL.
    pub async fn has_written_its_queues(&self) {
        let declared = std::time::SystemTime::now();
        until("the node to write the directory of its queues", async || {
            let written = std::fs::metadata(directory_of_queues(self.dir.path())?).ok()?.modified().ok()?;
            (written > declared || declared.elapsed().ok()?.as_secs() >= 3).then_some(())
        })
        .await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        script(&["kill"], self.dir.path());
    }
}

/// Runs `broker.sh node VERB … DIR` and gives what it says.
fn script(words: &[&str], dir: &Path) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/broker.sh");
    let output = Command::new("bash").arg(path).arg("node").args(words).arg(dir).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() && !std::thread::panicking() {
        panic!("broker.sh node {words:?}: {said}");
    }
    String::from_utf8(output.stdout).unwrap()
}

/// `names.dets` below the node's data.
fn directory_of_queues(dir: &Path) -> Option<std::path::PathBuf> {
    std::fs::read_dir(dir).ok()?.flatten().find_map(|entry| {
        if entry.file_type().ok()?.is_dir() {
            directory_of_queues(&entry.path())
        } else {
            (entry.file_name() == "names.dets").then(|| entry.path())
        }
    })
}
