//! The options of a model that embeds records, independent of inputs and outputs.

use std::time::Duration;

use virpack_device::Pool;
use virpack_model::ModelConfig;
use virpack_seq::{
    CollatorOptions, GreedyPacker, Input, LengthPolicy, LongRecords, PackerOptions, ReadLimits,
    VarlenCollator,
};

use crate::devices::DeviceOptions;
use crate::error::{Error, SettingProblem};
use crate::event::Event;
use crate::memory;
use crate::options::{
    Downloads, FoundModel, LengthOptions, ModelSource, TokenBudget, downloads_setter, setters,
};

/// Which model embeds, on which devices, and what it returns for a record.
///
/// ```
/// use virpack_core::EmbedderOptions;
/// use virpack_core::device::Pool;
///
/// let options = EmbedderOptions::new("esm2_t33_650M_UR50D").pool(Pool::Cls).layer(-2);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EmbedderOptions {
    pub(crate) model: ModelSource,
    pub(crate) downloads: Option<Downloads>,
    pub(crate) pool: Option<Pool>,
    pub(crate) layer: Option<i64>,
    pub(crate) lengths: LengthOptions,
    pub(crate) token_budget: TokenBudget,
    pub(crate) buffer_size: Option<usize>,
    pub(crate) packing: bool,
    pub(crate) device: DeviceOptions,
    pub(crate) device_timeout: Option<Duration>,
}

impl<M: Into<ModelSource>> From<M> for EmbedderOptions {
    fn from(model: M) -> Self {
        EmbedderOptions::new(model)
    }
}

impl EmbedderOptions {
    /// Returns the options for mean embeddings of the last layer, as `virpack embed` computes them without
    /// options.
    pub fn new(model: impl Into<ModelSource>) -> Self {
        EmbedderOptions {
            model: model.into(),
            downloads: None,
            pool: Some(Pool::Mean),
            layer: None,
            lengths: LengthOptions::default(),
            token_budget: TokenBudget::Auto,
            buffer_size: None,
            packing: true,
            device: DeviceOptions::default(),
            device_timeout: None,
        }
    }

    setters! {
        /// Sets how a record's rows are pooled to one; None: every residue keeps its row.
        pool: impl Into<Option<Pool>>,
        /// Sets the layer, as fair-esm counts layers, negative from the end. None: the last.
        layer: impl Into<Option<i64>>,
        /// Sets which lengths are accepted.
        lengths: impl Into<LengthOptions>,
        /// Sets the most tokens in a batch.
        token_budget: impl Into<TokenBudget>,
        /// Sets the records collected before packing; None: 2,000, or more if the token budget is large.
        buffer_size: impl Into<Option<usize>>,
        /// Sets whether several records share a batch.
        packing: bool,
        /// Sets the device that runs the model.
        device: DeviceOptions,
        /// Sets how long a device may hold a batch without returning one before the run gives it up; None:
        /// forever.
        device_timeout: impl Into<Option<Duration>>,
    }

    downloads_setter! {
        /// Sets how the model is downloaded, and how damaged files of the cache are downloaded again.
        /// Without it, a named model comes from the Hub of the environment, and a damaged file is an error.
    }

    /// Checks everything that does not depend on the model: lengths and token budget must fit together.
    pub(crate) fn check(&self) -> Result<(), Error> {
        // The model's maximum length is known later.
        let lengths = self.lengths.up_to(LengthPolicy::default().max_length);
        self.check_lengths(&lengths)?;
        if self.pool.is_none() && matches!(lengths.long_records, LongRecords::Window { .. }) {
            return Err(SettingProblem::ResidueWindows.into());
        }
        Ok(())
    }

    /// Checks that lengths and token budget fit together.
    pub(super) fn check_lengths(&self, lengths: &LengthPolicy) -> Result<(), Error> {
        lengths.check()?;
        if let TokenBudget::Tokens(token_budget) = self.token_budget {
            GreedyPacker::new(PackerOptions::new(token_budget, lengths.max_tokens()))?;
        }
        Ok(())
    }

    /// Finds the model, and downloads it if necessary.
    pub(crate) fn find_model(&self) -> Result<FoundModel, Error> {
        Ok(self.model.find(self.downloads.as_ref())?)
    }

    /// Finds the model that reads `inputs`. Reports which built-in one their letters select.
    pub(crate) fn find_model_for(
        &self,
        inputs: &[Input],
        limits: ReadLimits,
        on_event: &mut impl FnMut(Event),
    ) -> Result<FoundModel, Error> {
        let Some(model) = self.model.built_in(inputs, limits)? else { return self.find_model() };
        on_event(Event::BuiltInModel { model });
        Ok(ModelSource::from(model).find(None)?)
    }

    /// Returns the requested layer, counted from the embeddings.
    pub(crate) fn layer_of(&self, config: &ModelConfig) -> Result<usize, Error> {
        let layers = config.layers() as i64;
        let asked = self.layer.unwrap_or(layers);
        // fair-esm counts 0 (the embeddings) to the number of layers, and -1 is the last.
        let layer = if asked < 0 { asked + layers + 1 } else { asked };
        if !(0..=layers).contains(&layer) {
            return Err(SettingProblem::NoLayer { layer: asked, layers: config.layers() }.into());
        }
        Ok(layer as usize)
    }

    /// Values of a row of a model of these settings.
    pub(crate) fn width(&self, config: &ModelConfig) -> usize {
        self.pool.unwrap_or(Pool::Mean).width(config.hidden())
    }

    pub(crate) fn pool_name(&self) -> &'static str {
        match self.pool {
            Some(Pool::Mean) => "mean",
            Some(Pool::Cls) => "cls",
            Some(Pool::Max) => "max",
            Some(Pool::MeanMax) => "mean-max",
            None => "none",
        }
    }

    pub(super) fn collator(
        &self,
        token_budget: usize,
        lengths: &LengthPolicy,
    ) -> Result<VarlenCollator, Error> {
        let packer = GreedyPacker::new(PackerOptions::new(token_budget, lengths.max_tokens()))?;
        let buffer_size = self.buffer_size.unwrap_or_else(|| memory::buffer_size(token_budget));
        let options = CollatorOptions::default().buffer_size(buffer_size).enable_packing(self.packing);
        Ok(VarlenCollator::new(packer, options)?)
    }
}
