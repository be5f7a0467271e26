//! Devices by name, and why one does not start.

use candle_core::{DType, Device, Tensor};

use crate::error::{Error, Result};
use crate::system::caught::caught;
use crate::system::device_failure::{Kind, explain};

/// A device that was opened by its name.
#[derive(Clone, Debug)]
pub struct OpenedDevice {
    /// The device.
    pub device: Device,
    /// What `auto` would have taken before it, and why that does not start. Empty where a device was named, and where
    /// this program was built for the CPU alone.
    pub passed_over: Vec<PassedOver>,
}

/// A device that does not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// `CUDA` or `Metal`.
    pub name: &'static str,
    /// Why it does not start, and what to do.
    pub reason: String,
}

/// Opens a device by name: `auto` (CUDA or Metal where this program was built for it and one works, else the CPU), `cpu`,
/// `cuda`, `cuda:N` or `metal`.
///
/// # Errors
/// The name is none of these, the program was built without the device's feature, or the device does not start.
pub fn open_device(name: &str) -> Result<OpenedDevice> {
    Drivers { is_built: &Kind::is_built, open: &open }.find(name)
}

/// A device's name in a sentence.
pub fn device_name(device: &Device) -> &'static str {
    match device {
        Device::Cpu => "the CPU",
        Device::Cuda(_) => "the CUDA device",
        Device::Metal(_) => "the Metal device",
    }
}

/// candle's constructors, and a first kernel: whether the driver can run any shows only then.
fn open(kind: Kind, ordinal: usize) -> candle_core::Result<Device> {
    let device = match kind {
        Kind::Cuda => Device::new_cuda(ordinal)?,
        Kind::Metal => Device::new_metal(ordinal)?,
    };
    let two = (Tensor::ones(1, DType::F32, &device)? + 1.0)?.to_vec1::<f32>()?;
    if two != [2.0] {
        candle_core::bail!("it computes 1 + 1 = {two:?}");
    }
    Ok(device)
}

/// What opens devices: candle, or whatever a test puts in its place.
struct Drivers<'a> {
    is_built: &'a dyn Fn(Kind) -> bool,
    open: &'a dyn Fn(Kind, usize) -> candle_core::Result<Device>,
}

impl Drivers<'_> {
    fn find(&self, name: &str) -> Result<OpenedDevice> {
        let refused = |message: String| Error::Device { device: name.to_string(), message };
        let named = |kind: Kind, ordinal| {
            if !(self.is_built)(kind) {
                let (kind, feature) = (kind.name(), kind.name().to_lowercase());
                return Err(refused(format!(
                    "this ksom was built without {kind}: build it with `--features {feature}`"
                )));
            }
            let device = self.start(kind, ordinal).map_err(|reason| refused(format!("{name}: {reason}")))?;
            Ok(OpenedDevice { device, passed_over: Vec::new() })
        };
        match name {
            "auto" => Ok(self.best()),
            "cpu" => Ok(OpenedDevice { device: Device::Cpu, passed_over: Vec::new() }),
            "cuda" => named(Kind::Cuda, 0),
            "metal" => named(Kind::Metal, 0),
            other => match other.strip_prefix("cuda:").map(str::parse) {
                Some(Ok(ordinal)) => named(Kind::Cuda, ordinal),
                _ => Err(refused(format!("device must be auto, cpu, cuda, cuda:N or metal, found {other:?}"))),
            },
        }
    }

    fn best(&self) -> OpenedDevice {
        let mut passed_over = Vec::new();
        for kind in Kind::ALL.into_iter().filter(|&kind| (self.is_built)(kind)) {
            match self.start(kind, 0) {
                Ok(device) => return OpenedDevice { device, passed_over },
                Err(reason) => passed_over.push(PassedOver { name: kind.name(), reason }),
            }
        }
        OpenedDevice { device: Device::Cpu, passed_over }
    }

    /// A device, or why it does not start: its constructor may return an error or panic.
    fn start(&self, kind: Kind, ordinal: usize) -> std::result::Result<Device, String> {
        match caught(|| (self.open)(kind, ordinal)) {
            Ok(Ok(device)) => Ok(device),
            Ok(Err(error)) => Err(explain(kind, &error.to_string())),
            Err(panic) => Err(explain(kind, &panic)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message where `open` opens devices, of which all kinds are built.
    fn message(name: &str, open: &dyn Fn(Kind, usize) -> candle_core::Result<Device>) -> String {
        let error = Drivers { is_built: &|_| true, open }.find(name).unwrap_err();
        assert!(matches!(&error, Error::Device { device, .. } if device == name), "{error:?}");
        error.to_string()
    }

    fn cuda_error(code: &str) -> candle_core::Error {
        candle_core::Error::Cuda(format!("DriverError({code}, \"…\")").into())
    }

    #[test]
    fn a_constructor_that_panics_is_told_with_its_cause() {
        let empty = |_, ordinal| Ok(Vec::<Device>::new().swap_remove(ordinal));
        let told = message("metal", &empty);
        assert!(told.contains("no Metal device") && told.contains("swap_remove") && told.contains("SSH"), "{told}");
        let old =
            |_, _| -> candle_core::Result<Device> { panic!("class MTLResidencySetDescriptor could not be found") };
        let told = message("metal", &old);
        assert!(told.contains("macOS 15") && told.contains("MTLResidencySetDescriptor"), "{told}");
        let odd = |_, _| -> candle_core::Result<Device> { std::panic::panic_any(5) };
        assert!(message("cuda", &odd).contains("without a message"));
    }

    #[test]
    fn a_constructor_that_fails_is_told_with_its_cause() {
        let cases = [
            ("CUDA_ERROR_NO_DEVICE", "CUDA_VISIBLE_DEVICES"),
            ("CUDA_ERROR_INVALID_DEVICE", "nvidia-smi"),
            ("CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "driver up to date"),
            ("CUDA_ERROR_NO_BINARY_FOR_GPU", "CUDA_COMPUTE_CAP"),
            ("CUDA_ERROR_OUT_OF_MEMORY", "no memory left"),
            ("CUDA_ERROR_UNKNOWN", "does not start"),
        ];
        for (code, remedy) in cases {
            let told = message("cuda:3", &|kind, ordinal| {
                assert_eq!((kind, ordinal), (Kind::Cuda, 3));
                Err(cuda_error(code))
            });
            assert!(told.starts_with("cuda:3: ") && told.contains(code) && told.contains(remedy), "{told}");
        }
    }

    #[test]
    fn auto_takes_what_works_and_says_what_does_not() {
        let none = |kind, _| match kind {
            Kind::Cuda => Err(cuda_error("CUDA_ERROR_NO_DEVICE")),
            Kind::Metal => panic!("swap_remove index (is 0) should be < len (is 0)"),
        };
        let found = Drivers { is_built: &|_| true, open: &none }.find("auto").unwrap();
        assert!(found.device.is_cpu());
        assert_eq!(found.passed_over.iter().map(|device| device.name).collect::<Vec<_>>(), ["CUDA", "Metal"]);
        assert!(found.passed_over[0].reason.contains("CUDA_ERROR_NO_DEVICE"));
        assert!(found.passed_over[1].reason.contains("swap_remove"));

        // The CPU stands in for a device that starts.
        let metal = |kind, _| match kind {
            Kind::Cuda => Err(cuda_error("CUDA_ERROR_NO_DEVICE")),
            Kind::Metal => Ok(Device::Cpu),
        };
        let found = Drivers { is_built: &|_| true, open: &metal }.find("auto").unwrap();
        assert_eq!(found.passed_over.len(), 1);
        let found = Drivers { is_built: &|kind| kind == Kind::Metal, open: &metal }.find("auto").unwrap();
        assert!(found.passed_over.is_empty());
        let untouched = |_, _| -> candle_core::Result<Device> { unreachable!("nothing was built") };
        let found = Drivers { is_built: &|_| false, open: &untouched }.find("auto").unwrap();
        assert!(found.device.is_cpu() && found.passed_over.is_empty());
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for name in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU"] {
            assert!(open_device(name).unwrap_err().to_string().contains("cuda:N"), "{name}");
        }
        assert!(open_device("cpu").unwrap().device.is_cpu());
    }
}
