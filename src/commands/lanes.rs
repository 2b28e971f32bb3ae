//! Commands of one ordering key run one after the other, in the order they came; others run beside them.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::task::TaskTracker;

/// What keeps commands apart: account and ordering key.
pub type LaneKey = (String, String);

/// Runs jobs, one at a time per lane. The number of jobs is bounded by the consumer's prefetch.
#[derive(Debug)]
pub struct Lanes<J> {
    state: Arc<Mutex<State<J>>>,
    tracker: TaskTracker,
}

#[derive(Debug)]
struct State<J> {
    /// Lanes with a job running, and what waits behind it.
    waiting: HashMap<LaneKey, VecDeque<(String, J)>>,
    /// In which lane a command id is: a repetition goes behind the first, whatever its key.
    ids: HashMap<String, (LaneKey, usize)>,
}

impl<J: Send + 'static> Lanes<J> {
    /// No lanes yet.
    pub fn new() -> Self {
        let state = State { waiting: HashMap::new(), ids: HashMap::new() };
        Self { state: Arc::new(Mutex::new(state)), tracker: TaskTracker::new() }
    }

    /// Runs `job` with `run` as soon as its lane is free. `id` is the command's, with its account.
    pub fn push<F, R>(&self, lane: LaneKey, id: String, job: J, run: R)
    where
        F: Future<Output = ()> + Send,
        R: Fn(J) -> F + Clone + Send + Sync + 'static,
    {
        let lane = {
            let mut state = lock(&self.state);
            let lane = {
                let entry = state.ids.entry(id.clone()).or_insert((lane, 0));
                entry.1 += 1;
                entry.0.clone()
            };
            if let Some(queue) = state.waiting.get_mut(&lane) {
                queue.push_back((id, job));
                return;
            }
            state.waiting.insert(lane.clone(), VecDeque::new());
            lane
        };
        let state = self.state.clone();
        self.tracker.spawn(async move {
            let mut next = Some((id, job));
            while let Some((id, job)) = next {
                // A panic counts as the end of this job, not of its lane.
                let task = tokio::spawn({
                    let run = run.clone();
                    async move { run(job).await }
                });
                if let Err(error) = task.await {
                    tracing::error!(%error, "a command's task failed; the broker will deliver it again");
                }
                next = finish(&state, &lane, &id);
            }
        });
    }

    /// Resolves when every job has ended.
    pub async fn drained(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Forgets a job and gives the next of its lane; closes the lane if there is none.
fn finish<J>(state: &Mutex<State<J>>, lane: &LaneKey, id: &str) -> Option<(String, J)> {
    let mut state = lock(state);
    if let Some(entry) = state.ids.get_mut(id) {
        entry.1 -= 1;
        if entry.1 == 0 {
            state.ids.remove(id);
        }
    }
    let next = state.waiting.get_mut(lane).and_then(VecDeque::pop_front);
    if next.is_none() {
        state.waiting.remove(lane);
    }
    next
}

/// A poisoned lock is still whole: every change is made in one step.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> LaneKey {
        ("acme".into(), name.into())
    }

    #[tokio::test]
    async fn one_lane_runs_in_order_while_others_go_on() {
        let lanes = Lanes::new();
        let log = Arc::new(Mutex::new(Vec::new()));
        let gate = Arc::new(tokio::sync::Notify::new());
        let run = {
            let (log, gate) = (log.clone(), gate.clone());
            move |job: &'static str| {
                let (log, gate) = (log.clone(), gate.clone());
                async move {
                    if job == "a1" {
                        gate.notified().await;
                    }
                    lock(&log).push(job);
                    if job == "b1" {
                        gate.notify_one();
                    }
                }
            }
        };
        lanes.push(key("a"), "1".into(), "a1", run.clone());
        lanes.push(key("a"), "2".into(), "a2", run.clone());
        lanes.push(key("b"), "3".into(), "b1", run);
        lanes.drained().await;
        assert_eq!(*lock(&log), ["b1", "a1", "a2"]);
        assert!(lock(&lanes.state).waiting.is_empty() && lock(&lanes.state).ids.is_empty());
    }

    #[tokio::test]
    async fn a_repeated_id_goes_behind_the_first_even_with_another_key() {
        let lanes = Lanes::new();
        let running = Arc::new(Mutex::new((0, 0)));
        let run = {
            let running = running.clone();
            move |(): ()| {
                let running = running.clone();
                async move {
                    let now = {
                        let mut state = lock(&running);
                        state.0 += 1;
                        state.1 = state.1.max(state.0);
                        state.0
                    };
                    assert_eq!(now, 1);
                    tokio::task::yield_now().await;
                    lock(&running).0 -= 1;
                }
            }
        };
        for lane in ["a", "b", "c"] {
            lanes.push(key(lane), "same".into(), (), run.clone());
        }
        lanes.drained().await;
        assert_eq!(lock(&running).1, 1);
    }

    #[tokio::test]
    async fn a_panic_frees_the_lane() {
        let lanes = Lanes::new();
        let (done, mut finished) = tokio::sync::mpsc::channel(1);
        let run = move |fails: bool| {
            let done = done.clone();
            async move {
                assert!(!fails, "on purpose");
                done.send(()).await.unwrap();
            }
        };
        lanes.push(key("a"), "1".into(), true, run.clone());
        lanes.push(key("a"), "2".into(), false, run);
        assert!(finished.recv().await.is_some());
    }
}
