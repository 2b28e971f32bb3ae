//! A process with its output, ended with the test.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// A running process; its output is kept line by line.
pub struct Process {
    child: Child,
    lines: Lines,
    output: Lines,
    name: String,
}

/// What the processes of this test have written, by their names.
static WRITTEN: Mutex<Vec<(String, Lines)>> = Mutex::new(Vec::new());

type Lines = Arc<Mutex<Vec<String>>>;

/// Notes what a process has written that was not started here.
pub fn note(name: &str, text: &[u8]) {
    let lines = String::from_utf8_lossy(text).lines().map(str::to_owned).collect();
    WRITTEN.lock().unwrap().push((name.to_owned(), Arc::new(Mutex::new(lines))));
}

/// Every line that processes of this name have written so far.
pub fn written(name: &str) -> Vec<String> {
    let written = WRITTEN.lock().unwrap();
    let of_name = written.iter().filter(|(process, _)| process == name);
    of_name.flat_map(|(_, lines)| lines.lock().unwrap().clone()).collect()
}

impl Process {
    pub fn spawn(name: &str, command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let output = Arc::new(Mutex::new(Vec::new()));
        WRITTEN.lock().unwrap().push((name.to_owned(), lines.clone()));
        collect(child.stdout.take().unwrap(), vec![lines.clone(), output.clone()]);
        collect(child.stderr.take().unwrap(), vec![lines.clone()]);
        Self { child, lines, output, name: name.to_owned() }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far, to either output.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// What it has written to standard output alone.
    pub fn output(&self) -> Vec<String> {
        self.output.lock().unwrap().clone()
    }

    /// The first line in which `find` finds something.
    pub fn find<T>(&self, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.lines.lock().unwrap().iter().find_map(|line| find(line))
    }

    /// Whether it has ended, and with which code (`None` if by a signal).
    pub fn ended(&mut self) -> Option<Option<i32>> {
        self.child.try_wait().unwrap().map(|status| status.code())
    }

    /// Sends a signal by name: `TERM`, `KILL`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status().unwrap();
        assert!(status.success(), "kill -{name}");
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let lines = self.lines.lock().unwrap();
            let skipped = lines.len().saturating_sub(60);
            eprintln!("--- the last of {} ---", self.name);
            for line in &lines[skipped..] {
                eprintln!("{}", line.chars().take(600).collect::<String>());
            }
        }
    }
}

fn collect(output: impl Read + Send + 'static, places: Vec<Arc<Mutex<Vec<String>>>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            for lines in &places {
                lines.lock().unwrap().push(line.clone());
            }
        }
    });
}
