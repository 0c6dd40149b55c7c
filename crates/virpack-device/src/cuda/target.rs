//! The target that a card's kernels are compiled for: the card itself, or an older one whose code the driver
//! translates.

use crate::{Remedy, Unavailable};

/// The variable that selects an older card's kernels.
const VARIABLE: &str = "VIRPACK_CUDA_ARCH";

/// The oldest compute capability that kernels support.
pub(super) const OLDEST: u32 = 75;

/// Compute capabilities whose kernels run on newer cards with `VIRPACK_CUDA_ARCH`.
const OLDER: [u32; 2] = [75, 80];

/// The target of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The compute capability that kernels are written for: 90 for 9.0.
    pub(super) capability: u32,
    /// Whether it differs from the card's own, so that the driver translates the kernels.
    pub(super) translated: bool,
}

impl Target {
    /// Returns the target for a card of this compute capability, as the environment selects.
    pub(super) fn of_card(capability: u32) -> Result<Target, Unavailable> {
        Target::find(capability, std::env::var(VARIABLE).ok().as_deref())
    }

    fn find(card: u32, asked: Option<&str>) -> Result<Target, Unavailable> {
        let Some(asked) = asked.filter(|asked| !asked.is_empty()) else {
            return Ok(Target { capability: card, translated: false });
        };
        let known = OLDER.into_iter().find(|older| asked == older.to_string() && *older <= card);
        let capability = known.ok_or_else(|| Unavailable {
            reason: format!(
                "{VARIABLE} is {asked:?}, and must be 75 or 80 and at most the card's own {card}"
            ),
            remedy: Remedy::CheckEnvironment,
        })?;
        Ok(Target { capability, translated: capability != card })
    }

    /// Returns the compiler's name of the target, with the features of that one card if there are any.
    pub(super) fn architecture(self) -> String {
        match self {
            Target { capability, translated: true } => format!("compute_{capability}"),
            Target { capability: 90, .. } => "sm_90a".into(),
            Target { capability, .. } => format!("sm_{capability}"),
        }
    }

    /// Returns whether it lacks what 8.0 introduced: bfloat16, asynchronous copies, products of 16 inputs at
    /// once.
    pub(super) fn is_turing(self) -> bool {
        self.capability < 80
    }

    /// Returns the bytes of shared memory that a block may use.
    pub(super) fn shared_limit(self) -> usize {
        let kilobytes = match self.capability {
            0..80 => 64,
            80 | 87 => 163,
            90..120 => 227,
            // Consumer cards of 12.x have as much as 8.6.
            _ => 99,
        };
        kilobytes << 10
    }
}

/// Returns a compute capability as people write it: 7.5.
pub(super) fn shown(capability: u32) -> String {
    format!("{}.{}", capability / 10, capability % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_gets_its_own_kernels_or_older_ones_that_are_asked_for() {
        let architecture =
            |card, asked| Target::find(card, asked).map(Target::architecture).map_err(|why| why.reason);
        for (card, asked, expected) in [
            (90, None, "sm_90a"),
            (90, Some(""), "sm_90a"),
            (90, Some("80"), "compute_80"),
            (90, Some("75"), "compute_75"),
            (75, Some("75"), "sm_75"),
            (75, None, "sm_75"),
            (89, None, "sm_89"),
            (120, Some("75"), "compute_75"),
        ] {
            assert_eq!(architecture(card, asked).as_deref(), Ok(expected), "{card} {asked:?}");
        }
        for (card, asked) in [(90, "90"), (90, "7.5"), (75, "80"), (90, "70"), (90, "sm_75")] {
            let reason = architecture(card, Some(asked)).unwrap_err();
            assert!(reason.starts_with("VIRPACK_CUDA_ARCH is \""), "{reason}");
        }
    }

    #[test]
    fn shared_memory_is_that_of_the_kernels() {
        let limit = |capability| Target { capability, translated: false }.shared_limit() >> 10;
        let cards = [75, 80, 86, 87, 89, 90, 100, 120];
        assert_eq!(cards.map(limit), [64, 163, 99, 163, 99, 227, 227, 99]);
        assert_eq!([75, 120].map(shown), ["7.5", "12.0"]);
    }
}
