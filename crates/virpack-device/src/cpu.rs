//! The CPU backend: float32 or bfloat16 on all cores, instructions chosen at run time.

mod attention;
mod backend;
mod bf16;
mod bf16_backend;
mod blocks;
mod buffers;
mod clock;
mod device;
mod exact;
mod f32_backend;
mod linear;
mod lines;
mod math;
mod microkernel;
mod norm;
mod panels;
mod pool;
mod product;
mod rotary;
mod row_block;
mod team;
mod tiles;
mod window;

pub use bf16::Bf16Instructions;
pub use buffers::CpuTensor;
pub use device::CPU_TOKEN_BUDGET;
pub use linear::CpuMatrix;

use crate::{Attention, DeviceError, ModelShape, shapes};
use bf16::Kernel;
use buffers::Buffers;
use clock::{Clock, Kind};
use pulp::Arch;
use rotary::{RotaryTable, RotaryTables};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;
use team::Team;

/// Rows a task of a row-by-row operation takes.
const ROWS: usize = 64;

/// Most threads of a backend: beyond any machine's cores.
const MOST_THREADS: usize = 4096;

/// The CPU: float32 or bfloat16, every core, AVX-512 or AVX2 where the processor has them.
///
/// In bfloat16 the weights of products, what products read and what attention reads are bfloat16; sums,
/// norms, softmax and the residual stream are float32.
#[derive(Debug)]
pub struct Cpu {
    arch: Arch,
    /// How bfloat16 values are multiplied; None in float32.
    bf16: Option<Kernel>,
    team: Team,
    buffers: Buffers,
    rotary: RotaryTables,
    clock: Clock,
}

/// A batch on the CPU.
#[derive(Debug)]
pub struct CpuPacked {
    input_ids: Vec<u16>,
    cu_seqlens: Vec<usize>,
}

impl CpuPacked {
    fn lengths(&self) -> impl Iterator<Item = usize> + '_ {
        self.cu_seqlens.windows(2).map(|bounds| bounds[1] - bounds[0])
    }

    /// Returns the tokens of each sequence.
    fn sequences(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.cu_seqlens.windows(2).map(|w| w[0]..w[1])
    }

    /// Returns the tokens of each sequence, the longest first.
    fn longest_first(&self) -> Vec<Range<usize>> {
        let mut sequences: Vec<_> = self.sequences().collect();
        sequences.sort_by_key(|s| std::cmp::Reverse(s.len()));
        sequences
    }

    /// `(hidden, head width)` of the batch's queries, keys and values.
    fn check_qkv(&self, qkv: &CpuTensor, heads: usize) -> Result<(usize, usize), DeviceError> {
        shapes::qkv([qkv.rows, qkv.columns], self.input_ids.len(), heads, None)
    }
}

impl Cpu {
    /// Returns a CPU backend in float32 with its own threads: `threads` of them, or one a core.
    ///
    /// # Errors
    ///
    /// When the system refuses the threads.
    ///
    /// ```
    /// use std::num::NonZeroUsize;
    /// use virpack_device::Cpu;
    ///
    /// assert_eq!(Cpu::new(NonZeroUsize::new(2))?.threads(), 2);
    /// # Ok::<(), virpack_device::DeviceError>(())
    /// ```
    pub fn new(threads: Option<NonZeroUsize>) -> Result<Cpu, DeviceError> {
        Cpu::with(threads, None)
    }

    /// Returns the same in bfloat16, by [`Bf16Instructions::fastest`].
    ///
    /// # Errors
    ///
    /// When the system refuses the threads.
    ///
    /// ```
    /// use virpack_device::{Cpu, Device, Dtype};
    ///
    /// assert_eq!(Cpu::bf16(None)?.dtype(), Dtype::Bf16);
    /// # Ok::<(), virpack_device::DeviceError>(())
    /// ```
    pub fn bf16(threads: Option<NonZeroUsize>) -> Result<Cpu, DeviceError> {
        Cpu::with(threads, Some(Bf16Instructions::fastest()))
    }

    /// Returns the same by instructions of the caller's choice, to compare them.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Instructions`] where this machine does not have them; when the system refuses the
    /// threads.
    ///
    /// ```
    /// use virpack_device::{Bf16Instructions, Cpu, Device};
    ///
    /// let cpu = Cpu::bf16_by(None, Bf16Instructions::Widened)?;
    /// assert!(cpu.name().ends_with("bfloat16"));
    /// # Ok::<(), virpack_device::DeviceError>(())
    /// ```
    pub fn bf16_by(
        threads: Option<NonZeroUsize>,
        instructions: Bf16Instructions,
    ) -> Result<Cpu, DeviceError> {
        if !instructions.is_available() {
            return Err(DeviceError::Instructions { instructions: instructions.to_string() });
        }
        Cpu::with(threads, Some(instructions))
    }

    fn with(threads: Option<NonZeroUsize>, bf16: Option<Bf16Instructions>) -> Result<Cpu, DeviceError> {
        let count = threads.map_or(0, NonZeroUsize::get);
        if count > MOST_THREADS {
            // The system would start threads for minutes before it refuses one.
            let reason = format!("the most is {MOST_THREADS}");
            return Err(DeviceError::Threads { threads: count, reason });
        }
        let team = Team::new(threads)?;
        let arch = Arch::new();
        let bf16 = bf16.map(|instructions| Kernel::new(arch, instructions));
        let (buffers, rotary, clock) = Default::default();
        Ok(Cpu { arch, bf16, team, buffers, rotary, clock })
    }

    /// Threads that compute.
    pub fn threads(&self) -> usize {
        self.team.threads()
    }

    /// Bytes taken in float32 beside weights and tensors.
    ///
    /// Each thread keeps a block's rows and the keys and values of one head of one sequence of up to
    /// `longest` tokens (`attention::Scratch`). All threads share the table of rotary angles. The allocator
    /// may keep the values from which the largest matrix was packed: four bytes of each, and six where the
    /// matrix is kept in two, because it was packed in four.
    fn workspace(&self, model: &ModelShape, longest: usize) -> u64 {
        // Beyond any memory where the lengths are: no sum of these may wrap.
        let values = |n: usize| (n as u64).saturating_mul(size_of::<f32>() as u64);
        let attention = values(longest.saturating_mul(2 * model.head_width));
        let positions = longest.checked_next_power_of_two().unwrap_or(usize::MAX);
        let angles = values(positions.saturating_mul(model.head_width));
        let largest = model.products.iter().map(|[outputs, inputs]| outputs * inputs).max().unwrap_or(0);
        let loaded = if model.stored_in_16_bits { values(largest) / 2 * 3 } else { values(largest) };
        let of_a_thread = values(row_block::scratch(&model.products)).saturating_add(attention);
        of_a_thread.saturating_mul(self.threads() as u64).saturating_add(angles).saturating_add(loaded)
    }

    /// Activations made elsewhere: a copy of `values`, `[rows, columns]` row-major.
    ///
    /// # Errors
    ///
    /// If there are more or fewer.
    ///
    /// ```
    /// use virpack_device::{Backend, Cpu};
    ///
    /// let cpu = Cpu::new(None)?;
    /// let x = cpu.tensor(2, 2, &[1.0, 2.0, 3.0, 4.0])?;
    /// let swap = cpu.matrix(2, 2, vec![0.0, 1.0, 1.0, 0.0])?;
    /// assert_eq!(cpu.product(&x, &swap, None)?.values(), [2.0, 1.0, 4.0, 3.0]);
    /// assert!(cpu.tensor(2, 3, &[1.0]).is_err());
    /// # Ok::<(), virpack_device::DeviceError>(())
    /// ```
    pub fn tensor(&self, rows: usize, columns: usize, values: &[f32]) -> Result<CpuTensor, DeviceError> {
        shapes::tensor(rows, columns, values.len())?;
        let mut tensor = self.buffers.tensor(rows, columns);
        tensor.values_mut().copy_from_slice(values);
        Ok(tensor)
    }

    /// How bfloat16 values are multiplied; None in float32.
    ///
    /// ```
    /// use virpack_device::{Bf16Instructions, Cpu};
    ///
    /// assert_eq!(Cpu::new(None)?.bf16_instructions(), None);
    /// assert_eq!(Cpu::bf16(None)?.bf16_instructions(), Some(Bf16Instructions::fastest()));
    /// # Ok::<(), virpack_device::DeviceError>(())
    /// ```
    pub fn bf16_instructions(&self) -> Option<Bf16Instructions> {
        self.bf16.map(Kernel::instructions)
    }

    /// Returns the instructions of float32 arithmetic: `AVX-512`, `AVX2`, `NEON` or `scalar`.
    pub fn instructions(&self) -> &'static str {
        match format!("{:?}", self.arch) {
            name if name.starts_with("V4") => "AVX-512",
            name if name.starts_with("V3") => "AVX2",
            name if name.starts_with("Neon") => "NEON",
            _ => "scalar",
        }
    }

    /// Runs `task` for each of `0..count` on the backend's threads, in this order; the time is counted as
    /// `kind`.
    fn on_threads(&self, kind: Kind, count: usize, task: impl Fn(usize) + Sync) {
        self.clock.time(kind, || self.team.run(count, task));
    }

    /// Runs `work` on each row of `out`, many rows a task.
    fn each_row(&self, out: &mut CpuTensor, work: impl Fn(usize, &mut [f32]) + Sync) {
        let columns = out.columns;
        self.rows_of(out.values_mut(), columns, work);
    }

    /// Runs `work` on each row, `stride` values from row to row, many rows a task.
    fn rows_of<T: Send>(&self, values: &mut [T], stride: usize, work: impl Fn(usize, &mut [T]) + Sync) {
        let task = |chunk, rows: &mut [T]| {
            for (i, row) in rows.chunks_exact_mut(stride).enumerate() {
                work(chunk * ROWS + i, row);
            }
        };
        self.clock.time(Kind::Rest, || self.team.run_chunks(values, ROWS * stride, task));
    }

    fn rotary_table(
        &self,
        head_width: usize,
        packed: &CpuPacked,
        attention: &Attention<Vec<f32>>,
    ) -> Result<Arc<RotaryTable>, DeviceError> {
        shapes::frequencies(head_width, attention.rotary_frequencies.len())?;
        let longest = packed.lengths().max().unwrap_or(0);
        Ok(self.rotary.get(&attention.rotary_frequencies, longest))
    }
}
