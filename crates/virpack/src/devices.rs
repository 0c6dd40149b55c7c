//! Which device runs a model.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use virpack_device::{Cpu, Cuda, CudaOptions, Dtype};

use crate::Error;

/// Where a model is to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first NVIDIA GPU that can be used, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The NVIDIA GPU of this number, as `nvidia-smi` counts.
    Cuda(usize),
}

/// How a device is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceOptions {
    /// Where to run.
    pub device: DeviceChoice,
    /// The precision of activations and weights; None: float16 on a GPU, float32 on the CPU.
    pub dtype: Option<Dtype>,
    /// Threads that compute on a CPU; None: one a core.
    pub threads: Option<NonZeroUsize>,
}

/// A device that is ready.
#[derive(Debug)]
pub enum Device {
    /// The CPU, in float32.
    Cpu(Cpu),
    /// An NVIDIA GPU.
    Cuda(Box<Cuda>),
}

impl DeviceOptions {
    /// Makes the device ready.
    ///
    /// ```
    /// use virpack::devices::{Device, DeviceChoice, DeviceOptions};
    ///
    /// let options = DeviceOptions { device: DeviceChoice::Cpu, ..DeviceOptions::default() };
    /// assert!(matches!(options.open()?, Device::Cpu(_)));
    /// # Ok::<(), virpack::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] where the device that was asked for cannot be used: another one is never taken
    /// instead. [`Error::CpuDtype`] for 16 bits on a CPU.
    pub fn open(&self) -> Result<Device, Error> {
        match self.device {
            DeviceChoice::Cpu => self.cpu(),
            DeviceChoice::Cuda(ordinal) => self.cuda(ordinal),
            DeviceChoice::Auto => {
                let count = Cuda::count().unwrap_or(0);
                match (0..count).find_map(|ordinal| self.cuda(ordinal).ok()) {
                    Some(device) => Ok(device),
                    None => self.cpu(),
                }
            }
        }
    }

    fn cpu(&self) -> Result<Device, Error> {
        match self.dtype {
            None | Some(Dtype::F32) => Ok(Device::Cpu(Cpu::new(self.threads)?)),
            Some(dtype) => Err(Error::CpuDtype { dtype, auto: self.device == DeviceChoice::Auto }),
        }
    }

    fn cuda(&self, ordinal: usize) -> Result<Device, Error> {
        let options = CudaOptions { dtype: self.dtype.unwrap_or_default() };
        match Cuda::new(ordinal, options) {
            Ok(cuda) => Ok(Device::Cuda(Box::new(cuda))),
            Err(why) => Err(Error::Unavailable { device: DeviceChoice::Cuda(ordinal), why }),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |n: &str| n.parse().ok().map(DeviceChoice::Cuda);
        match text {
            "auto" => Ok(DeviceChoice::Auto),
            "cpu" => Ok(DeviceChoice::Cpu),
            "cuda" => Ok(DeviceChoice::Cuda(0)),
            other => other
                .strip_prefix("cuda:")
                .and_then(number)
                .ok_or_else(|| "expected auto, cpu, cuda or cuda:N".to_owned()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceChoice::Auto => f.write_str("auto"),
            DeviceChoice::Cpu => f.write_str("cpu"),
            DeviceChoice::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices() {
        for choice in [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Cuda(3)] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for wrong in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU", "cuda0"] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_cpu_has_one_precision() {
        for dtype in [Dtype::F16, Dtype::Bf16] {
            let options =
                DeviceOptions { device: DeviceChoice::Cpu, dtype: Some(dtype), ..DeviceOptions::default() };
            assert!(matches!(options.open(), Err(Error::CpuDtype { auto: false, .. })));
        }
    }

    #[test]
    fn a_card_that_is_not_there_is_an_error() {
        let options = DeviceOptions { device: DeviceChoice::Cuda(4_000), ..DeviceOptions::default() };
        let error = options.open().unwrap_err();
        assert!(matches!(error, Error::Unavailable { device: DeviceChoice::Cuda(4_000), .. }), "{error}");
        assert!(error.to_string().contains("hint: "), "{error}");
    }
}
