//! Blocks by AMX: tiles of 16 rows of 64 bytes, sums of 16 by 16.
//!
//! The kernel is written over [`TileUnit`], five instructions, so that the tests run it in plain Rust where
//! there is no AMX.

use super::{INPUTS, PANEL, ProductBlock};
use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count};
use std::sync::OnceLock;

/// Bytes of a row of a tile.
const ROW: usize = 64;

/// The instructions of the matrix unit. A tile is 16 rows of 64 bytes.
trait TileUnit {
    /// Tile `T` to zeros.
    fn zero<const T: usize>(&mut self);

    /// Tile `T` from memory, `stride` bytes from row to row.
    ///
    /// # Safety
    ///
    /// 16 rows of 64 bytes can be read there.
    unsafe fn load<const T: usize>(&mut self, from: *const u8, stride: usize);

    /// Tile `T` to memory.
    ///
    /// # Safety
    ///
    /// 16 rows of 64 bytes can be written there.
    unsafe fn store<const T: usize>(&mut self, to: *mut u8, stride: usize);

    /// Sums `C[m][n] += A[m][2k] · B[k][2n] + A[m][2k + 1] · B[k][2n + 1]` over `k`.
    fn dot<const C: usize, const A: usize, const B: usize>(&mut self);
}

/// The matrix unit of this thread, configured until it is dropped.
pub(crate) struct Tiles(());

impl Tiles {
    /// Configures eight tiles of 16 rows of 64 bytes.
    pub(super) fn configure() -> Tiles {
        #[repr(C, align(64))]
        struct Config {
            palette: u8,
            start_row: u8,
            reserved: [u8; 14],
            row_bytes: [u16; 16],
            rows: [u8; 16],
        }
        assert!(is_available(), "the matrix unit of a machine that has one");
        let mut config =
            Config { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        config.row_bytes[..8].fill(ROW as u16);
        config.rows[..8].fill(16);
        // SAFETY: the processor has the instruction, the system allows it, and the configuration is valid.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const config, options(nostack, readonly)) };
        Tiles(())
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: it was configured, so that the instruction exists.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// A tile from memory.
macro_rules! load {
    ($tile:tt, $from:ident, $stride:ident) => {
        asm!(
            concat!("tileloadd ", $tile, ", [{} + {}*1]"),
            in(reg) $from,
            in(reg) $stride,
            out($tile) _,
            options(nostack)
        )
    };
}

/// The kernel's tiles: four of sums, two of rows, two of weights.
impl TileUnit for Tiles {
    #[inline(always)]
    fn zero<const T: usize>(&mut self) {
        // SAFETY: `configure` has made the tiles; they are this thread's alone.
        unsafe {
            match T {
                0 => asm!("tilezero tmm0", out("tmm0") _, options(nostack, nomem)),
                1 => asm!("tilezero tmm1", out("tmm1") _, options(nostack, nomem)),
                2 => asm!("tilezero tmm2", out("tmm2") _, options(nostack, nomem)),
                3 => asm!("tilezero tmm3", out("tmm3") _, options(nostack, nomem)),
                _ => unreachable!("four tiles of sums"),
            }
        }
    }

    #[inline(always)]
    unsafe fn load<const T: usize>(&mut self, from: *const u8, stride: usize) {
        // SAFETY: as above, and the caller's promise.
        unsafe {
            match T {
                4 => {
                    load!("tmm4", from, stride)
                }
                5 => {
                    load!("tmm5", from, stride)
                }
                6 => {
                    load!("tmm6", from, stride)
                }
                7 => {
                    load!("tmm7", from, stride)
                }
                _ => unreachable!("four tiles of factors"),
            }
        }
    }

    #[inline(always)]
    unsafe fn store<const T: usize>(&mut self, to: *mut u8, stride: usize) {
        // SAFETY: as above, and the caller's promise.
        unsafe {
            match T {
                0 => asm!("tilestored [{} + {}*1], tmm0", in(reg) to, in(reg) stride, options(nostack)),
                1 => asm!("tilestored [{} + {}*1], tmm1", in(reg) to, in(reg) stride, options(nostack)),
                2 => asm!("tilestored [{} + {}*1], tmm2", in(reg) to, in(reg) stride, options(nostack)),
                3 => asm!("tilestored [{} + {}*1], tmm3", in(reg) to, in(reg) stride, options(nostack)),
                _ => unreachable!("four tiles of sums"),
            }
        }
    }

    #[inline(always)]
    fn dot<const C: usize, const A: usize, const B: usize>(&mut self) {
        // SAFETY: as above.
        unsafe {
            match (C, A, B) {
                (0, 4, 6) => asm!("tdpbf16ps tmm0, tmm4, tmm6", out("tmm0") _, options(nostack, nomem)),
                (1, 4, 7) => asm!("tdpbf16ps tmm1, tmm4, tmm7", out("tmm1") _, options(nostack, nomem)),
                (2, 5, 6) => asm!("tdpbf16ps tmm2, tmm5, tmm6", out("tmm2") _, options(nostack, nomem)),
                (3, 5, 7) => asm!("tdpbf16ps tmm3, tmm5, tmm7", out("tmm3") _, options(nostack, nomem)),
                _ => unreachable!("sums of these rows and weights"),
            }
        }
    }
}

/// Returns whether the processor has the units, the system saves their registers, and lets this process use
/// them.
pub(super) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| processor_has_them() && system_saves_them() && process_may_use_them())
}

/// CPUID: tiles, and bfloat16 in them.
fn processor_has_them() -> bool {
    const BF16: u32 = 1 << 22;
    const TILE: u32 = 1 << 24;
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & (BF16 | TILE) == (BF16 | TILE)
}

/// XCR0: the configuration of tiles, and what they hold.
fn system_saves_them() -> bool {
    const OSXSAVE: u32 = 1 << 27;
    const TILES: u32 = 0b11 << 17;
    if __cpuid(1).ecx & OSXSAVE == 0 {
        return false;
    }
    let (low, _high): (u32, u32);
    // SAFETY: the system has enabled the instruction (OSXSAVE), and register 0 exists then.
    unsafe { asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") _high, options(nostack, nomem)) };
    low & TILES == TILES
}

/// Linux gives the tiles' memory to processes that ask, all of their threads.
#[cfg(target_os = "linux")]
fn process_may_use_them() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_ulong = 0x1023;
    const XTILEDATA: libc::c_ulong = 18;
    // SAFETY: a call that takes two numbers and touches no memory of this process.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0 }
}

/// Elsewhere the way to ask is not known.
#[cfg(not(target_os = "linux"))]
fn process_may_use_them() -> bool {
    false
}

/// The sums of a block.
///
/// # Safety
///
/// As `Multiplier::multiply` asserts; the unit is configured.
pub(super) unsafe fn multiply(tiles: &mut Tiles, block: ProductBlock, out: &mut [f32], stride: usize) {
    // SAFETY: the caller's promise.
    unsafe { multiply_on(tiles, block, out, stride) };
}

/// The sums of a block on any unit.
///
/// # Safety
///
/// As `Multiplier::multiply` asserts.
#[inline(always)]
unsafe fn multiply_on(unit: &mut impl TileUnit, block: ProductBlock, out: &mut [f32], stride: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        match (block.count > PANEL, block.width() > 1) {
            (false, false) => tile_block::<1, 1>(unit, block, out, stride),
            (false, true) => tile_block::<1, 2>(unit, block, out, stride),
            (true, false) => tile_block::<2, 1>(unit, block, out, stride),
            (true, true) => tile_block::<2, 2>(unit, block, out, stride),
        }
    }
}

/// `M` tiles of rows by `N` panels: tiles 0 to 3 are sums, 4 and 5 rows, 6 and 7 weights.
///
/// # Safety
///
/// As `Multiplier::multiply` asserts, for that many tiles.
#[inline(always)]
unsafe fn tile_block<const M: usize, const N: usize>(
    unit: &mut impl TileUnit,
    block: ProductBlock,
    out: &mut [f32],
    stride: usize,
) {
    unit.zero::<0>();
    if N == 2 {
        unit.zero::<1>();
    }
    if M == 2 {
        unit.zero::<2>();
    }
    if M == 2 && N == 2 {
        unit.zero::<3>();
    }
    let row_bytes = block.rows.stride * size_of::<u16>();
    let (mut rows, mut weights) =
        (block.rows.values.as_ptr().cast::<u8>(), block.panels.as_ptr().cast::<u8>());
    for _ in 0..block.pairs / (INPUTS / 2) {
        // SAFETY: 16 · M rows of the inputs that are left, and N panels of them, a tile each for that many
        // inputs.
        unsafe {
            unit.load::<4>(rows, row_bytes);
            unit.load::<6>(weights, ROW);
            unit.dot::<0, 4, 6>();
            if N == 2 {
                unit.load::<7>(weights.add(block.pairs * ROW), ROW);
                unit.dot::<1, 4, 7>();
            }
            if M == 2 {
                unit.load::<5>(rows.add(PANEL * row_bytes), row_bytes);
                unit.dot::<2, 5, 6>();
            }
            if M == 2 && N == 2 {
                unit.dot::<3, 5, 7>();
            }
        }
        rows = rows.wrapping_add(ROW);
        weights = weights.wrapping_add(16 * ROW);
    }
    let out_bytes = stride * size_of::<f32>();
    let out = out.as_mut_ptr().cast::<u8>();
    // SAFETY: 16 · M rows of 16 · N sums, `stride` apart.
    unsafe {
        unit.store::<0>(out, out_bytes);
        if N == 2 {
            unit.store::<1>(out.add(ROW), out_bytes);
        }
        if M == 2 {
            unit.store::<2>(out.add(PANEL * out_bytes), out_bytes);
        }
        if M == 2 && N == 2 {
            unit.store::<3>(out.add(PANEL * out_bytes + ROW), out_bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::instructions::tests::{Case, SHAPES};
    use super::super::widen;
    use super::*;

    /// The unit as Intel's manual describes it, in plain Rust.
    struct Described {
        tiles: [[[u8; ROW]; 16]; 8],
    }

    impl Described {
        fn word(&self, tile: usize, row: usize, column: usize) -> u32 {
            self.tiles[tile][row].as_chunks().0.iter().copied().map(u32::from_ne_bytes).nth(column).unwrap()
        }
    }

    impl TileUnit for Described {
        fn zero<const T: usize>(&mut self) {
            self.tiles[T] = [[0; ROW]; 16];
        }

        unsafe fn load<const T: usize>(&mut self, from: *const u8, stride: usize) {
            for (row, tile) in self.tiles[T].iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                *tile = unsafe { from.add(row * stride).cast::<[u8; ROW]>().read_unaligned() };
            }
        }

        unsafe fn store<const T: usize>(&mut self, to: *mut u8, stride: usize) {
            for (row, tile) in self.tiles[T].iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe { to.add(row * stride).cast::<[u8; ROW]>().write_unaligned(*tile) };
            }
        }

        fn dot<const C: usize, const A: usize, const B: usize>(&mut self) {
            for m in 0..16 {
                for n in 0..16 {
                    let mut sum = f32::from_bits(self.word(C, m, n));
                    for k in 0..16 {
                        let (a, b) = (self.word(A, m, k), self.word(B, k, n));
                        for half in [0, 16] {
                            sum += widen((a >> half) as u16) * widen((b >> half) as u16);
                        }
                    }
                    self.tiles[C][m][4 * n..][..4].copy_from_slice(&sum.to_ne_bytes());
                }
            }
        }
    }

    #[test]
    fn the_kernel_over_tiles_described_in_rust_is_that_of_float64() {
        for [count, inputs, outputs] in SHAPES {
            let case = Case::new(count, inputs, outputs);
            let block = case.block();
            const UNTOUCHED: f32 = 12_345.0;
            let mut out = vec![UNTOUCHED; 32 * 40];
            // What tiles held before must not matter.
            let mut unit = Described { tiles: [[[0x7f; ROW]; 16]; 8] };
            // SAFETY: rows, panels and sums are as long as `Multiplier::multiply` asks.
            unsafe { multiply_on(&mut unit, block, &mut out, 40) };
            case.check(&format!("tiles, {count} x {inputs} x {outputs}"), &out, 40);
            assert_eq!(out[block.width() * PANEL], UNTOUCHED, "beyond the last panel");
            assert_eq!(out[31 * 40] == UNTOUCHED, count <= PANEL, "beyond the last tile of rows");
        }
    }

    /// The instructions against their description, bit for bit where sums are exact.
    #[test]
    fn the_units_tiles_are_those_described() {
        if !is_available() {
            return println!("SKIPPED, this machine has no AMX");
        }
        let rows: Vec<u16> = (0..32 * 96).map(|i| super::super::round((i % 13) as f32 - 6.0)).collect();
        let words: Vec<u32> = (0..2 * 32 * 16)
            .map(|i| {
                let half = |i: u32| u32::from(super::super::round((i % 11) as f32 - 5.0));
                half(i) | half(i / 3) << 16
            })
            .collect();
        let rows = super::super::Rows { values: &rows, stride: 96 };
        let block = ProductBlock { rows, count: 32, panels: &words, pairs: 32 };
        let (mut given, mut expected) = (vec![0.0; 32 * 32], vec![0.0; 32 * 32]);
        // SAFETY: 32 rows of 96 values, two panels of 32 pairs, 32 rows of 32 sums.
        unsafe {
            multiply(&mut Tiles::configure(), block, &mut given, 32);
            multiply_on(&mut Described { tiles: [[[0; ROW]; 16]; 8] }, block, &mut expected, 32);
        }
        assert_eq!(given, expected);
    }
}
