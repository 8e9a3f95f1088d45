//! The threads that work is shared among.
//!
//! A pool with a thread for every core keeps each of them on a core of its own. A long stretch of
//! work wakes its threads only once, and where the scheduler then wakes two of them on one core
//! (virtual machines are seen to, nine times in ten) they may share it to the end: the run takes
//! twice as long.

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Threads could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {threads} threads: {source}")]
pub struct ThreadsError {
    /// How many were asked for.
    pub threads: usize,
    /// Why not.
    source: ThreadPoolBuildError,
}

/// A number of threads to work on. Those of one number are the same threads in the whole process;
/// they sleep while nobody needs them.
#[derive(Clone, Debug)]
pub struct Threads {
    count: usize,
    /// `None` where the caller's own thread does all.
    pool: Option<Arc<ThreadPool>>,
}

impl Threads {
    /// So many threads; 0 for one a core that this process may use.
    ///
    /// # Errors
    /// If the system does not start them.
    pub fn new(count: usize) -> Result<Self, ThreadsError> {
        static POOLS: Mutex<BTreeMap<usize, Arc<ThreadPool>>> = Mutex::new(BTreeMap::new());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let count = if count == 0 { cores } else { count };
        if count == 1 {
            return Ok(Self { count, pool: None });
        }
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = match pools.get(&count) {
            Some(pool) => Arc::clone(pool),
            None => {
                let pool = Arc::new(start(count).map_err(|source| ThreadsError {
                    threads: count,
                    source,
                })?);
                pools.insert(count, Arc::clone(&pool));
                pool
            }
        };
        Ok(Self {
            count,
            pool: Some(pool),
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Does `work` on these threads: what it splits with rayon is shared among them.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }
}

/// Does both, side by side if `parallel`: on the threads that it is called on.
pub fn join(parallel: bool, one: impl FnOnce() + Send, other: impl FnOnce() + Send) {
    if parallel {
        rayon::join(one, other);
    } else {
        one();
        other();
    }
}

fn start(count: usize) -> Result<ThreadPool, ThreadPoolBuildError> {
    let builder = ThreadPoolBuilder::new()
        .num_threads(count)
        .thread_name(|thread| format!("gradprobe-{thread}"));
    match core_affinity::get_core_ids() {
        Some(cores) if cores.len() == count => builder.start_handler(move |thread| {
            // Where the system refuses, it places the thread itself.
            core_affinity::set_for_current(cores[thread]);
        }),
        _ => builder,
    }
    .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_on_as_many_threads_as_were_asked_for() {
        for count in [2, 3] {
            let threads = Threads::new(count).expect("few threads");
            assert_eq!(threads.install(rayon::current_num_threads), count);
            let again = Threads::new(count).expect("they run");
            let (one, other) = (threads.pool.as_ref(), again.pool.as_ref());
            assert!(Arc::ptr_eq(one.expect("a pool"), other.expect("a pool")));
        }
        assert!(Threads::new(1).expect("none to start").pool.is_none());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        assert_eq!(Threads::new(0).expect("one a core").count(), cores);
    }
}
