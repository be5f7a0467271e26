//! Running the binary in a folder of its own, on generated pictures.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use image::{Rgb, RgbImage};
use serde_json::Value;
use tempfile::TempDir;

/// Overrides that make a training take milliseconds.
pub const TINY: [&str; 16] = [
    "--recipe",
    "cifar10",
    "--set",
    "hidden=8",
    "--set",
    "residual_layers=1",
    "--set",
    "residual_hidden=4",
    "--set",
    "num_codes=16",
    "--set",
    "dim=8",
    "--set",
    "batch_size=4",
    "--set",
    "log_every=1",
];

/// A temporary folder that commands run in.
pub struct Workspace {
    folder: TempDir,
    variables: Vec<(&'static str, String)>,
}

/// What a command left behind.
pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Workspace {
    pub fn new() -> Self {
        // No test leaves this machine: the Hub is the loopback server, or none.
        Self { folder: TempDir::new().unwrap(), variables: vec![("HF_HUB_OFFLINE", "1".to_string())] }
    }

    /// Sets an environment variable for the commands that follow; the empty string takes it back.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.to_string()));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command, to be run in this folder.
    pub fn command<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ksom"));
        command.args(args);
        self.settle(&mut command);
        command
    }

    /// Has a command run in this folder, in the environment that is meant for it.
    pub fn settle(&self, command: &mut Command) {
        command.current_dir(self.folder.path());
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            let of_the_hub = name.starts_with("HF_") || name.starts_with("HUGGING") || name == "TRANSFORMERS_OFFLINE";
            if of_the_hub || name.to_ascii_lowercase().ends_with("_proxy") {
                command.env_remove(name);
            }
        }
        command.env("HF_HOME", self.path("hf"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
    }

    /// Runs the command to its end, whatever it is.
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Finished {
        finish(&mut self.command(args))
    }

    /// Runs a command that should succeed.
    pub fn ok<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> Finished {
        let finished = self.run(args);
        assert_eq!(finished.code, 0, "{}", finished.stderr);
        finished
    }

    /// Runs a command that should succeed and print JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let finished = self.ok(&[args, &["--json"]].concat());
        serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {}", finished.stdout))
    }

    /// Runs a command that should fail, with one readable message; gives the message.
    pub fn fails<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> String {
        self.fails_as(&mut self.command(args))
    }

    /// Runs a command in this folder in some special way, to its end.
    pub fn finish(&self, command: &mut Command) -> Finished {
        self.settle(command);
        finish(command)
    }

    /// As [`Self::fails`], for a command that is run in this folder in some special way.
    pub fn fails_as(&self, command: &mut Command) -> String {
        let finished = self.finish(command);
        assert_eq!(finished.code, 1, "{}{}", finished.stdout, finished.stderr);
        assert_eq!(finished.stdout, "");
        let errors = finished.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(errors, 1, "{}", finished.stderr);
        assert!(!finished.stderr.contains("backtrace"), "{}", finished.stderr);
        finished.stderr
    }

    /// Writes a picture and gives its name.
    pub fn picture(&self, name: &str, width: u32, height: u32, seed: u32) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        picture(width, height, seed).save(path).unwrap();
        name.to_string()
    }

    /// Writes a data set of 32×32 pictures and gives its name.
    pub fn data(&self, count: u32) -> &'static str {
        for seed in 0..count {
            self.picture(&format!("data/{seed:03}.png"), 32, 32, seed);
        }
        "data"
    }

    /// Trains a tiny model for a few steps into the folder `run`.
    pub fn train(&self, run: &str, seed: u32) {
        let data = self.data(10);
        let seed = seed.to_string();
        self.ok(&[&["train", "--data", data, "--out", run, "--steps", "3", "--seed", &seed], &TINY[..]].concat());
    }
}

fn finish(command: &mut Command) -> Finished {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let said = String::from_utf8_lossy(&stderr);
    assert!(!said.contains("panicked") && !said.contains("this is a bug"), "{said}");
    let code = status.code().unwrap_or_else(|| panic!("{status}: {}", String::from_utf8_lossy(&stderr)));
    Finished { code, stdout: text(stdout), stderr: text(stderr) }
}

/// Starts a command and waits until the run has logged so many lines.
pub fn start_until(space: &Workspace, args: &[&str], run: &str, lines: usize) -> Child {
    let mut child = space.command(args).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    wait_for_lines(space, &mut child, run, lines);
    child
}

/// Waits until the run has logged so many lines.
pub fn wait_for_lines(space: &Workspace, child: &mut Child, run: &str, lines: usize) {
    let deadline = Instant::now() + Duration::from_secs(120);
    let log = space.path(run).join("metrics.jsonl");
    while std::fs::read_to_string(&log).map_or(0, |text| text.lines().count()) < lines {
        assert!(child.try_wait().unwrap().is_none(), "the training ended before it could be interrupted");
        assert!(Instant::now() < deadline, "no {lines} lines in {}", log.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Stripes and blobs that differ with the seed, asymmetric in every direction.
pub fn picture(width: u32, height: u32, seed: u32) -> RgbImage {
    let (a, b) = (seed % 7 + 1, seed % 5 + 1);
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * a * 5 + y) as u8, (y * b * 7) as u8, ((x * y + 31 * seed) % 251) as u8])
    })
}

/// The pixels of a picture file.
pub fn pixels(path: &Path) -> RgbImage {
    image::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into_rgb8()
}
