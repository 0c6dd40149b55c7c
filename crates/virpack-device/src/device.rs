//! The trait `Device`: a device's name, its precision, and the memory that a model takes on it.

use crate::{Backend, DeviceError, Dtype, MemoryLimit, Unavailable};

/// What a model holds, for a device to say what that takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelShape {
    /// Values of each weight matrix as it is uploaded, the embedding table's included.
    pub matrices: Vec<u64>,
    /// Values of those among them that [`Backend::sensitive_layer`] uploads.
    pub sensitive_values: u64,
    /// Values of all vectors of parameters.
    pub vector_values: u64,
    /// Shapes of a layer's products, `[outputs, inputs]`.
    pub products: Vec<[usize; 2]>,
    /// Columns of the tensors that live at once.
    pub widths: Vec<usize>,
    /// Width of a hidden state.
    pub hidden: usize,
    /// Most values of a pooled row: more than `hidden` where a model is pooled by
    /// [`Pool::MeanMax`](crate::Pool).
    pub pooled: usize,
    /// Width of an attention head.
    pub head_width: usize,
    /// Whether all matrices are stored in 16 bits, so that a device may keep them so.
    pub stored_in_16_bits: bool,
}

impl ModelShape {
    /// Values of each weight matrix as it is uploaded (the embedding table, then every layer's products), and of all
    /// vectors among `tensors`, a model's by name and shape.
    ///
    /// ```
    /// use virpack_device::ModelShape;
    ///
    /// let tensors = [("table", vec![33, 8]), ("norm", vec![8]), ("bias", vec![24])];
    /// let tensors = tensors.map(|(name, shape)| (name.to_owned(), shape));
    /// let (matrices, vectors) = ModelShape::weights(&tensors, [33, 8], &[[24, 8], [8, 8]], 2);
    /// assert_eq!(matrices, [264, 192, 64, 192, 64]); // the table, then two layers of two products
    /// assert_eq!(vectors, 32);
    /// ```
    pub fn weights(
        tensors: &[(String, Vec<usize>)],
        table: [usize; 2],
        products: &[[usize; 2]],
        layers: usize,
    ) -> (Vec<u64>, u64) {
        let values = |[outputs, inputs]: [usize; 2]| (outputs * inputs) as u64;
        let layer = products.iter().copied().map(values);
        let matrices =
            std::iter::once(values(table)).chain(std::iter::repeat_n(layer, layers).flatten()).collect();
        let vectors = tensors.iter().filter(|(_, shape)| shape.len() == 1);
        (matrices, vectors.map(|(_, shape)| shape[0] as u64).sum())
    }
}

/// Memory that a model takes on a device, bytes: the four numbers that token budgets are computed from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelFootprint {
    /// Weights.
    pub weights: u64,
    /// Whatever else does not grow with the batch.
    pub workspace: u64,
    /// Activations of one token of a batch.
    pub bytes_per_token: u64,
    /// What one sequence of a batch takes beside its tokens (boundaries, its pooled row).
    pub bytes_per_sequence: u64,
}

/// A backend that states its name and the memory that models take on it. A run knows only this about a
/// device.
pub trait Device: Backend {
    /// Returns the device, for people.
    fn name(&self) -> String;

    /// Returns the precision it computes in.
    fn dtype(&self) -> Dtype;

    /// Its number, as `nvidia-smi` counts; None for what it does not list.
    fn ordinal(&self) -> Option<usize> {
        None
    }

    /// Returns whether its results are what others are compared with: float32 by ordinary instructions.
    fn is_reference(&self) -> bool {
        self.dtype() == Dtype::F32Strict
    }

    /// Returns a precision of fewer digits in which this machine would be faster, where the device leaves
    /// one out.
    fn faster_dtype(&self) -> Option<Dtype> {
        None
    }

    /// Returns the device once more, for a second model at the same time, so that neither waits for the
    /// other; None where one serves both.
    ///
    /// # Errors
    ///
    /// Where the device cannot be opened again.
    fn beside(&self) -> Result<Option<Self>, Unavailable>
    where
        Self: Sized,
    {
        Ok(None)
    }

    /// Returns the memory that a model needs for sequences of up to `longest` tokens. `rows` says whether all
    /// rows of a batch are read back too, as windows of long records need.
    ///
    /// ```
    /// use virpack_device::{Cpu, Device, ModelShape};
    ///
    /// let model = ModelShape {
    ///     matrices: vec![33 * 320, 320 * 320],
    ///     sensitive_values: 0,
    ///     vector_values: 320,
    ///     products: vec![[320, 320]],
    ///     widths: vec![320, 320],
    ///     hidden: 320,
    ///     pooled: 320,
    ///     head_width: 16,
    ///     stored_in_16_bits: false,
    /// };
    /// let footprint = Cpu::new(None)?.footprint(&model, 1024, false);
    /// assert_eq!(footprint.weights, (33 * 320 + 320 * 320 + 320) * 4);
    /// assert_eq!(footprint.bytes_per_token, 2 * 320 * 4);
    /// # Ok::<(), virpack_device::DeviceError>(())
    /// ```
    fn footprint(&self, model: &ModelShape, longest: usize, rows: bool) -> ModelFootprint;

    /// Bytes free for a model that is not loaded yet; None where the system does not say.
    ///
    /// # Errors
    ///
    /// The device's error.
    fn free(&self) -> Result<Option<u64>, DeviceError>;

    /// Returns the limit that [`free`](Self::free) comes from, if it is below the memory of the device.
    fn memory_limit(&self) -> Option<MemoryLimit> {
        None
    }

    /// Bytes of that memory that reader, queues and writer take.
    fn spare(&self) -> u64 {
        0
    }

    /// Tokens in a batch of which more bring no speed.
    fn most_tokens(&self, model: &ModelShape) -> usize;

    /// Takes the memory of all batches to come, of up to `token_budget` tokens in `sequences` sequences.
    ///
    /// # Errors
    ///
    /// [`DeviceError::OutOfMemory`]; nothing is held then.
    fn reserve(
        &self,
        model: &ModelShape,
        token_budget: usize,
        sequences: usize,
        rows: bool,
    ) -> Result<(), DeviceError>;
}
