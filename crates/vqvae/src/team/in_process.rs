//! A team of threads that take the part of processes: for tests of what needs several.

use std::panic::resume_unwind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rayon::ThreadPoolBuilder;

use crate::error::{Error, Result};
use crate::team::communicator::{Communicator, add_in_order};
use crate::team::members::Team;

/// Runs `work` once for each of `size` processes of a team, all of them threads of this one, and gives what they return
/// by rank. Each computes on one thread: one that waits for another's numbers must not hold up a pool that both use.
/// Where one returns or panics the others do not wait for it.
///
/// # Errors
/// The system allows no such threads.
pub fn together<R: Send>(size: usize, work: impl Fn(Team) -> R + Sync) -> Result<Vec<R>> {
    let work = &work;
    let pool = || {
        let pool = ThreadPoolBuilder::new().num_threads(1).build();
        pool.map_err(|error| Error::Invalid(format!("cannot start a thread for each of {size} processes: {error}")))
    };
    let pools = (0..size).map(|_| pool()).collect::<Result<Vec<_>>>()?;
    std::thread::scope(|scope| {
        let ends = in_process(size).into_iter().zip(&pools);
        let threads: Vec<_> =
            ends.map(|(end, pool)| scope.spawn(move || pool.install(|| work(Team::new(end))))).collect();
        Ok(threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect())
    })
}

/// One thread's end of a team within this process. Whoever drops it has gone, and the others' calls fail.
struct InProcess {
    rank: usize,
    size: usize,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What was given in this round, by rank, and how many have taken what all gave.
    given: Vec<Option<Vec<u8>>>,
    taken: usize,
    /// A rank that has gone.
    gone: Option<usize>,
}

/// The ends of a team of `size` threads, by rank.
fn in_process(size: usize) -> Vec<InProcess> {
    let shared = Arc::new(Shared::default());
    shared.lock().given.resize(size, None);
    (0..size).map(|rank| InProcess { rank, size, shared: shared.clone() }).collect()
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `ready`.
    fn wait(&self, until: Instant, ready: impl Fn(&State) -> bool) -> Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        loop {
            if ready(&state) {
                return Ok(state);
            }
            if let Some(gone) = state.gone {
                return Err(Error::Team(format!("process {gone} of {} has ended", state.given.len())));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let missing = state.given.iter().position(Option::is_none).unwrap_or(0);
                return Err(Error::Team(format!("process {missing} of {} does not answer", state.given.len())));
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Communicator for InProcess {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn all_reduce(&self, values: &mut Vec<f32>, limit: Duration) -> Result<()> {
        let given = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let numbers = |bytes: Vec<u8>| -> Vec<f32> {
            bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
        };
        let all: Vec<Vec<f32>> = self.all_gather(given, limit)?.into_iter().map(numbers).collect();
        if all.iter().any(|one| one.len() != values.len()) {
            return Err(Error::Team("the processes do not add up the same numbers".into()));
        }
        *values = add_in_order(all.iter().map(Vec::as_slice));
        Ok(())
    }

    fn all_gather(&self, bytes: Vec<u8>, limit: Duration) -> Result<Vec<Vec<u8>>> {
        let until = Instant::now().checked_add(limit).unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400));
        // Those who are slow may still take what the last round gave.
        let mut state = self.shared.wait(until, |state| state.given[self.rank].is_none())?;
        state.given[self.rank] = Some(bytes);
        drop(state);
        self.shared.changed.notify_all();
        let mut state = self.shared.wait(until, |state| state.given.iter().all(Option::is_some))?;
        let all = state.given.iter().map(|given| given.clone().unwrap_or_default()).collect();
        state.taken += 1;
        if state.taken == self.size {
            state.taken = 0;
            state.given.fill(None);
        }
        drop(state);
        self.shared.changed.notify_all();
        Ok(all)
    }

    fn abort(&self) {
        self.shared.lock().gone.get_or_insert(self.rank);
        self.shared.changed.notify_all();
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_taken_in_the_order_of_ranks() {
        // In another order these give other numbers.
        let values = [1e8f32, 1.0, -1e8];
        let sums = together(3, |team| {
            let own = || vec![values[team.rank()], 0.25 * team.rank() as f32];
            (0..100).map(|_| team.sum(own()).unwrap()).collect::<Vec<_>>()
        });
        let expected = (values[0] + values[1]) + values[2];
        assert_eq!(sums.unwrap(), vec![vec![vec![expected, 0.75]; 100]; 3]);
    }

    #[test]
    fn bytes_come_by_rank() {
        let all = together(3, |team| {
            let gathered: Vec<Vec<u8>> = team.gather(&vec![7; team.rank()]).unwrap();
            (gathered, team.first_makes(|| Ok(team.rank())).unwrap())
        });
        assert_eq!(all.unwrap(), vec![(vec![vec![], vec![7], vec![7, 7]], 0); 3]);
    }

    #[test]
    fn who_has_gone_is_not_waited_for() {
        let errors = together(3, |team| match team.rank() {
            1 => String::new(),
            _ => team.barrier().unwrap_err().to_string(),
        });
        let errors = errors.unwrap();
        assert!(errors[0].contains("process 1 of 3 has ended") && errors[0] == errors[2], "{errors:?}");
    }

    #[test]
    fn who_does_not_answer_is_named() {
        let late = together(2, |team| match team.rank() {
            0 => team.with_limit(Duration::from_millis(30)).barrier().unwrap_err().to_string(),
            _ => {
                std::thread::sleep(Duration::from_millis(300));
                String::new()
            }
        });
        let late = late.unwrap();
        assert!(late[0].contains("process 1 of 2 does not answer"), "{late:?}");
    }
}
