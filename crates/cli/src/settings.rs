//! The global options, settled.

use anyhow::{Result, bail};
use candle_core::{DType, Device};
use ksom_vqvae::model::require_operations;
use ksom_vqvae::system::{OpenedDevice, device_name, open_device, threads};
use ksom_vqvae::{Compute, Team};

use crate::arguments::{GlobalArgs, Precision};
use crate::console::Console;
use crate::failure::Usage;
use crate::processes;

/// What the global options amount to.
pub struct Settings {
    device: String,
    dtype: DType,
    portable: bool,
    tf32: bool,
    pub json: bool,
    pub console: Console,
    /// The processes that train together.
    pub team: Team,
}

impl Settings {
    pub fn new(args: GlobalArgs) -> Self {
        let dtype = match args.dtype {
            Precision::F32 => DType::F32,
            Precision::F16 => DType::F16,
            Precision::Bf16 => DType::BF16,
        };
        let console = Console::new(args.quiet);
        start_threads(&console);
        Self {
            device: args.device,
            dtype,
            portable: args.portable,
            tf32: args.tf32,
            json: args.json,
            console,
            team: Team::default(),
        }
    }

    /// Trains together with other processes from now on: the first one speaks for all.
    pub fn join(&mut self, team: Team) {
        self.console.mute |= !team.leads();
        self.console.quiet |= !team.leads();
        self.team = team;
    }

    /// The type that was asked for.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Where and in which type to compute.
    pub fn compute(&self) -> Result<Compute> {
        self.compute_by(|device| Compute::new(device, self.dtype))
    }

    fn compute_by(&self, on: impl FnOnce(Device) -> Compute) -> Result<Compute> {
        let opened = match (self.device.as_str(), processes::local_rank()) {
            // Each process on this host has its own.
            ("cuda", Some(rank)) => open_device(&format!("cuda:{rank}"))?,
            ("auto", Some(rank)) => match open_device("auto")? {
                first if first.device.is_cuda() => open_device(&format!("cuda:{rank}"))?,
                other => other,
            },
            (name, _) => open_device(name)?,
        };
        if let Some(choice) = choice(&opened).filter(|_| self.device == "auto") {
            self.console.note(&choice);
        }
        if self.tf32 {
            if !opened.device.is_cuda() {
                let device = device_name(&opened.device);
                bail!(Usage(format!(
                    "--tf32 is a way of multiplying that CUDA devices have, not {device}: leave it out"
                )));
            }
            candle_core::cuda::set_gemm_reduced_precision_f32(true);
        }
        let compute = on(opened.device);
        let compute = if self.portable { compute.portable() } else { compute };
        require_operations(&compute)?;
        Ok(compute)
    }

    /// The same for training, which keeps everything but its matrix products in f32.
    pub fn compute_for_training(&self) -> Result<Compute> {
        if self.dtype == DType::F16 {
            bail!(Usage("gradients do not fit into f16: train with --dtype bf16, or leave it out".into()));
        }
        let compute = self.compute_by(|device| Compute::new(device, self.dtype).for_training())?;
        if compute.products.is_some() && compute.device.is_cpu() && !self.portable {
            bail!(Usage("on the CPU a training is slower in bf16 than in f32: leave out --dtype".into()));
        }
        Ok(compute.with_team(self.team.clone()))
    }
}

/// Starts the threads that compute, and says where these are not those that were asked for.
fn start_threads(console: &Console) {
    const VARIABLE: &str = "RAYON_NUM_THREADS";
    let asked = std::env::var(VARIABLE).is_ok_and(|value| !value.trim().is_empty());
    if let Some(share) = processes::share_of_cores().filter(|_| !asked) {
        // SAFETY: the program has just begun, and there is no other thread yet.
        unsafe { std::env::set_var(VARIABLE, share.to_string()) };
    }
    let threads = threads();
    if let Some(fewer) = &threads.fewer {
        console.warn(fewer, None);
        // candle shares its products out by this variable.
        // SAFETY: the only other threads are those of the pool, which wait for their first work and read no variables.
        unsafe { std::env::set_var(VARIABLE, threads.count.to_string()) };
    }
}

/// Which device was taken, and why not those before it. Nothing where there was no choice.
fn choice(opened: &OpenedDevice) -> Option<String> {
    if opened.device.is_cpu() && opened.passed_over.is_empty() {
        return None;
    }
    let passed_over = opened.passed_over.iter().map(|device| format!("; not {}: {}", device.name, device.reason));
    Some(format!("computing on {}{}", device_name(&opened.device), passed_over.collect::<String>()))
}

#[cfg(test)]
mod tests {
    use ksom_vqvae::system::PassedOver;

    use super::*;

    #[test]
    fn the_choice_of_a_device_is_one_line_and_told_where_there_was_one() {
        let mut opened = OpenedDevice { device: Device::Cpu, passed_over: Vec::new() };
        assert_eq!(choice(&opened), None);
        opened.passed_over.push(PassedOver { name: "CUDA", reason: "no card".into() });
        opened.passed_over.push(PassedOver { name: "Metal", reason: "no session".into() });
        assert_eq!(choice(&opened).unwrap(), "computing on the CPU; not CUDA: no card; not Metal: no session");
    }
}
