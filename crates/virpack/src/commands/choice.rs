//! Options whose values are those of a library's enum.

/// Defines the values of an option, and which value of the library's type each stands for.
macro_rules! choice {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $name:ident for $library:ty {
            $($(#[$help:meta])* $value:ident => $meaning:expr,)+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, clap::ValueEnum)]
        $visibility enum $name {
            $($(#[$help])* $value,)+
        }

        impl From<$name> for $library {
            fn from(choice: $name) -> $library {
                match choice {
                    $($name::$value => $meaning,)+
                }
            }
        }
    };
}

pub(super) use choice;
