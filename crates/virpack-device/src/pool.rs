//! How a sequence's rows become one row.

/// How a sequence's rows become one row.
///
/// ```
/// use virpack_device::{Backend, Cpu, Pool, PoolSpan};
///
/// let cpu = Cpu::new(None)?;
/// let packed = cpu.packed(&[0, 5, 6, 2], &[0, 4], 4)?; // <cls>, two residues, <eos>
/// let x = cpu.tensor(4, 1, &[9.0, 1.0, 3.0, 9.0])?;
/// let residues = PoolSpan { skip_first: 1, skip_last: 1 };
/// for (pool, expected) in [(Pool::Mean, 2.0), (Pool::Max, 3.0), (Pool::Cls, 9.0)] {
///     assert_eq!(cpu.wait(cpu.pool(&x, &packed, pool, residues)?)?, [expected]);
/// }
/// assert_eq!(cpu.wait(cpu.pool(&x, &packed, Pool::MeanMax, residues)?)?, [2.0, 3.0]);
/// # Ok::<(), virpack_device::DeviceError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Pool {
    /// The mean over the span.
    Mean = 0,
    /// The largest value of each column over the span.
    Max = 1,
    /// The row of the first token.
    Cls = 2,
    /// The mean, then the largest value: a row of twice as many columns.
    MeanMax = 3,
}

impl Pool {
    /// Values of a pooled row of hidden states of `columns` values.
    ///
    /// ```
    /// use virpack_device::Pool;
    ///
    /// assert_eq!([Pool::Mean, Pool::MeanMax].map(|pool| pool.width(128)), [128, 256]);
    /// ```
    #[must_use]
    pub fn width(self, columns: usize) -> usize {
        match self {
            Pool::Mean | Pool::Max | Pool::Cls => columns,
            Pool::MeanMax => 2 * columns,
        }
    }
}

/// Which tokens of a sequence pools see, but for [`Pool::Cls`]: all but the first `skip_first` and the
/// last `skip_last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSpan {
    /// Tokens left out at the start (1 for `<cls>`).
    pub skip_first: usize,
    /// Tokens left out at the end (1 for `<eos>`).
    pub skip_last: usize,
}
