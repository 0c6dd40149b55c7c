//! The first two principal components of a sample of rows.

/// Directions that are iterated together: two more than needed, so that the second one converges sooner.
const BLOCK: usize = 4;
/// The most iterations, and the relative change of the variances that ends them.
const ITERATIONS: usize = 60;
const SETTLED: f64 = 1e-7;

/// The positions of rows along the first two components.
pub(super) struct Components {
    /// The position of each row.
    pub(super) places: Vec<[f64; 2]>,
    /// The components' shares of the variance.
    pub(super) explained: [f64; 2],
}

/// Returns the components of `rows`, all of one width and finite; None if they do not vary. The position
/// farthest from 0 is positive along both, so that the same rows give the same plot.
///
/// This is orthogonal iteration. It does not build the covariance, which would have `width^2` values.
pub(super) fn components(rows: &[&[f32]]) -> Option<Components> {
    let centred = centred(rows)?;
    let total: f64 = centred.iter().flatten().map(|x| x * x).sum();
    let squares: f64 = rows.iter().flat_map(|row| row.iter()).map(|x| f64::from(*x).powi(2)).sum();
    // A smaller variance is a rounding error of the mean.
    if !total.is_finite() || total <= 1e-20 * squares {
        return None;
    }
    let width = centred[0].len();
    let mut directions = beginning(width);
    let mut before = [f64::NAN; 2];
    let mut places = along(&centred, &directions);
    for _ in 0..ITERATIONS {
        directions = orthonormal(back(&centred, &places, width));
        places = along(&centred, &directions);
        let now = variances(&places);
        let change =
            now.iter().zip(before).map(|(now, before)| (now - before).abs() / total).fold(0.0, f64::max);
        if change < SETTLED && !before[0].is_nan() {
            break;
        }
        before = now;
    }
    let explained = variances(&places).map(|variance| variance / total);
    let sign = |axis: usize| {
        let farthest = places
            .iter()
            .map(|place| place[axis])
            .fold(0.0, |a: f64, b| if b.abs() > a.abs() { b } else { a });
        if farthest < 0.0 { -1.0 } else { 1.0 }
    };
    let signs = [sign(0), sign(1)];
    let places = places.iter().map(|place| [place[0] * signs[0], place[1] * signs[1]]).collect();
    Some(Components { places, explained })
}

/// Returns the rows without their mean.
fn centred(rows: &[&[f32]]) -> Option<Vec<Vec<f64>>> {
    let mut mean = vec![0.0; rows.first()?.len()];
    for row in rows {
        for (sum, x) in mean.iter_mut().zip(*row) {
            *sum += f64::from(*x) / rows.len() as f64;
        }
    }
    let less = |row: &&[f32]| row.iter().zip(&mean).map(|(x, mean)| f64::from(*x) - mean).collect();
    Some(rows.iter().map(less).collect())
}

/// Returns the first directions: the same numbers each time, without symmetry.
fn beginning(width: usize) -> Vec<[f64; BLOCK]> {
    let value = |i: usize, axis: usize| ((i * BLOCK + axis + 1) as f64 * 12.9898).sin() * 43_758.545_3 % 1.0;
    orthonormal((0..width).map(|i| std::array::from_fn(|axis| value(i, axis))).collect())
}

/// Returns the rows along the directions `[width, BLOCK]`: `[rows, BLOCK]`.
fn along(rows: &[Vec<f64>], directions: &[[f64; BLOCK]]) -> Vec<[f64; BLOCK]> {
    let place = |row: &Vec<f64>| {
        let mut sums = [0.0; BLOCK];
        for (x, direction) in row.iter().zip(directions) {
            for (sum, part) in sums.iter_mut().zip(direction) {
                *sum += x * part;
            }
        }
        sums
    };
    rows.iter().map(place).collect()
}

/// Returns the sum of the rows, each weighed by its positions: `[width, BLOCK]`.
fn back(rows: &[Vec<f64>], places: &[[f64; BLOCK]], width: usize) -> Vec<[f64; BLOCK]> {
    let mut sums = vec![[0.0; BLOCK]; width];
    for (row, place) in rows.iter().zip(places) {
        for (sum, x) in sums.iter_mut().zip(row) {
            for (sum, part) in sum.iter_mut().zip(place) {
                *sum += x * part;
            }
        }
    }
    sums
}

/// Makes the columns orthogonal and of length 1, the first ones first. A column that depends on those
/// before it becomes 0.
fn orthonormal(mut columns: Vec<[f64; BLOCK]>) -> Vec<[f64; BLOCK]> {
    let dot =
        |columns: &[[f64; BLOCK]], a: usize, b: usize| columns.iter().map(|row| row[a] * row[b]).sum::<f64>();
    for axis in 0..BLOCK {
        let whole = dot(&columns, axis, axis);
        // The second pass removes the rounding errors of the first.
        for earlier in (0..axis).chain(0..axis) {
            let shared = dot(&columns, axis, earlier);
            columns.iter_mut().for_each(|row| row[axis] -= shared * row[earlier]);
        }
        let left = dot(&columns, axis, axis);
        let scale = if left > whole * 1e-20 && left > 0.0 { 1.0 / left.sqrt() } else { 0.0 };
        columns.iter_mut().for_each(|row| row[axis] *= scale);
    }
    columns
}

/// Returns the sums of squares along the first two directions.
fn variances(places: &[[f64; BLOCK]]) -> [f64; 2] {
    [0, 1].map(|axis| places.iter().map(|place| place[axis] * place[axis]).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_components_of_a_cloud_with_known_axes_are_found() {
        // A spread of 10 along (3, 4, 0) / 5, of 3 along (4, -3, 0) / 5 and of 1 along the third; far from
        // 0.
        let row = |i: usize| {
            let angle = i as f64 * 2.399_963;
            let (a, b, c) = (10.0 * angle.sin(), 3.0 * (angle * 1.618).cos(), (angle * 2.3).sin());
            [(0.6 * a + 0.8 * b + 50.0) as f32, (0.8 * a - 0.6 * b) as f32, c as f32]
        };
        let rows: Vec<[f32; 3]> = (0..2_000).map(row).collect();
        let views: Vec<&[f32]> = rows.iter().map(|row| &row[..]).collect();
        let found = components(&views).unwrap();
        let share = [100.0 / 110.0, 9.0 / 110.0];
        for (found, share) in found.explained.iter().zip(share) {
            assert!((found - share).abs() < 0.005, "{found} is not {share}");
        }
        let sign =
            if found.places[100][0] * (10.0 * (100.0f64 * 2.399_963).sin()) < 0.0 { -1.0 } else { 1.0 };
        for (i, place) in found.places.iter().enumerate() {
            let a = 10.0 * (i as f64 * 2.399_963).sin();
            assert!((sign * place[0] - a).abs() < 0.2, "row {i}: {} is not {a}", place[0]);
        }
    }

    #[test]
    fn rows_on_one_line_or_one_point_have_components() {
        let rows = [[1.0f32], [2.0], [4.0]];
        let views: Vec<&[f32]> = rows.iter().map(|row| &row[..]).collect();
        let found = components(&views).unwrap();
        assert!((found.explained[0] - 1.0).abs() < 1e-9 && found.explained[1] == 0.0);
        assert!(found.places[2][0] > 0.0, "the farthest is positive");
        assert!(components(&[&[1.0, 2.0], &[1.0, 2.0]]).is_none());
        assert!(components(&[]).is_none());
    }
}
