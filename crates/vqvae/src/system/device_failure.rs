//! What a device's driver means by its errors, and what to do about them.

/// A kind of device besides the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Cuda,
    Metal,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Cuda, Self::Metal];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cuda => "CUDA",
            Self::Metal => "Metal",
        }
    }

    /// Whether this program was built for it.
    pub(crate) fn is_built(self) -> bool {
        match self {
            Self::Cuda => cfg!(feature = "cuda"),
            Self::Metal => cfg!(feature = "metal"),
        }
    }
}

/// What kind of failure a driver's text tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There is no memory left on the device.
    OutOfMemory,
    /// There is no such device, or this process does not see it.
    NoDevice,
    /// The driver or system is older than the program, or the program was built for other devices.
    TooOld,
    Other,
}

/// The texts are those of cudarc 0.19 (names of CUDA's error codes), candle 0.11 and Metal.
const TEXTS: [(Failure, &[&str]); 3] = [
    (
        Failure::OutOfMemory,
        &[
            "CUDA_ERROR_OUT_OF_MEMORY",
            "CUBLAS_STATUS_ALLOC_FAILED",
            "CUDNN_STATUS_ALLOC_FAILED",
            "CURAND_STATUS_ALLOCATION_FAILED",
            "Failed to create metal resource: Buffer",
            "kIOGPUCommandBufferCallbackErrorOutOfMemory",
            "Insufficient Memory",
        ],
    ),
    (
        Failure::TooOld,
        &[
            "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
            "CUDA_ERROR_INVALID_PTX",
            "CUDA_ERROR_NO_BINARY_FOR_GPU",
            "CUDA_ERROR_INVALID_IMAGE",
            "CUDA_ERROR_JIT_COMPILER_NOT_FOUND",
            "CUDA_ERROR_JIT_COMPILATION_DISABLED",
            "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
            "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
            "CUDA_ERROR_STUB_LIBRARY",
            "CUBLAS_STATUS_ARCH_MISMATCH",
            "CUDNN_STATUS_ARCH_MISMATCH",
            "MTLResidencySet",
            "Error while loading library",
            "Error while loading function",
            "Failed to create pipeline",
        ],
    ),
    (Failure::NoDevice, &["CUDA_ERROR_NO_DEVICE", "CUDA_ERROR_INVALID_DEVICE", "swap_remove"]),
];

/// What kind of failure `text` tells of.
pub(crate) fn failure(text: &str) -> Failure {
    let told = TEXTS.iter().find(|(_, texts)| texts.iter().any(|known| text.contains(known)));
    told.map_or(Failure::Other, |(failure, _)| *failure)
}

/// The line that tells what failed, else the first: candle's errors can begin with what was done, and end in a backtrace
/// where `RUST_BACKTRACE` is set.
pub(crate) fn telling_line(text: &str) -> &str {
    let telling = text.lines().find(|line| failure(line) != Failure::Other);
    telling.or(text.lines().next()).unwrap_or_default().trim()
}

/// Why a device does not start, in words, and what to do.
pub(crate) fn explain(kind: Kind, cause: &str) -> String {
    let cause = telling_line(cause);
    match (kind, failure(cause)) {
        (Kind::Cuda, Failure::NoDevice) => format!(
            "this process sees no such NVIDIA card ({cause}): `nvidia-smi` lists the cards, and CUDA_VISIBLE_DEVICES can hide \
             them"
        ),
        (Kind::Cuda, Failure::TooOld) => format!(
            "the driver or the card cannot run the kernels of this program ({cause}): bring the driver up to date, or build \
             for this card's compute capability (CUDA_COMPUTE_CAP)"
        ),
        (Kind::Cuda, Failure::OutOfMemory) => {
            format!("the card has no memory left ({cause}): `nvidia-smi` shows which programs hold it")
        }
        (Kind::Metal, Failure::NoDevice) => format!(
            "macOS offers this process no Metal device ({cause}), as over SSH, in a sandbox or in a virtual machine: start it \
             from a session on the screen"
        ),
        (Kind::Metal, Failure::TooOld) => {
            format!("this macOS cannot run the kernels of this program ({cause}): macOS 15 is the oldest that can")
        }
        (Kind::Metal, Failure::OutOfMemory) => format!("the device has no memory left ({cause}): end other programs"),
        (kind, Failure::Other) => format!("{} does not start: {cause}", kind.name()),
    }
}

/// Whose memory ran out, by the text that says so.
pub(crate) fn out_of_memory(text: &str) -> Option<Kind> {
    let of_cuda = ["CUDA_", "CUBLAS_", "CUDNN_", "CURAND_"].iter().any(|prefix| text.contains(prefix));
    (failure(text) == Failure::OutOfMemory).then_some(if of_cuda { Kind::Cuda } else { Kind::Metal })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_errors_are_told_apart() {
        let cases = [
            ("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")", Failure::OutOfMemory),
            ("CublasError(CUBLAS_STATUS_ALLOC_FAILED)", Failure::OutOfMemory),
            ("Metal error Failed to create metal resource: Buffer", Failure::OutOfMemory),
            (
                "DriverError(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, \"the provided PTX was compiled with an unsupported \
                 toolchain.\") when loading affine",
                Failure::TooOld,
            ),
            ("DriverError(CUDA_ERROR_NO_BINARY_FOR_GPU, \"no kernel image is available\")", Failure::TooOld),
            ("class MTLResidencySetDescriptor could not be found", Failure::TooOld),
            ("swap_remove index (is 0) should be < len (is 0)", Failure::NoDevice),
            ("DriverError(CUDA_ERROR_NO_DEVICE, \"no CUDA-capable device is detected\")", Failure::NoDevice),
            ("something else", Failure::Other),
        ];
        for (text, expected) in cases {
            assert_eq!(failure(text), expected, "{text}");
        }
        assert_eq!(out_of_memory(cases[0].0), Some(Kind::Cuda));
        assert_eq!(out_of_memory(cases[2].0), Some(Kind::Metal));
        assert_eq!(out_of_memory(cases[3].0), None);
    }

    #[test]
    fn explanations_keep_the_cause_without_its_backtrace() {
        for kind in Kind::ALL {
            for (_, texts) in TEXTS {
                for text in texts {
                    let told = explain(kind, &format!("{text}\n   0: candle_core::error::Error::bt\n"));
                    assert!(told.contains(text) && !told.contains("0:"), "{told}");
                }
            }
        }
    }
}
