//! What the options of several runs have in common.

mod lengths;
mod model;
mod token_budget;

pub use lengths::LengthOptions;
pub(crate) use lengths::named_long_records;
pub use model::ModelSource;
pub(crate) use model::{Downloads, FoundModel, named};
pub use token_budget::{ParseTokenBudgetError, TokenBudget};

/// Defines methods that set one field and return the options. Each takes what converts to the field's type,
/// such as `impl Into<Option<usize>>`: a number, or an `Option` of one.
macro_rules! setters {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $field(mut self, $field: $type) -> Self {
            self.$field = $field.into();
            self
        }
    )*};
}
pub(crate) use setters;

/// Defines a method that sets how models are downloaded.
macro_rules! downloads_setter {
    ($(#[$doc:meta])*) => {
        $(#[$doc])*
        #[must_use]
        pub fn downloads(
            mut self,
            hub: virpack_model::hub::HubOptions,
            progress: std::sync::Arc<dyn virpack_model::hub::DownloadProgress + Send + Sync>,
        ) -> Self {
            self.downloads = Some($crate::options::Downloads { hub, progress });
            self
        }
    };
}
pub(crate) use downloads_setter;
