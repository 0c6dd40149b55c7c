//! Which instructions multiply bfloat16 values, and the one product that all of them do.

use super::{BLOCK_ROWS, INPUTS, PANEL, Rows, widened::Wide};
use pulp::Arch;
use std::cell::Cell;
use std::fmt;

/// A way to multiply bfloat16 values on a CPU.
///
/// ```
/// use virpack_device::Bf16Instructions;
///
/// // This one needs nothing of the processor.
/// assert!(Bf16Instructions::available().contains(&Bf16Instructions::Widened));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bf16Instructions {
    /// Intel's matrix units, AMX-BF16: Sapphire Rapids and later. Linux gives them to a process that asks.
    Amx,
    /// AVX-512 BF16: Cooper Lake, Sapphire Rapids and later, Zen 4 and later.
    Avx512,
    /// NEON with BF16: Neoverse V1 and N2 and later, Apple's M2 and later.
    Neon,
    /// float32 arithmetic on values that are widened as they are read, with the instructions of
    /// [`crate::Cpu::instructions`].
    Widened,
}

impl Bf16Instructions {
    /// Every way.
    pub const ALL: [Bf16Instructions; 4] =
        [Bf16Instructions::Amx, Bf16Instructions::Avx512, Bf16Instructions::Neon, Bf16Instructions::Widened];

    /// Returns the ways that this machine has.
    pub fn available() -> Vec<Bf16Instructions> {
        Bf16Instructions::ALL.into_iter().filter(|way| way.is_available()).collect()
    }

    /// Returns the fastest of them. AVX-512 BF16 is twice as fast as float32 on AMD's processors, and half
    /// as fast on Intel's, which have AMX beside it unless the system keeps it from them
    /// (`dev/cpu_bf16.md`).
    ///
    /// ```
    /// use virpack_device::Bf16Instructions;
    ///
    /// assert!(Bf16Instructions::fastest().is_available());
    /// ```
    pub fn fastest() -> Bf16Instructions {
        #[cfg(target_arch = "x86_64")]
        if Bf16Instructions::Amx.is_available() {
            return Bf16Instructions::Amx;
        } else if Bf16Instructions::Avx512.is_available() && super::avx512::is_fast() {
            return Bf16Instructions::Avx512;
        }
        #[cfg(target_arch = "aarch64")]
        if Bf16Instructions::Neon.is_available() {
            return Bf16Instructions::Neon;
        }
        Bf16Instructions::Widened
    }

    /// Returns whether processor and system have them.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Bf16Instructions::Amx => super::amx::is_available(),
            #[cfg(target_arch = "x86_64")]
            Bf16Instructions::Avx512 => super::avx512::is_available(),
            #[cfg(target_arch = "aarch64")]
            Bf16Instructions::Neon => super::neon::is_available(),
            Bf16Instructions::Widened => true,
            // Of other processors.
            _ => false,
        }
    }
}

impl fmt::Display for Bf16Instructions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bf16Instructions::Amx => "AMX",
            Bf16Instructions::Avx512 => "AVX-512 BF16",
            Bf16Instructions::Neon => "NEON BF16",
            Bf16Instructions::Widened => "widened",
        })
    }
}

/// A product of rows and panels, `[rows, inputs] · [outputs, inputs]ᵀ`.
#[derive(Clone, Copy)]
pub(crate) struct ProductBlock<'a> {
    pub(crate) rows: Rows<'a>,
    /// Rows of it, up to [`BLOCK_ROWS`].
    pub(crate) count: usize,
    /// One panel or two.
    pub(crate) panels: &'a [u32],
    /// Pairs of inputs, a multiple of half of [`Kernel::inputs`].
    pub(crate) pairs: usize,
}

impl ProductBlock<'_> {
    /// Panels of it.
    pub(super) fn width(&self) -> usize {
        self.panels.len() / (self.pairs * PANEL)
    }

    /// Rows that are computed.
    fn rows_computed(&self) -> usize {
        self.count.next_multiple_of(PANEL)
    }
}

/// Multiplies blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel {
    arch: Arch,
    instructions: Bf16Instructions,
    /// Whether softmax and rotary positions use AVX-512 BF16, which processors with AMX have beside it.
    #[cfg(target_arch = "x86_64")]
    pub(super) has_avx512: bool,
}

impl Kernel {
    /// By instructions that are available: others are those that are.
    pub(crate) fn new(arch: Arch, instructions: Bf16Instructions) -> Kernel {
        let available = instructions.is_available();
        let instructions = if available { instructions } else { Bf16Instructions::Widened };
        Kernel {
            arch,
            instructions,
            #[cfg(target_arch = "x86_64")]
            has_avx512: instructions != Bf16Instructions::Widened && super::avx512::is_available(),
        }
    }

    pub(crate) fn instructions(self) -> Bf16Instructions {
        self.instructions
    }

    pub(crate) fn arch(self) -> Arch {
        self.arch
    }

    /// Returns the inputs that it takes at a time: a block's are a multiple of them.
    pub(crate) fn inputs(self) -> usize {
        match self.instructions {
            Bf16Instructions::Amx => INPUTS,
            Bf16Instructions::Neon => 8,
            Bf16Instructions::Avx512 | Bf16Instructions::Widened => 2,
        }
    }

    /// Makes this thread ready to multiply, until the session is dropped.
    pub(crate) fn session(self) -> Session {
        #[cfg(target_arch = "x86_64")]
        let tiles = (self.instructions == Bf16Instructions::Amx).then(super::amx::Tiles::configure);
        Session {
            kernel: self,
            wide: WIDE.take(),
            #[cfg(target_arch = "x86_64")]
            tiles,
        }
    }
}

thread_local! {
    /// What a thread's sessions widen into, one after the other.
    static WIDE: Cell<Wide> = Cell::default();
}

/// A thread that multiplies blocks.
pub(crate) struct Session {
    kernel: Kernel,
    wide: Wide,
    #[cfg(target_arch = "x86_64")]
    tiles: Option<super::amx::Tiles>,
}

impl Drop for Session {
    fn drop(&mut self) {
        WIDE.set(std::mem::take(&mut self.wide));
    }
}

impl Session {
    /// One panel or two, of that many pairs of inputs, to multiply rows by. What they are made of stays as it
    /// is meanwhile.
    #[inline]
    pub(crate) fn weights<'a>(&'a mut self, panels: &'a [u32], pairs: usize) -> Multiplier<'a> {
        if self.kernel.instructions == Bf16Instructions::Widened {
            self.wide.take(self.kernel.arch, panels);
        }
        Multiplier { session: self, panels, pairs }
    }
}

/// Panels of weights that rows are multiplied by.
pub(crate) struct Multiplier<'a> {
    session: &'a mut Session,
    panels: &'a [u32],
    pairs: usize,
}

impl Multiplier<'_> {
    /// The sums of `count` rows into `out`, with `stride` values from row to row. A multiple of [`PANEL`]
    /// rows is written, whatever the last of them holds.
    ///
    /// # Panics
    ///
    /// Where rows, panels or `out` are too short for what is read and written.
    #[inline]
    pub(crate) fn multiply(&mut self, rows: Rows, count: usize, out: &mut [f32], stride: usize) {
        let Multiplier { session, panels, pairs } = self;
        let block = ProductBlock { rows, count, panels, pairs: *pairs };
        let (rows, width) = (block.rows_computed(), block.width());
        assert!((1..=BLOCK_ROWS).contains(&block.count));
        assert!((2 * block.pairs).is_multiple_of(session.kernel.inputs()));
        assert!(block.pairs > 0 && (1..=2).contains(&width));
        assert!(block.panels.len() == width * block.pairs * PANEL);
        assert!(block.rows.values.len() >= (rows - 1) * block.rows.stride + 2 * block.pairs);
        assert!(stride >= width * PANEL && out.len() >= (rows - 1) * stride + width * PANEL);
        #[cfg(target_arch = "x86_64")]
        match (session.kernel.instructions, &mut session.tiles) {
            (Bf16Instructions::Amx, Some(tiles)) => {
                // SAFETY: rows, panels and `out` are as long as the assertions say; the tiles are this
                // thread's, configured.
                return unsafe { super::amx::multiply(tiles, block, out, stride) };
            }
            (Bf16Instructions::Avx512, _) => {
                // SAFETY: as above; `Kernel::new` has seen that the processor has the instructions.
                return unsafe { super::avx512::multiply(block, out, stride) };
            }
            _ => {}
        }
        #[cfg(target_arch = "aarch64")]
        if session.kernel.instructions == Bf16Instructions::Neon {
            // SAFETY: rows, panels and `out` are as long as the assertions say; `Kernel::new` has seen that
            // the processor has the instructions.
            return unsafe { super::neon::multiply(block, out, stride) };
        }
        session.wide.multiply(session.kernel.arch, block, out, stride);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::super::team::Team;
    use super::super::panels::Bf16Panels;
    use super::super::{round, widen};
    use super::*;
    use std::num::NonZeroUsize;

    /// Rows, weights and their product in float64, of values that bfloat16 has.
    pub(in super::super) struct Case {
        pub(in super::super) rows: Vec<u16>,
        pub(in super::super) count: usize,
        pub(in super::super) stride: usize,
        pub(in super::super) panels: Bf16Panels,
        expected: Vec<f64>,
        most: f64,
    }

    impl Case {
        pub(in super::super) fn new(count: usize, inputs: usize, outputs: usize) -> Case {
            let mut state = (count * 31 + inputs * 7 + outputs) as u32;
            let mut value = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                widen(round((state >> 8) as f32 / (1 << 23) as f32 - 1.0))
            };
            let x: Vec<f32> = (0..count * inputs).map(|_| value()).collect();
            let w: Vec<f32> = (0..outputs * inputs).map(|_| value()).collect();
            let stride = super::super::stride(inputs);
            // Rows beyond the last hold NaN, as old memory may.
            let mut rows = vec![0x7fc0; count.next_multiple_of(PANEL) * stride];
            for (row, x) in rows.chunks_exact_mut(stride).zip(x.chunks(inputs)) {
                row.fill(0);
                row.iter_mut().zip(x).for_each(|(row, x)| *row = round(*x));
            }
            let dot = |x: &[f32], w: &[f32]| {
                x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum::<f64>()
            };
            let expected = x.chunks(inputs).flat_map(|x| w.chunks(inputs).map(move |w| dot(x, w))).collect();
            let panels = Bf16Panels::pack(&Team::new(NonZeroUsize::new(1)).unwrap(), outputs, inputs, &w);
            Case { rows, count, stride, panels, expected, most: 2e-7 * inputs as f64 }
        }

        pub(in super::super) fn block(&self) -> ProductBlock<'_> {
            ProductBlock {
                rows: Rows { values: &self.rows, stride: self.stride },
                count: self.count,
                panels: self.panels.panels(0, self.panels.outputs.div_ceil(PANEL)),
                pairs: self.panels.pairs,
            }
        }

        /// Compares sums, `stride` from row to row.
        pub(in super::super) fn check(&self, name: &str, out: &[f32], stride: usize) {
            for (row, (out, expected)) in
                out.chunks(stride).zip(self.expected.chunks(self.panels.outputs)).enumerate()
            {
                for (column, (o, e)) in out.iter().zip(expected).enumerate() {
                    let error = (f64::from(*o) - e).abs();
                    assert!(error <= self.most, "{name}: row {row}, column {column}: {o}, expected {e}");
                }
            }
        }
    }

    /// Blocks at every edge: rows of one tile and two, panels that are not full, inputs of one step and many.
    pub(in super::super) const SHAPES: [[usize; 3]; 9] = [
        [1, 1, 1],
        [7, 32, 16],
        [8, 33, 17],
        [16, 64, 32],
        [17, 96, 31],
        [31, 320, 32],
        [32, 640, 32],
        [32, 2560, 20],
        [9, 1100, 5],
    ];

    #[test]
    fn blocks_are_those_of_float64_by_every_instruction_set() {
        for way in Bf16Instructions::ALL {
            if !way.is_available() {
                println!("SKIPPED, this machine has no {way}");
                continue;
            }
            let mut session = Kernel::new(Arch::new(), way).session();
            for [count, inputs, outputs] in SHAPES {
                let case = Case::new(count, inputs, outputs);
                let mut out = vec![f32::NAN; 32 * 40];
                let ProductBlock { rows, panels, pairs, .. } = case.block();
                session.weights(panels, pairs).multiply(rows, count, &mut out, 40);
                case.check(&format!("{way}, {count} x {inputs} x {outputs}"), &out, 40);
            }
        }
    }

    #[test]
    fn a_rows_bits_do_not_depend_on_the_rows_beside_it() {
        for way in Bf16Instructions::available() {
            let mut session = Kernel::new(Arch::new(), way).session();
            let case = Case::new(32, 200, 32);
            let mut whole = vec![0.0; 32 * 32];
            let ProductBlock { rows, panels, pairs, .. } = case.block();
            session.weights(panels, pairs).multiply(rows, 32, &mut whole, 32);
            for first in [0, 1, 15, 16, 31] {
                let mut rows = vec![0x7fc0; PANEL * case.stride];
                rows[..case.stride].copy_from_slice(&case.rows[first * case.stride..][..case.stride]);
                let rows = Rows { values: &rows, stride: case.stride };
                let mut alone = vec![0.0; PANEL * 32];
                session.weights(panels, pairs).multiply(rows, 1, &mut alone, 32);
                assert_eq!(alone[..32], whole[first * 32..][..32], "{way}, row {first}");
            }
        }
    }
}
