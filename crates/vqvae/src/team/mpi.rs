//! A team over MPI, by the crate `mpi`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mpi::Threading;
use mpi::datatype::PartitionMut;
use mpi::request::{Request, Scope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives};

use crate::error::{Error, Result};
use crate::team::communicator::{Communicator, add_in_order};

/// The processes that `mpirun` or `srun` has started.
///
/// One thread of this process speaks MPI, from its initialization to its end, and others give it what is to be said: MPI
/// is asked for nothing but that (`MPI_THREAD_FUNNELED`). All operations are nonblocking and asked after, so that a
/// process that never answers is noticed.
///
/// Sums are taken by ourselves in the order of ranks, from two operations that do not compute: every process gets its
/// piece of all numbers (all-to-all), adds it up, and all get the sums (all-gather). Which order `MPI_Allreduce` adds in is
/// left to the library, which chooses by size, number and place of the processes. As much goes over the network as with
/// the best of its ways: 2 (n − 1) / n of the numbers from each process.
pub struct Mpi {
    rank: usize,
    size: usize,
    jobs: Option<Sender<Job>>,
    /// Whether another process did not come in time.
    late: AtomicBool,
    /// Asks the thread to end all processes.
    gives_up: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread that speaks MPI is asked for.
enum Job {
    Sum(Vec<f32>, Sender<Vec<f32>>),
    Gather(Vec<u8>, Sender<Vec<Vec<u8>>>),
}

impl Mpi {
    /// Joins the processes that this one was started with. A process can do this once.
    ///
    /// # Errors
    /// MPI cannot be started.
    pub fn start() -> Result<Self> {
        let (jobs, received) = channel();
        let (ready, started) = channel();
        let gives_up = Arc::new(AtomicBool::new(false));
        let told = gives_up.clone();
        let thread = std::thread::Builder::new()
            .name("ksom-mpi".into())
            .spawn(move || speak(&ready, &received, &told))
            .map_err(|error| Error::Team(format!("cannot start a thread for MPI: {error}")))?;
        match started.recv() {
            Ok(Some((rank, size))) => {
                Ok(Self { rank, size, jobs: Some(jobs), late: AtomicBool::new(false), gives_up, thread: Some(thread) })
            }
            _ => Err(Error::Team("MPI cannot be started: it was already, or has ended".into())),
        }
    }

    /// Has the thread do something, and waits for what comes of it.
    fn ask<T>(&self, job: impl FnOnce(Sender<T>) -> Job, limit: Duration) -> Result<T> {
        let (answer, answered) = channel();
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job(answer)).is_ok());
        Err(Error::Team(match answered.recv_timeout(limit) {
            Ok(value) => return Ok(value),
            Err(RecvTimeoutError::Timeout) if sent => {
                self.late.store(true, Ordering::Relaxed);
                let seconds = limit.as_secs_f64();
                format!("another one of {} processes has not answered for {seconds:.0} s", self.size)
            }
            Err(_) => "MPI has ended".to_string(),
        }))
    }
}

impl Communicator for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn all_reduce(&self, values: &mut Vec<f32>, limit: Duration) -> Result<()> {
        let own = std::mem::take(values);
        *values = self.ask(|answer| Job::Sum(own, answer), limit)?;
        Ok(())
    }

    fn all_gather(&self, bytes: Vec<u8>, limit: Duration) -> Result<Vec<Vec<u8>>> {
        self.ask(|answer| Job::Gather(bytes, answer), limit)
    }

    fn abort(&self) {
        self.gives_up.store(true, Ordering::Relaxed);
        if let Some(thread) = &self.thread {
            // It ends all processes, this one too.
            while !thread.is_finished() {
                std::thread::sleep(LONG_REST);
            }
        }
    }
}

impl Drop for Mpi {
    /// Ends MPI. Where others are still waited for they never came, and all processes end.
    fn drop(&mut self) {
        self.gives_up.fetch_or(self.late.load(Ordering::Relaxed), Ordering::Relaxed);
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It catches nothing and tells nothing.
            let _ = thread.join();
        }
    }
}

/// What the thread does: MPI from its beginning to its end.
fn speak(ready: &Sender<Option<(usize, usize)>>, jobs: &Receiver<Job>, gives_up: &AtomicBool) {
    let Some((universe, _)) = mpi::initialize_with_threading(Threading::Funneled) else {
        let _ = ready.send(None);
        return;
    };
    let world = universe.world();
    let size = world.size() as usize;
    let mine = Speaking { world: &world, size, gives_up };
    // Whoever asks and does not wait for the answer has given up.
    let _ = ready.send(Some((world.rank() as usize, size)));
    loop {
        match jobs.recv_timeout(IDLE) {
            Ok(Job::Sum(values, answer)) => drop(answer.send(mine.sum(values))),
            Ok(Job::Gather(bytes, answer)) => drop(answer.send(mine.gather(&bytes))),
            Err(RecvTimeoutError::Timeout) => mine.check(),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    drop(universe);
}

/// How often a thread that has nothing to do looks whether this process gives up.
const IDLE: Duration = Duration::from_millis(20);
/// How long it rests between two looks for an operation, by how long that has taken.
const SHORT_WAIT: Duration = Duration::from_millis(20);
const SHORT_REST: Duration = Duration::from_micros(50);
const LONG_WAIT: Duration = Duration::from_secs(1);
const LONG_REST: Duration = Duration::from_millis(2);

struct Speaking<'a> {
    world: &'a SimpleCommunicator,
    size: usize,
    gives_up: &'a AtomicBool,
}

impl Speaking<'_> {
    fn check(&self) {
        if self.gives_up.load(Ordering::Relaxed) {
            self.world.abort(1);
        }
    }

    /// Asks after an operation until it is complete.
    fn complete<'a, R: ?Sized, S: Scope<'a>>(&self, mut request: Request<'a, R, S>) {
        let started = Instant::now();
        loop {
            request = match request.test() {
                Ok(_) => return,
                Err(pending) => pending,
            };
            self.check();
            match started.elapsed() {
                // Numbers are on their way, or the others are about to come.
                waited if waited < SHORT_WAIT => std::thread::yield_now(),
                waited if waited < LONG_WAIT => std::thread::sleep(SHORT_REST),
                _ => std::thread::sleep(LONG_REST),
            }
        }
    }

    /// Sums in the order of ranks.
    fn sum(&self, mut values: Vec<f32>) -> Vec<f32> {
        let len = values.len();
        let piece = len.div_ceil(self.size);
        if piece == 0 {
            return values;
        }
        values.resize(piece * self.size, 0.0);
        let mut of_all = vec![0.0f32; values.len()];
        mpi::request::scope(|scope| {
            self.complete(self.world.immediate_all_to_all_into(scope, &values[..], &mut of_all[..]));
        });
        let sums = add_in_order(of_all.chunks_exact(piece));
        mpi::request::scope(|scope| {
            self.complete(self.world.immediate_all_gather_into(scope, &sums[..], &mut values[..]));
        });
        values.truncate(len);
        values
    }

    fn gather(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let own = [bytes.len() as u64];
        let mut lengths = vec![0u64; self.size];
        mpi::request::scope(|scope| {
            self.complete(self.world.immediate_all_gather_into(scope, &own[..], &mut lengths[..]));
        });
        let mut joined = vec![0u8; lengths.iter().sum::<u64>() as usize];
        let counts: Vec<i32> = lengths.iter().map(|&length| length as i32).collect();
        let starts: Vec<i32> = (0..self.size).map(|rank| counts[..rank].iter().sum()).collect();
        // Open MPI refuses to gather nothing.
        if !joined.is_empty() {
            let mut parts = PartitionMut::new(&mut joined[..], &counts[..], &starts[..]);
            mpi::request::scope(|scope| {
                self.complete(self.world.immediate_all_gather_varcount_into(scope, bytes, &mut parts));
            });
        }
        let mut rest = &joined[..];
        lengths
            .iter()
            .map(|&length| {
                let (part, others) = rest.split_at(length as usize);
                rest = others;
                part.to_vec()
            })
            .collect()
    }
}
