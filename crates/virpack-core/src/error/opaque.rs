//! Defines the public errors around private enums of problems.

/// Defines a public error around a private enum, and its conversion to a variant of the error
/// that holds it. Display, source and hint are those of the enum.
macro_rules! opaque {
    ($(#[$doc:meta])* pub struct $error:ident($vis:vis $problem:ident) in $outer:ident::$variant:ident;) => {
        $(#[$doc])*
        #[derive(Debug, thiserror::Error)]
        #[error(transparent)]
        pub struct $error(#[from] $vis $problem);

        impl virpack_seq::Hint for $error {
            fn hint(&self) -> Option<std::borrow::Cow<'_, str>> {
                self.0.hint()
            }
        }

        impl From<$problem> for $outer {
            fn from(problem: $problem) -> $outer {
                $outer::$variant(problem.into())
            }
        }
    };
}
pub(crate) use opaque;
