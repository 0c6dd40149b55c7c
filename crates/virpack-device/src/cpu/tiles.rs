//! Work cut into rectangles for the threads.

use std::ops::Range;

/// A rectangle of the output of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) rows: Range<usize>,
    pub(crate) columns: Range<usize>,
}

/// What follows the product on each tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnTile {
    /// Nothing more.
    Nothing,
    /// The exact GELU.
    Gelu,
    /// Adds the product to the output.
    Add,
}

/// How products are cut.
#[derive(Clone, Copy)]
pub(crate) struct Cut {
    /// Rows of a tile when there are enough.
    pub(crate) rows: usize,
    /// What a tile's columns are a multiple of.
    pub(crate) columns: usize,
    /// Tiles that each of several threads should have at the least.
    pub(crate) tiles_a_thread: usize,
}

/// Cuts `[rows, columns]` into tiles: by rows, and by columns too where rows alone would leave threads idle.
pub(crate) fn tiles(rows: usize, columns: usize, threads: usize, cut: Cut) -> Vec<Tile> {
    tiles_of(std::iter::once(0..rows), columns, threads, cut)
}

/// Returns the same, where no tile holds rows of two `parts`.
pub(crate) fn tiles_of(
    parts: impl Iterator<Item = Range<usize>>,
    columns: usize,
    threads: usize,
    cut: Cut,
) -> Vec<Tile> {
    let wanted = if threads == 1 { 1 } else { cut.tiles_a_thread * threads };
    let cut_rows =
        |part: Range<usize>| part.clone().step_by(cut.rows).map(move |r| r..part.end.min(r + cut.rows));
    let rows: Vec<Range<usize>> = parts.flat_map(cut_rows).collect();
    let row_tiles = rows.len();
    let column_tiles = wanted.div_ceil(row_tiles.max(1)).clamp(1, columns.div_ceil(64).max(1));
    let width = columns.div_ceil(column_tiles).next_multiple_of(cut.columns).max(cut.columns);
    let mut tiles = Vec::with_capacity(row_tiles * column_tiles);
    for rows in rows {
        for c in (0..columns).step_by(width) {
            tiles.push(Tile { rows: rows.clone(), columns: c..columns.min(c + width) });
        }
    }
    tiles
}

/// A matrix that several threads write at once, each its own tile.
pub(crate) struct SharedRows<T> {
    pointer: *mut T,
    rows: usize,
    columns: usize,
}

impl<T> Clone for SharedRows<T> {
    fn clone(&self) -> SharedRows<T> {
        *self
    }
}

impl<T> Copy for SharedRows<T> {}

// SAFETY: `SharedRows` is only a pointer and its bounds; every access goes through `row` or `rows`, whose
// contracts keep the ranges of different threads apart.
unsafe impl<T: Send> Send for SharedRows<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SharedRows<T> {}

impl<T> SharedRows<T> {
    /// Shares `values`, `[values.len() / columns, columns]`, for the time of the borrow.
    pub(crate) fn new(values: &mut [T], columns: usize) -> SharedRows<T> {
        SharedRows { pointer: values.as_mut_ptr(), rows: values.len() / columns, columns }
    }

    /// Returns whole rows.
    ///
    /// # Safety
    ///
    /// As [`SharedRows::row`], of all these rows.
    pub(crate) unsafe fn rows<'a>(self, rows: Range<usize>) -> &'a mut [T] {
        assert!(rows.start <= rows.end && rows.end <= self.rows);
        // SAFETY: inside the matrix by the assertion; alone by the caller's promise.
        unsafe {
            std::slice::from_raw_parts_mut(
                self.pointer.add(rows.start * self.columns),
                rows.len() * self.columns,
            )
        }
    }

    /// Returns a part of one row.
    ///
    /// # Safety
    ///
    /// The slice `SharedRows` was made of is still borrowed, and no other thread holds an overlapping part.
    pub(crate) unsafe fn row<'a>(self, row: usize, columns: Range<usize>) -> &'a mut [T] {
        assert!(row < self.rows && columns.start <= columns.end && columns.end <= self.columns);
        // SAFETY: inside the matrix by the assertion; alone by the caller's promise.
        unsafe {
            std::slice::from_raw_parts_mut(
                self.pointer.add(row * self.columns + columns.start),
                columns.len(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUTS: [Cut; 2] = [
        Cut { rows: 192, columns: 32, tiles_a_thread: 8 },
        Cut { rows: 128, columns: 32, tiles_a_thread: 4 },
    ];

    #[test]
    fn tiles_cover_each_element_once() {
        for rows in [1, 7, 255, 256, 257, 4096] {
            for columns in [1, 16, 40, 64, 320, 1280] {
                for (threads, cut) in
                    [1, 2, 3, 64].into_iter().flat_map(|threads| CUTS.map(|cut| (threads, cut)))
                {
                    let mut seen = vec![0u8; rows * columns];
                    for tile in tiles(rows, columns, threads, cut) {
                        for r in tile.rows.clone() {
                            for c in tile.columns.clone() {
                                seen[r * columns + c] += 1;
                            }
                        }
                    }
                    assert!(seen.iter().all(|&n| n == 1), "{rows} x {columns}, {threads} threads");
                }
            }
        }
    }

    #[test]
    fn no_tile_holds_rows_of_two_parts() {
        let parts = [0..300, 300..301, 301..557];
        let rows: Vec<_> =
            tiles_of(parts.into_iter(), 64, 1, CUTS[0]).into_iter().map(|tile| tile.rows).collect();
        assert_eq!(rows, [0..192, 192..300, 300..301, 301..493, 493..557]);
    }

    #[test]
    fn few_rows_still_give_every_thread_work() {
        assert!(tiles(50, 320, 2, CUTS[0]).len() >= 4);
    }
}
