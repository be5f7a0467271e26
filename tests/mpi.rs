//! Trainings by several processes under `mpirun`: what comes of them, and what becomes of them where one fails.

#[path = "cli/support.rs"]
#[allow(dead_code)]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use support::{Finished, TINY, Workspace, wait_for_lines};

/// All processes have ended within this time after one has.
const SOON: Duration = Duration::from_secs(30);

/// `mpirun -n PROCESSES ksom ARGS`, in the test's folder.
fn mpirun(space: &Workspace, processes: usize, args: &[&str]) -> Command {
    let mut command = Command::new("mpirun");
    space.settle(&mut command);
    let version = Command::new("mpirun").arg("--version").output().expect("Open MPI or MPICH is installed");
    if String::from_utf8_lossy(&version.stdout).contains("Open MPI") {
        command.args(["--oversubscribe", "--allow-run-as-root"]);
    }
    command.args(["-n", &processes.to_string(), env!("CARGO_BIN_EXE_ksom")]).args(args);
    command
}

fn ok(space: &Workspace, processes: usize, args: &[&str]) -> Finished {
    let finished = space.finish(&mut mpirun(space, processes, args));
    assert_eq!(finished.code, 0, "{}{}", finished.stdout, finished.stderr);
    finished
}

/// The arguments of a tiny training.
fn train<'a>(run: &'a str, steps: &'a str) -> Vec<&'a str> {
    let rest = ["--set", "validate_every=20", "--set", "checkpoint_every=5"];
    [&["train", "--data", "data", "--out", run, "--steps", steps], &TINY[..], &rest].concat()
}

fn bytes(run: &Path) -> Vec<Vec<u8>> {
    ["model.safetensors", "training.safetensors", "last/model.safetensors", "config.json"]
        .map(|name| std::fs::read(run.join(name)).unwrap())
        .into()
}

fn validations(run: &Path) -> Vec<f64> {
    let log = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["kind"] == "valid").map(|line| line["mse"].as_f64().unwrap()).collect()
}

#[test]
fn mpirun_trains_what_one_process_trains() {
    let space = Workspace::new();
    space.data(20);
    space.ok(&train("alone", "60"));
    ok(&space, 1, &train("one", "60"));
    assert!(bytes(&space.path("alone")) == bytes(&space.path("one")));
    for (run, processes) in [("two", 2), ("three", 3), ("again", 3)] {
        let finished = ok(&space, processes, &train(run, "60"));
        // One process speaks for all.
        assert_eq!(finished.stdout.matches("trained to step 60").count(), 1, "{}", finished.stdout);
        assert!(finished.stdout.contains(&format!("{processes} processes")), "{}", finished.stdout);
        let (alone, found) = (validations(&space.path("alone")), validations(&space.path(run)));
        assert_eq!(alone.len(), found.len());
        for (one, other) in alone.iter().zip(&found) {
            assert!((one - other).abs() < 1e-3 * one, "{processes} processes: {alone:?} and {found:?}");
        }
        let log = std::fs::read_to_string(space.path(run).join("metrics.jsonl")).unwrap();
        assert_eq!(log.lines().filter(|line| line.contains("\"train\"")).count(), 60);
    }
    assert!(bytes(&space.path("three")) == bytes(&space.path("again")), "as many processes give the same bits");
    // Gone on with by fewer and by more.
    for (processes, steps) in [(4, "80"), (2, "100")] {
        ok(&space, processes, &["train", "--out", "three", "--resume", "--steps", steps]);
    }
    assert_eq!(validations(&space.path("three")).len(), 5);
}

#[test]
fn fine_tunings_and_experiments_run_on_several_processes() {
    let space = Workspace::new();
    space.data(20);
    space.train("base", 1);
    let small = ["--set", "batch_size=4", "--set", "validate_every=4", "--set", "log_every=1"];
    let tune = |out| [&["finetune", "base", "--data", "data", "--out", out, "--steps", "12"], &small[..]].concat();
    let alone = space.json(&tune("alone"));
    let finished = ok(&space, 3, &[&tune("tuned")[..], &["--json"]].concat());
    let together: Value = serde_json::from_str(&finished.stdout).unwrap_or_else(|_| panic!("{}", finished.stdout));
    assert_eq!(together["processes"], 3);
    for key in ["validation_mse_before", "validation_mse_after"] {
        let [one, other] = [&alone, &together].map(|report| report[key].as_f64().unwrap());
        assert!((one - other).abs() < 1e-3 * one, "{key}: {one} and {other}");
    }
    assert_eq!(alone["before"]["mse"], together["before"]["mse"]);

    let experiment = r#"
        name = "Tiny"
        recipe = "cifar10"
        seeds = [0, 3]
        baseline = "ema"
        topology = true
        set = ["hidden=8", "residual_layers=1", "residual_hidden=4", "num_codes=16", "dim=8", "batch_size=4",
            "log_every=1", "steps=12", "validate_every=6", "valid_images=3"]
        [[configurations]]
        name = "ema"
        set = ["neighborhood=none"]
        [[configurations]]
        name = "ksom"
    "#;
    std::fs::write(space.path("tiny.toml"), experiment).unwrap();
    let args = ["experiment", "tiny.toml", "--data", "folder:data", "--out", "grid"];
    for _ in 0..2 {
        let finished = ok(&space, 2, &args);
        assert_eq!(finished.stdout.matches("4 of 4 runs have ended").count(), 1, "{}", finished.stdout);
    }
    let refused = space.finish(&mut mpirun(&space, 2, &[&args[..5], &["other", "--jobs", "2"]].concat()));
    assert_one_message(&refused, "one job");
}

/// One message in all, and an exit code that tells of a failure.
fn assert_one_message(finished: &Finished, says: &str) {
    assert_ne!(finished.code, 0);
    let errors: Vec<&str> = finished.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(errors.len() == 1 && errors[0].contains(says), "{}", finished.stderr);
}

#[test]
fn what_is_wrong_with_all_processes_is_said_once() {
    let space = Workspace::new();
    space.data(10);
    let run = |processes, args: &[&str]| space.finish(&mut mpirun(&space, processes, args));
    assert_one_message(&run(3, &["train", "--out", "run", "--resume"]), "no checkpoint");
    assert_one_message(&run(6, &train("run", "5")), "6 processes cannot share out a batch of 4");
    assert!(!space.path("run").join("last").exists());
}

/// A training under `mpirun` that has come so far.
struct Started {
    child: Child,
    /// The processes by rank.
    ranks: Vec<u32>,
}

impl Started {
    fn new(space: &Workspace, processes: usize, args: &[&str], run: &str) -> Self {
        let mut command = mpirun(space, processes, args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for_lines(space, &mut child, run, 12);
        let ranks = (0..processes).map(|rank| process_of(child.id(), rank)).collect();
        Self { child, ranks }
    }

    /// Waits for the end of all, which comes soon.
    fn ends(self) -> Finished {
        let since = Instant::now();
        let Self { mut child, ranks } = self;
        while child.try_wait().unwrap().is_none() || ranks.iter().any(|&rank| is_alive(rank)) {
            assert!(since.elapsed() < SOON, "processes go on: {ranks:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Finished { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

fn signal(process: u32, name: &str) {
    assert!(Command::new("kill").args([name, &process.to_string()]).status().unwrap().success());
}

/// Whether a process runs: it can have ended, and its parent not know yet.
fn is_alive(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

/// The process of a rank among the children of a launcher, and theirs.
fn process_of(launcher: u32, rank: usize) -> u32 {
    let mut family = vec![launcher];
    let mut at = 0;
    while let Some(&parent) = family.get(at) {
        let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
        family.extend(children.split_whitespace().map(|child| child.parse::<u32>().unwrap()));
        at += 1;
    }
    let has_rank = |process: &&u32| {
        let variables = std::fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        let wanted = ["OMPI_COMM_WORLD_RANK", "PMI_RANK"].map(|name| format!("{name}={rank}").into_bytes());
        let name = std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
        name.trim() == "ksom" && variables.split(|&byte| byte == 0).any(|variable| wanted.iter().any(|w| w == variable))
    };
    *family[1..].iter().find(has_rank).unwrap_or_else(|| panic!("rank {rank} is not among {family:?}"))
}

/// Files half-written beside their place.
fn parts(run: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(run).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "part")).collect()
}

/// How many threads of a process share its computations out.
#[cfg(target_os = "linux")]
fn threads_of(process: u32) -> usize {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let names = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    let computes = |name: &String| {
        let number = name.trim().strip_prefix("ksom-");
        number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    names.filter(computes).count()
}

#[cfg(target_os = "linux")]
#[test]
fn processes_that_share_a_computer_share_its_cores() {
    let mut space = Workspace::new();
    space.data(20);
    let cores = std::thread::available_parallelism().unwrap().get();
    for (asked, expected) in [("", (cores / 2).max(1)), ("3", 3)] {
        space.set("RAYON_NUM_THREADS", asked);
        let run = format!("run{asked}");
        let started = Started::new(&space, 2, &train(&run, LONG), &run);
        let found: Vec<usize> = started.ranks.iter().map(|&rank| threads_of(rank)).collect();
        signal(started.child.id(), "-TERM");
        started.ends();
        // One of them is the program's own thread, which may take part.
        assert!(found.iter().all(|&count| count == expected || count + 1 == expected), "{found:?} of {expected}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_process_takes_all_with_it_and_the_rest_is_taken_up() {
    let space = Workspace::new();
    space.data(20);
    ok(&space, 2, &train("undisturbed", "400"));
    for rank in [0, 1] {
        let run = format!("killed-{rank}");
        let started = Started::new(&space, 2, &train(&run, "400"), &run);
        signal(started.ranks[rank], "-KILL");
        assert_ne!(started.ends().code, 0);
        ok(&space, 2, &["train", "--out", &run, "--resume"]);
        assert!(bytes(&space.path("undisturbed")) == bytes(&space.path(&run)), "rank {rank}");
        assert_eq!(parts(&space.path(&run)), <[PathBuf; 0]>::default());
    }
}

/// Steps that nobody waits for, but for whoever goes on.
const LONG: &str = "800";

/// Goes on from the last checkpoint to the end, on three processes.
#[cfg(target_os = "linux")]
fn go_on(space: &Workspace, run: &str) {
    let finished = ok(space, 3, &["train", "--out", run, "--resume"]);
    assert!(finished.stdout.contains(&format!("trained to step {LONG}")), "{}", finished.stdout);
    assert!(finished.stderr.contains("continuing after step"), "{}", finished.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_that_is_asked_to_end_stops_all_with_a_checkpoint() {
    let space = Workspace::new();
    space.data(20);
    for rank in [0, 1] {
        let run = format!("stopped-{rank}");
        let started = Started::new(&space, 2, &train(&run, LONG), &run);
        signal(started.ranks[rank], "-TERM");
        let finished = started.ends();
        assert_eq!(finished.code, 143, "{}", finished.stderr);
        assert!(finished.stdout.contains("stopped after step"), "{}{}", finished.stdout, finished.stderr);
        assert!(space.path(&run).join("last/model.safetensors").is_file());
        go_on(&space, &run);
    }
    // The launcher itself: whatever it gives its processes time for.
    let started = Started::new(&space, 2, &train("launcher", LONG), "launcher");
    signal(started.child.id(), "-TERM");
    assert_ne!(started.ends().code, 0);
    go_on(&space, "launcher");
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_that_hangs_is_not_waited_for_without_end() {
    let mut space = Workspace::new();
    space.data(20);
    space.set("KSOM_MPI_TIMEOUT", "2");
    for rank in [0, 1] {
        let run = format!("hung-{rank}");
        let started = Started::new(&space, 2, &train(&run, LONG), &run);
        let process = started.ranks[rank];
        signal(process, "-STOP");
        let finished = started.ends();
        assert_ne!(finished.code, 0);
        let errors: Vec<&str> = finished.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        // Where the launcher wakes the one that hung before it ends it, that one finds that it has waited, too.
        assert!((1..=2).contains(&errors.len()), "{}", finished.stderr);
        assert!(errors.iter().all(|error| error.contains("has not answered for 2 s")), "{}", finished.stderr);
        go_on(&space, &run);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_for_the_first_process_ends_all() {
    if Command::new("prlimit").arg("--version").output().is_err() {
        eprintln!("skipped: there is no prlimit to make files that cannot grow");
        return;
    }
    let space = Workspace::new();
    space.data(20);
    // Writing on fails, instead of ending the process, as on a full disk.
    let mut command = mpirun(&space, 2, &[]);
    let program = command.get_program().to_owned();
    let words: Vec<_> = command.get_args().map(|word| word.to_owned()).collect();
    let (launcher, ksom) = words.split_at(words.len() - 1);
    command = Command::new(program);
    space.settle(&mut command);
    command.args(launcher).args(["sh", "-c", "trap '' 25; exec \"$0\" \"$@\""]).args(ksom).args(train("full", LONG));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_lines(&space, &mut child, "full", 12);
    let ranks: Vec<u32> = (0..2).map(|rank| process_of(child.id(), rank)).collect();
    let limited = Command::new("prlimit").args(["--fsize=1024", "--pid", &ranks[0].to_string()]).status().unwrap();
    assert!(limited.success());
    assert_one_message(&Started { child, ranks }.ends(), "File too large");
    go_on(&space, "full");
}

#[test]
fn a_picture_that_one_process_cannot_read_is_named_once() {
    let space = Workspace::new();
    space.data(20);
    // Whole as far as its header, which is what is looked at before.
    let torn = space.path("data/007.png");
    let bytes = std::fs::read(&torn).unwrap();
    std::fs::write(&torn, &bytes[..bytes.len() / 2]).unwrap();
    let whole = ["--set", "normalization=half", "--set", "checkpoint_every=1"];
    let finished = space.finish(&mut mpirun(&space, 3, &[&train("run", "60")[..], &whole].concat()));
    assert_one_message(&finished, "007.png");
    let skipping = [&train("run-2", "60")[..], &whole, &["--skip-unreadable", "--cache", "decoded"]].concat();
    assert!(ok(&space, 3, &skipping).stderr.matches("warning: left out").count() <= 1);
}
