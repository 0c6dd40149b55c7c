//! A run's model, and what the run is.

use std::sync::Arc;
use virpack_device::{Device, Dtype};

use virpack_model::{ChecksumThread, ModelConfig};
use virpack_seq::LengthPolicy;

use super::{EmbedOptions, identity};
use crate::Error;
use crate::embedder::{ModelChecksums, OpenedModel, WarmModel};
use crate::event::Event;
use crate::identity::PendingIdentity;
use crate::options::{FoundModel, TokenBudget};
use crate::resume::{CompleteRun, Session};

/// A run's model on its devices.
pub(super) struct EmbedModel<B: Device> {
    pub(super) warm: Arc<WarmModel<B>>,
    /// All that shapes the rows, if the run has a name for others to compare.
    pub(super) identity: Option<PendingIdentity>,
    /// Most tokens in a batch, on any of its devices.
    pub(super) token_budget: usize,
}

/// The caller of a run's identity, and the model.
struct RowsOf<'a> {
    options: &'a EmbedOptions,
    config: &'a ModelConfig,
    lengths: LengthPolicy,
    dtype: Dtype,
}

impl<B: Device + 'static> EmbedModel<B> {
    /// Loads the model of a run, and downloads damaged files of it again where that is wanted.
    ///
    /// # Errors
    ///
    /// What keeps the model from being loaded; that the output of the run is complete already.
    pub(super) fn load(
        backends: &[Arc<B>],
        found: &FoundModel,
        options: &EmbedOptions,
        session: &Session,
        on_event: &mut impl FnMut(Event),
    ) -> Result<Self, Error> {
        let dtype = backends.first().expect("there is a device").dtype();
        let earlier = session.token_budgets().first().copied();
        let asked = earlier.map_or(options.embedder.token_budget, TokenBudget::Tokens);
        let warm = OpenedModel::with(found, &options.embedder, on_event, |opened| {
            options.check_apart(opened.files())?;
            let checksums = opened.hash()?;
            if let Some(complete) = session.complete_run() {
                let of = RowsOf { options, config: &opened.config, lengths: opened.lengths, dtype };
                return Err(of.end(complete, &checksums.finish()?)?);
            }
            // They are hashed while the model is loaded.
            let inputs = hash_inputs(options, session)?;
            let warm = opened.load(backends, options.embedder.pool.is_none(), asked, checksums)?;
            Ok((warm, inputs))
        });
        let (warm, inputs) = warm?;
        EmbedModel::of(Arc::new(warm), options, session, inputs)
    }

    /// Returns the model of a run, which is loaded already.
    ///
    /// # Errors
    ///
    /// That the output of the run is complete already, or would replace a file of the model.
    pub(super) fn of_warm(
        warm: Arc<WarmModel<B>>,
        options: &EmbedOptions,
        session: &Session,
    ) -> Result<Self, Error> {
        options.check_apart(warm.files())?;
        if let Some(complete) = session.complete_run() {
            return Err(RowsOf::model(options, &warm).end(complete, &warm.checksums)?);
        }
        let inputs = hash_inputs(options, session)?;
        EmbedModel::of(warm, options, session, inputs)
    }

    fn of(
        warm: Arc<WarmModel<B>>,
        options: &EmbedOptions,
        session: &Session,
        inputs: Option<ChecksumThread>,
    ) -> Result<Self, Error> {
        let rows = RowsOf::model(options, &warm);
        let identity = inputs.map(|inputs| rows.identity(&warm.checksums, inputs));
        let earlier = session.token_budgets().first().copied();
        let token_budget = earlier.unwrap_or_else(|| warm.token_budget());
        let identity = identity.transpose()?;
        Ok(EmbedModel { warm, identity, token_budget })
    }
}

impl<'a> RowsOf<'a> {
    fn model<B: Device>(options: &'a EmbedOptions, warm: &'a WarmModel<B>) -> Self {
        let dtype = warm.devices[0].backend.dtype();
        RowsOf { options, config: &warm.config, lengths: warm.lengths, dtype }
    }

    fn identity(&self, model: &ModelChecksums, inputs: ChecksumThread) -> Result<PendingIdentity, Error> {
        identity::of_rows(self.options, self.config, self.lengths, self.dtype, model, inputs)
    }

    /// Why a run ends before it begins whose output is complete.
    fn end(&self, complete: &CompleteRun, model: &ModelChecksums) -> Result<Error, Error> {
        let rows = self.identity(model, self.options.hash_inputs()?)?()?;
        Ok(complete.end(&self.options.of_output(rows), |_| false).into())
    }
}

/// Begins to hash the inputs, if the run has a name for others to compare.
fn hash_inputs(options: &EmbedOptions, session: &Session) -> Result<Option<ChecksumThread>, Error> {
    let is_named = session.is_kept() || options.shard.is_some();
    is_named.then(|| options.hash_inputs()).transpose()
}
