//! Validates a model on a user's own records and weights: packed and unpacked results must have the same
//! bits, and be close to float32.

mod difference;
mod sample;

pub use difference::Difference;

use std::num::NonZeroUsize;
use std::sync::Arc;

use virpack_device::{Device, Dtype, available_memory};
use virpack_seq::{Input, LengthPolicy, ReadLimits, ReadOptions, Records, SeqError, reader};

use crate::Error;
use crate::cancel::CancelToken;
use crate::devices::{DeviceOptions, only};
use crate::embedder::{EmbedderOptions, EmbeddingStream};
use crate::event::Event;
use crate::for_devices;
use crate::loaded_model::LoadedModel;
use crate::options::{Downloads, LengthOptions, ModelSource, TokenBudget, downloads_setter, setters};
use crate::row::Row;
use sample::Sample;
use virpack_model::Location;
use virpack_model::ModelConfig;
use virpack_model::hub::load_again;
use virpack_model::weights::Weights;

/// The records to validate, and the tolerances.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ValidateOptions {
    inputs: Vec<Input>,
    limits: ReadLimits,
    model: ModelSource,
    downloads: Option<Downloads>,
    device: DeviceOptions,
    lengths: LengthOptions,
    token_budget: TokenBudget,
    records: usize,
    packed_limit: Option<f64>,
    float32_limit: Option<f64>,
}

impl ValidateOptions {
    /// Returns the options for 200 records of the inputs: FASTA, FASTQ or BAM, plain or compressed.
    pub fn new(inputs: Vec<Input>, model: impl Into<ModelSource>) -> Self {
        ValidateOptions {
            inputs,
            limits: ReadLimits::fitting(available_memory()),
            model: model.into(),
            downloads: None,
            device: DeviceOptions::default(),
            lengths: LengthOptions::default(),
            token_budget: TokenBudget::Auto,
            records: 200,
            packed_limit: None,
            float32_limit: None,
        }
    }

    setters! {
        /// Sets the largest record and the largest header of the inputs.
        limits: ReadLimits,
        /// Sets the device and the precision to validate.
        device: DeviceOptions,
        /// Sets which lengths are accepted.
        lengths: impl Into<LengthOptions>,
        /// Sets the most tokens in a batch.
        token_budget: impl Into<TokenBudget>,
        /// Sets the most records that are compared. More are sampled evenly over the input, with the same
        /// sample each time.
        records: usize,
        /// Sets the largest accepted relative difference (L2 over L2) between a record packed and unpacked;
        /// None: the bits must be the same.
        packed_limit: impl Into<Option<f64>>,
        /// Sets the largest accepted relative difference between the precision and float32; None: the
        /// default of the precision ([`Limits::of`]).
        float32_limit: impl Into<Option<f64>>,
    }

    downloads_setter! {
        /// Sets how the model is downloaded, and how damaged settings in the cache are downloaded again.
        /// Without it, a named model comes from the Hub of the environment.
    }

    /// Finds the model, and the lengths that are accepted.
    fn find_model(&self) -> Result<(Location, LengthPolicy), Error> {
        let location = self.model.find(self.downloads.as_ref())?.location;
        let refetch = self.downloads.as_ref().map(Downloads::refetch);
        let config = || Ok::<_, Error>(ModelConfig::of(&Weights::at(&location)?)?);
        let config = load_again(refetch.as_ref(), &[&location], config)?;
        Ok((location, self.lengths.up_to(config.max_length())))
    }
}

/// The largest accepted relative differences (L2 over L2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Between a record packed and unpacked; 0: they must have the same bits.
    pub packed: f64,
    /// Between the precision and float32.
    pub float32: f64,
}

impl Limits {
    /// Returns the limits for a precision: ten roundings (2^-11 in float16, 2^-8 in bfloat16) against
    /// float32, where short records of the 8M model have six; in int8 three times the largest difference of
    /// 1,000 proteins with that model (dev/cuda.md). Packing changes nothing.
    ///
    /// ```
    /// use virpack_core::device::Dtype;
    /// use virpack_core::validate::Limits;
    ///
    /// assert!(Limits::of(Dtype::F16).float32 < Limits::of(Dtype::Bf16).float32);
    /// ```
    pub fn of(dtype: Dtype) -> Limits {
        match dtype {
            Dtype::F32 | Dtype::F32Strict => Limits { packed: 0.0, float32: 1e-5 },
            Dtype::F16 => Limits { packed: 0.0, float32: 1e-2 },
            Dtype::Bf16 => Limits { packed: 0.0, float32: 8e-2 },
            Dtype::Int8 => Limits { packed: 0.0, float32: 2e-1 },
        }
    }
}

/// The differences of one record.
#[derive(Clone, Debug)]
pub struct ComparedRecord {
    /// The record's id.
    pub id: String,
    /// Its residues.
    pub length: u64,
    /// Packed with others, against unpacked.
    pub packed: Difference,
    /// Packed with others, against float32 unpacked; None if the precision is float32 on the reference
    /// device.
    pub float32: Option<Difference>,
}

/// The results of a validation.
#[derive(Clone, Debug)]
pub struct Validation {
    /// The device and its precision, for people.
    pub device: String,
    /// Most tokens in a packed batch.
    pub token_budget: usize,
    /// Records in the input.
    pub records: u64,
    /// Each compared record, in input order.
    pub compared: Vec<ComparedRecord>,
    /// The accepted differences.
    pub limits: Limits,
}

impl Validation {
    /// Iterates over the records that exceed the limits.
    pub fn failed(&self) -> impl Iterator<Item = &ComparedRecord> {
        self.compared.iter().filter(|c| c.worst(&self.limits) > 1.0)
    }

    /// Returns how many records have the same bits packed and unpacked.
    ///
    /// ```
    /// use virpack_core::validate::{ValidateOptions, validate};
    ///
    /// let inputs = vec!["../../examples/proteins.fasta".into()];
    /// let found = validate(&ValidateOptions::new(inputs, "virpack-mini/peptide"), |_event| ())?;
    /// assert_eq!(found.same_bits(), found.compared.len());
    /// # Ok::<(), virpack_core::Error>(())
    /// ```
    pub fn same_bits(&self) -> usize {
        self.compared.iter().filter(|c| c.packed.same_bits).count()
    }

    /// Returns the records, the worst first.
    ///
    /// ```
    /// use virpack_core::validate::{ValidateOptions, validate};
    ///
    /// let inputs = vec!["../../examples/proteins.fasta".into()];
    /// let found = validate(&ValidateOptions::new(inputs, "virpack-mini/peptide").records(3), |_event| ())?;
    /// assert_eq!((found.worst().len(), found.records), (3, 4));
    /// # Ok::<(), virpack_core::Error>(())
    /// ```
    pub fn worst(&self) -> Vec<&ComparedRecord> {
        let mut all: Vec<&ComparedRecord> = self.compared.iter().collect();
        all.sort_by(|a, b| b.worst(&self.limits).total_cmp(&a.worst(&self.limits)));
        all
    }
}

impl ComparedRecord {
    /// Returns the larger of its relative differences, divided by its limit.
    fn worst(&self, limits: &Limits) -> f64 {
        let float32 = self.float32.as_ref().map_or(0.0, |d| d.relative / limits.float32);
        let packed = match limits.packed {
            _ if self.packed.same_bits => 0.0,
            0.0 => f64::INFINITY,
            limit => self.packed.relative / limit,
        };
        packed.max(float32)
    }
}

/// Compares sampled records packed and unpacked, and with float32 on the same kind of device.
///
/// ```
/// use virpack_core::validate::{ValidateOptions, validate};
///
/// let inputs = vec!["../../examples/proteins.fasta".into()];
/// let found = validate(&ValidateOptions::new(inputs, "virpack-mini/peptide"), |_event| ())?;
/// assert_eq!(found.failed().count(), 0);
/// # Ok::<(), virpack_core::Error>(())
/// ```
///
/// # Errors
///
/// If records cannot be read, or the model cannot be loaded or run. Records that differ too much are not an
/// error; [`Validation::failed`] returns them.
pub fn validate(options: &ValidateOptions, mut on_event: impl FnMut(Event)) -> Result<Validation, Error> {
    reader::open(&options.inputs)?;
    let (model, lengths) = options.find_model()?;
    let reading = ReadOptions::default().limits(options.limits);
    let records = reader::open_with(&options.inputs, reading)?;
    let sample = Sample::take(records, options.records)?;
    let (found, dtype) =
        for_devices!(options.device.open_noting(|card| on_event(Event::LeftOut(card)))?, |devices| {
            let device = only(devices);
            // On a CPU, float32 means strict float32.
            let dtype = if device.is_reference() { Dtype::F32Strict } else { device.dtype() };
            (run(device, options, &model, lengths, &sample)?, dtype)
        });
    let reference = match dtype {
        Dtype::F32Strict => None,
        _ => Some(float32(options, &model, lengths, &sample)?),
    };
    let default = Limits::of(dtype);
    let compare = |i: usize| ComparedRecord {
        id: sample.ids[found.alone[i].0.record as usize].clone(),
        length: found.alone[i].0.length,
        packed: Difference::between(&found.packed[i].1, &found.alone[i].1),
        float32: reference.as_ref().map(|r| Difference::between(&found.packed[i].1, &r.alone[i].1)),
    };
    Ok(Validation {
        compared: (0..found.alone.len()).map(compare).collect(),
        device: found.device,
        token_budget: found.token_budget,
        records: sample.records,
        limits: Limits {
            packed: options.packed_limit.unwrap_or(default.packed),
            float32: options.float32_limit.unwrap_or(default.float32),
        },
    })
}

/// The rows and embeddings of the sample, in order.
type EmbeddedRows = Vec<(Row, Vec<f32>)>;

struct SampleRun {
    device: String,
    token_budget: usize,
    packed: EmbeddedRows,
    alone: EmbeddedRows,
}

/// Returns the same device in float32.
fn float32(
    options: &ValidateOptions,
    model: &Location,
    lengths: LengthPolicy,
    sample: &Sample,
) -> Result<SampleRun, Error> {
    let device = options.device.clone().dtype(Dtype::F32Strict);
    for_devices!(device.open()?, |devices| run(only(devices), options, model, lengths, sample))
}

fn run<B: Device + 'static>(
    backend: Arc<B>,
    options: &ValidateOptions,
    model: &Location,
    lengths: LengthPolicy,
    sample: &Sample,
) -> Result<SampleRun, Error> {
    let weights = Weights::at(model)?;
    let devices = LoadedModel::load_on_all(vec![backend], &weights, lengths, false, options.token_budget)?;
    let embed = |packing: bool| -> Result<EmbeddedRows, Error> {
        let options = EmbedderOptions::new(model.clone()).packing(packing);
        let (records, cancel) = (sample.records()?, CancelToken::new());
        let all = EmbeddingStream::start(&devices, records, &options, NonZeroUsize::MAX, &cancel)?.all()?;
        Ok(all.iter().map(|(row, values)| (row.clone(), values.to_vec())).collect())
    };
    let (device, token_budget) = (devices[0].backend.name(), devices[0].token_budget);
    Ok(SampleRun { device, token_budget, packed: embed(true)?, alone: embed(false)? })
}

impl Sample {
    fn records(&self) -> Result<Records, SeqError> {
        Records::from_reader("the sampled records", std::io::Cursor::new(self.fasta.clone()))
    }
}
