//! Which device runs a model.

mod choice_error;

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::sync::Arc;

use virpack_device::{Cpu, Cuda, CudaOptions, Dtype, Remedy, Unavailable};

pub use choice_error::DeviceChoiceError;
pub(crate) use choice_error::DeviceChoiceProblem;

use crate::Error;
use crate::options::setters;

/// Where a model is to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first NVIDIA GPU that can be used, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The NVIDIA GPUs of these numbers, as `nvidia-smi` counts.
    Cuda(Vec<usize>),
    /// Every NVIDIA GPU.
    AllCuda,
}

/// How a device is asked for: the first usable GPU, else the CPU, unless other options are set.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DeviceOptions {
    device: DeviceChoice,
    dtype: Option<Dtype>,
    pub(crate) threads: Option<NonZeroUsize>,
}

/// Devices that are ready, at least one, all of one kind. [`for_devices!`](crate::for_devices) runs what is written for any kind.
#[derive(Debug)]
pub enum Devices {
    /// The CPU, in float32 or bfloat16.
    Cpu(Vec<Arc<Cpu>>),
    /// NVIDIA GPUs.
    Cuda(Vec<Arc<Cuda>>),
}

/// A card that [`DeviceChoice::Auto`] does not take.
#[derive(Clone, Debug)]
pub struct LeftOutCard {
    /// Its number, as `nvidia-smi` counts; None for all cards, where the driver shows none of them.
    pub ordinal: Option<usize>,
    /// Why it cannot be used.
    pub why: Unavailable,
}

impl fmt::Display for LeftOutCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let device = DeviceChoice::Cuda(Vec::from_iter(self.ordinal));
        let name = self.ordinal.map_or("cuda".to_owned(), |_| device.to_string());
        write!(f, "{name} is left out: {}", self.why)
    }
}

/// Runs an expression with devices of whatever kind [`Devices`] holds. A new kind is registered here, in `Devices` and in
/// `DeviceOptions::open_all`.
///
/// ```
/// use virpack_core::device::Device;
/// use virpack_core::{DeviceChoice, DeviceOptions};
///
/// let options = DeviceOptions::default().device(DeviceChoice::Cpu);
/// let names = virpack_core::for_devices!(options.open_all()?, |devices| {
///     devices.iter().map(|device| Device::name(&**device)).collect::<Vec<_>>()
/// });
/// assert!(names[0].starts_with("CPU"));
/// # Ok::<(), virpack_core::Error>(())
/// ```
#[macro_export]
macro_rules! for_devices {
    ($ready:expr, |$devices:ident| $work:expr) => {
        match $ready {
            $crate::Devices::Cpu($devices) => $work,
            $crate::Devices::Cuda($devices) => $work,
        }
    };
}

/// Returns the device of [`DeviceOptions::open`].
///
/// ```
/// use virpack_core::device::Device;
/// use virpack_core::{DeviceChoice, DeviceOptions, for_devices, only};
///
/// let devices = DeviceOptions::default().device(DeviceChoice::Cpu).open()?;
/// let name = for_devices!(devices, |devices| Device::name(&*only(devices)));
/// assert!(name.starts_with("CPU"));
/// # Ok::<(), virpack_core::Error>(())
/// ```
pub fn only<D>(mut devices: Vec<Arc<D>>) -> Arc<D> {
    devices.pop().expect("`open` gives one device")
}

impl DeviceOptions {
    setters! {
        /// Sets where to run.
        device: DeviceChoice,
        /// Sets the precision of activations and weights; None: float16 on a GPU, float32 on the CPU.
        dtype: impl Into<Option<Dtype>>,
        /// Sets the threads that compute on a CPU; None: one a core.
        ///
        /// ```
        /// use std::num::NonZeroUsize;
        /// use virpack_core::{DeviceChoice, DeviceOptions, Devices};
        ///
        /// let options = DeviceOptions::default().device(DeviceChoice::Cpu).threads(NonZeroUsize::new(2));
        /// assert!(matches!(options.open()?, Devices::Cpu(_)));
        /// # Ok::<(), virpack_core::Error>(())
        /// ```
        threads: impl Into<Option<NonZeroUsize>>,
    }

    /// Returns the precision that was asked for.
    pub(crate) fn asked_dtype(&self) -> Option<Dtype> {
        self.dtype
    }

    /// Makes the one device ready.
    ///
    /// # Errors
    ///
    /// As [`DeviceOptions::open_all`]; [`DeviceChoiceError`] where several are meant.
    pub fn open(&self) -> Result<Devices, Error> {
        self.open_noting(|_| ())
    }

    /// As [`DeviceOptions::open`]; cards that [`DeviceChoice::Auto`] does not take are handed to `left_out`.
    ///
    /// # Errors
    ///
    /// As [`DeviceOptions::open`].
    pub fn open_noting(&self, left_out: impl FnMut(LeftOutCard)) -> Result<Devices, Error> {
        let ready = self.open_all_noting(left_out)?;
        match for_devices!(&ready, |devices| devices.len()) {
            1 => Ok(ready),
            _ => Err(DeviceChoiceProblem::OneDevice(self.device.clone()).into()),
        }
    }

    /// Makes all devices ready.
    ///
    /// # Errors
    ///
    /// [`DeviceChoiceError`] where a requested device cannot be used (no other one takes its place), and for
    /// float16 on a CPU.
    pub fn open_all(&self) -> Result<Devices, Error> {
        self.open_all_noting(|_| ())
    }

    /// As [`DeviceOptions::open_all`]; cards that [`DeviceChoice::Auto`] does not take are handed to
    /// `left_out`.
    pub(crate) fn open_all_noting(&self, mut left_out: impl FnMut(LeftOutCard)) -> Result<Devices, Error> {
        match &self.device {
            DeviceChoice::Cpu => self.cpu(),
            DeviceChoice::Cuda(ordinals) => self.cuda(ordinals),
            DeviceChoice::AllCuda => match Cuda::count() {
                Ok(count) if count > 0 => self.cuda(&(0..count).collect::<Vec<_>>()),
                // The first one's reason.
                _ => self.cuda(&[0]),
            },
            DeviceChoice::Auto => {
                let count = Cuda::count().unwrap_or_else(|why| {
                    // A machine without the driver has no card that could be left out.
                    if why.remedy != Remedy::InstallDriver {
                        left_out(LeftOutCard { ordinal: None, why });
                    }
                    0
                });
                match first_usable(count, |ordinal| self.card(ordinal), left_out) {
                    Some(card) => Ok(Devices::Cuda(vec![card])),
                    None => self.cpu(),
                }
            }
        }
    }

    fn cpu(&self) -> Result<Devices, Error> {
        match self.dtype {
            None | Some(Dtype::F32 | Dtype::F32Strict) => {
                Ok(Devices::Cpu(vec![Arc::new(Cpu::new(self.threads)?)]))
            }
            Some(Dtype::Bf16) => Ok(Devices::Cpu(vec![Arc::new(Cpu::bf16(self.threads)?)])),
            Some(dtype @ (Dtype::F16 | Dtype::Int8)) => {
                Err(DeviceChoiceProblem::CpuDtype { dtype, auto: self.device == DeviceChoice::Auto }.into())
            }
        }
    }

    fn card(&self, ordinal: usize) -> Result<Arc<Cuda>, Unavailable> {
        Cuda::new(ordinal, CudaOptions::new(self.dtype.unwrap_or_default())).map(Arc::new)
    }

    fn cuda(&self, ordinals: &[usize]) -> Result<Devices, Error> {
        let open = |&ordinal: &usize| {
            let device = || DeviceChoice::Cuda(vec![ordinal]);
            let unavailable = |why| DeviceChoiceProblem::Unavailable { device: device(), why };
            Ok(self.card(ordinal).map_err(unavailable)?)
        };
        Ok(Devices::Cuda(ordinals.iter().map(open).collect::<Result<_, Error>>()?))
    }
}

/// Returns the first of these cards that opens; those before it are handed to `left_out`.
fn first_usable<T>(
    count: usize,
    open: impl Fn(usize) -> Result<T, Unavailable>,
    mut left_out: impl FnMut(LeftOutCard),
) -> Option<T> {
    (0..count).find_map(|ordinal| match open(ordinal) {
        Ok(card) => Some(card),
        Err(why) => {
            left_out(LeftOutCard { ordinal: Some(ordinal), why });
            None
        }
    })
}

impl FromStr for DeviceChoice {
    type Err = DeviceChoiceError;

    fn from_str(text: &str) -> Result<Self, DeviceChoiceError> {
        let wrong = || DeviceChoiceProblem::NoDevice(text.to_owned());
        match text {
            "auto" => Ok(DeviceChoice::Auto),
            "cpu" => Ok(DeviceChoice::Cpu),
            "cuda" => Ok(DeviceChoice::Cuda(vec![0])),
            "cuda:all" => Ok(DeviceChoice::AllCuda),
            other => {
                let numbers = other.strip_prefix("cuda:").ok_or_else(wrong)?.split(',');
                let numbers: Vec<usize> =
                    numbers.map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
                let twice = numbers.iter().enumerate().find(|(i, n)| numbers[..*i].contains(n));
                match twice {
                    Some((_, ordinal)) => Err(DeviceChoiceProblem::Twice(*ordinal).into()),
                    None => Ok(DeviceChoice::Cuda(numbers)),
                }
            }
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceChoice::Auto => f.write_str("auto"),
            DeviceChoice::Cpu => f.write_str("cpu"),
            DeviceChoice::AllCuda => f.write_str("cuda:all"),
            DeviceChoice::Cuda(ordinals) => {
                let numbers: Vec<String> = ordinals.iter().map(usize::to_string).collect();
                write!(f, "cuda:{}", numbers.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use virpack_device::Device;
    use virpack_seq::Hint;

    #[test]
    fn names_of_devices() {
        use DeviceChoice::{AllCuda, Auto, Cpu, Cuda};
        for choice in [Auto, Cpu, AllCuda, Cuda(vec![3]), Cuda(vec![0, 2])] {
            assert_eq!(choice.to_string().parse::<DeviceChoice>().unwrap(), choice);
        }
        assert_eq!("cuda".parse::<DeviceChoice>().unwrap(), Cuda(vec![0]));
        for wrong in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU", "cuda0", "cuda:0,", "cuda:1,1"] {
            let error = wrong.parse::<DeviceChoice>().unwrap_err();
            assert!(error.hint().is_some(), "{wrong}: {error}");
        }
        assert_eq!("gpu".parse::<DeviceChoice>().unwrap_err().to_string(), "\"gpu\" is not a device");
    }

    #[test]
    fn cards_before_the_first_usable_one_are_reported() {
        let taken = |count, usable: Option<usize>| {
            let mut left_out = Vec::new();
            let open = |ordinal| {
                let too_old = || Unavailable { reason: "too old".to_owned(), remedy: Remedy::UseCpu };
                (Some(ordinal) == usable).then_some(ordinal).ok_or_else(too_old)
            };
            let taken = first_usable(count, open, |LeftOutCard { ordinal, why }| {
                left_out.push(format!("{ordinal:?} {why}"));
            });
            (taken, left_out)
        };
        assert_eq!(taken(0, None), (None, vec![]));
        assert_eq!(taken(3, Some(0)), (Some(0), vec![]));
        let [first, second] = ["Some(0) too old", "Some(1) too old"].map(str::to_owned);
        assert_eq!(taken(3, Some(1)), (Some(1), vec![first.clone()]));
        assert_eq!(taken(2, None), (None, vec![first, second]));
    }

    #[test]
    fn a_cpu_has_two_precisions() {
        let open = |dtype| DeviceOptions::default().device(DeviceChoice::Cpu).dtype(dtype).open();
        for (asked, given) in
            [(None, Dtype::F32), (Some(Dtype::F32), Dtype::F32), (Some(Dtype::Bf16), Dtype::Bf16)]
        {
            let Devices::Cpu(cpus) = open(asked).unwrap() else { panic!("a CPU was asked for") };
            assert_eq!(cpus[0].dtype(), given);
        }
        for dtype in [Dtype::F16, Dtype::Int8] {
            let error = open(Some(dtype)).unwrap_err();
            assert!(matches!(&error, Error::DeviceChoice(error) if error.is_dtype_of_auto() == Some(false)));
            assert!(error.hint().is_some_and(|hint| hint.contains("bfloat16")), "{error:?}");
            assert!(error.to_string().ends_with(&format!("not in {dtype}")), "{error}");
        }
    }

    #[test]
    fn a_card_that_is_not_there_is_an_error() {
        let options = DeviceOptions::default().device(DeviceChoice::Cuda(vec![4_000]));
        let error = options.open().unwrap_err();
        assert!(matches!(&error, Error::DeviceChoice(error) if error.unavailable().is_some()), "{error}");
        assert!(error.to_string().starts_with("cuda:4000 cannot be used: "), "{error}");
        assert!(error.hint().is_some(), "{error:?}");
    }
}
