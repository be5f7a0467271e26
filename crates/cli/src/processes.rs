//! The processes that `mpirun` or `srun` started together: what their launcher tells, and how they begin and end as one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Error, Result};
use ksom_vqvae::Team;

/// How many seconds other processes are waited for.
#[cfg(feature = "mpi")]
const TIMEOUT: &str = "KSOM_MPI_TIMEOUT";

/// What Open MPI, MPICH and its kin, and Slurm call the number of processes on this host, and this one's number there.
const LOCAL_SIZES: [&str; 3] = ["OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "PMI_LOCAL_SIZE"];
const LOCAL_RANKS: [&str; 4] = ["OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "PMI_LOCAL_RANK", "SLURM_LOCALID"];

/// The team of this process, until it ends.
static TEAM: Mutex<Option<Team>> = Mutex::new(None);

fn number(variables: &[&str]) -> Option<usize> {
    variables.iter().find_map(|name| std::env::var(name).ok()?.trim().parse().ok())
}

/// What to do where several processes were started together and do not know of each other, so that each trains alone.
pub fn advice() -> Option<&'static str> {
    let together = number(&["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"]).is_some_and(|count| count > 1);
    let advice = match cfg!(feature = "mpi") {
        true => "several processes were started, which MPI does not bring together: try `srun --mpi=pmix` or `mpirun`",
        false => "several processes were started, but this ksom trains in one: build it with `--features mpi`",
    };
    (together && team().is_none()).then_some(advice)
}

/// Which of the processes on this host this is, if several were started.
pub fn local_rank() -> Option<usize> {
    number(&LOCAL_RANKS).filter(|_| local_size() > 1)
}

/// How many processes were started on this host together.
fn local_size() -> usize {
    number(&LOCAL_SIZES).or_else(slurm_tasks_here).unwrap_or(1)
}

/// Slurm tells `2(x3),1`: two on each of three hosts, one on another.
fn slurm_tasks_here() -> Option<usize> {
    let host = number(&["SLURM_NODEID"])?;
    tasks_on(&std::env::var("SLURM_STEP_TASKS_PER_NODE").ok()?, host)
}

fn tasks_on(told: &str, host: usize) -> Option<usize> {
    let mut before = 0;
    for entry in told.split(',') {
        let (tasks, hosts) = match entry.split_once("(x") {
            Some((tasks, hosts)) => (tasks, hosts.trim_end_matches(')').parse().ok()?),
            None => (entry, 1),
        };
        before += hosts;
        if host < before {
            return tasks.trim().parse().ok();
        }
    }
    None
}

/// How many threads this process should compute on, where several processes share this host: a launcher may have bound
/// each to cores of its own, or to none.
pub fn share_of_cores() -> Option<usize> {
    let processes = local_size();
    if processes <= 1 {
        return None;
    }
    let own = std::thread::available_parallelism().map_or(1, usize::from);
    let [allowed, launchers] = ["self".to_string(), parent()].map(|process| allowed_cores(&process));
    let of_all = match (allowed, launchers) {
        // What this process may use is what the launcher may: nobody has bound it.
        (Some(allowed), Some(launchers)) if allowed != launchers => launchers.max(allowed),
        _ => own,
    };
    let of_all = number(&["SLURM_CPUS_ON_NODE"]).map_or(of_all, |granted| granted.min(of_all));
    Some((of_all / processes).clamp(1, own))
}

fn parent() -> String {
    #[cfg(unix)]
    return std::os::unix::process::parent_id().to_string();
    #[cfg(not(unix))]
    String::new()
}

/// The cores that a process may run on, as Linux tells it.
fn allowed_cores(process: &str) -> Option<usize> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    count_cores(list)
}

/// How many a list such as `0-3,8` names.
fn count_cores(list: &str) -> Option<usize> {
    let count = |range: &str| match range.trim().split_once('-') {
        Some((first, last)) => Some(last.parse::<usize>().ok()?.checked_sub(first.parse().ok()?)? + 1),
        None => range.trim().parse::<usize>().ok().map(|_| 1),
    };
    list.split(',').map(count).sum()
}

/// Joins the processes that this one was started with, if it was started so.
pub fn join() -> Result<Team> {
    let team = started()?;
    *TEAM.lock().unwrap_or_else(PoisonError::into_inner) = Some(team.clone());
    Ok(team)
}

#[cfg(feature = "mpi")]
fn started() -> Result<Team> {
    const LAUNCHED: [&str; 5] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMI_RANK", "PMIX_RANK", "MPI_LOCALNRANKS"];
    if !LAUNCHED.iter().any(|name| std::env::var_os(name).is_some()) {
        return Ok(Team::default());
    }
    let limit = match std::env::var(TIMEOUT) {
        Err(_) => None,
        Ok(text) => match text.trim().parse::<u64>() {
            Ok(seconds) if (1..=86_400).contains(&seconds) => Some(Duration::from_secs(seconds)),
            _ => anyhow::bail!("{TIMEOUT} is {text:?}: expected 1 to 86400 seconds"),
        },
    };
    let team = Team::new(ksom_vqvae::team::Mpi::start()?);
    Ok(limit.map_or(team.clone(), |limit| team.with_limit(limit)))
}

#[cfg(not(feature = "mpi"))]
fn started() -> Result<Team> {
    Ok(Team::default())
}

fn team() -> Option<Team> {
    TEAM.lock().unwrap_or_else(PoisonError::into_inner).clone().filter(|team| !team.is_alone())
}

/// Ends with the other processes, all of which have done what they were asked to: a launcher ends those that go on after
/// one has ended with another code than 0.
pub fn leave() -> Result<()> {
    let waited = team().map_or(Ok(()), |team| team.wait_for_all());
    if waited.is_ok() {
        // MPI ends here.
        *TEAM.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
    Ok(waited?)
}

/// Says by `report` why this process cannot go on, and ends the others.
pub fn give_up(report: impl FnOnce(&dyn Fn(Error) -> Error) -> u8) -> u8 {
    let Some(team) = team() else { return report(&|error| error) };
    let (rank, size) = (team.rank(), team.size());
    if rank > 0 {
        // What is wrong with all of them the first one tells, and ends the others by the time that they would.
        const FOR_FIRST: Duration = Duration::from_secs(2);
        const EACH: Duration = Duration::from_millis(100);
        std::thread::sleep(FOR_FIRST + EACH * rank.min(20) as u32);
    }
    let code = report(&|error| match rank {
        0 => error,
        _ => error.context(format!("process {rank} of {size}")),
    });
    team.abort();
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_and_tasks_are_counted() {
        assert_eq!([" 0-3,8", "5", "0-1"].map(count_cores), [Some(5), Some(1), Some(2)]);
        assert_eq!(["", "a", "3-1"].map(count_cores), [None; 3]);
        assert_eq!([0, 2, 3, 4].map(|host| tasks_on("2(x3),1", host)), [Some(2), Some(2), Some(1), None]);
        assert_eq!(tasks_on("4", 0), Some(4));
        assert_eq!(tasks_on("many", 0), None);
    }
}
