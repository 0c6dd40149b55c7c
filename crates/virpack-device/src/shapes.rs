//! What every backend asks of the shapes that it is given, said in the same words.

use crate::DeviceError;

/// A matrix has `rows · columns` values.
pub(crate) fn matrix(rows: usize, columns: usize, values: usize) -> Result<(), DeviceError> {
    check(values == rows * columns, "matrix", || (format!("{rows} x {columns} values"), values.to_string()))
}

/// Boundaries rise from 0 to the number of tokens.
pub(crate) fn packed(tokens: usize, cu_seqlens: &[i32]) -> Result<(), DeviceError> {
    let rising = cu_seqlens.windows(2).all(|w| w[0] < w[1]);
    let ends = cu_seqlens.first() == Some(&0) && cu_seqlens.last() == i32::try_from(tokens).ok().as_ref();
    check(rising && ends, "packed", || {
        let given = format!("{} boundaries, last {:?}", cu_seqlens.len(), cu_seqlens.last());
        (format!("cu_seqlens rising from 0 to {tokens}"), given)
    })
}

/// `[gate | value]` has an even number of columns: the width of each.
pub(crate) fn gated(columns: usize) -> Result<usize, DeviceError> {
    check(columns.is_multiple_of(2), "gated_gelu", || {
        ("[tokens, 2 · width]".to_owned(), format!("{columns} columns"))
    })?;
    Ok(columns / 2)
}

/// Queries, keys and values, `3 · hidden`, share `hidden` out among heads of an even width: that width.
pub(crate) fn head_width(outputs: usize, heads: usize) -> Result<usize, DeviceError> {
    check(heads > 0 && outputs.is_multiple_of(6 * heads), "normed_qkv", || {
        ("3 · hidden outputs, hidden of even heads".to_owned(), format!("{outputs} outputs, {heads} heads"))
    })?;
    Ok(outputs / 3 / heads)
}

/// Both tensors of a sum, `[rows, columns]`, are of one shape.
pub(crate) fn add(x: [usize; 2], y: [usize; 2]) -> Result<(), DeviceError> {
    check(x == y, "add", || (format!("{x:?}"), format!("{y:?}")))
}

/// Weight and bias of a layer norm are as long as a row.
pub(crate) fn layer_norm(columns: usize, weight: usize, bias: usize) -> Result<(), DeviceError> {
    check([weight, bias] == [columns; 2], "layer_norm", || {
        (format!("weight and bias of {columns}"), format!("{weight} and {bias}"))
    })
}

/// Refuses, with what was expected and what is given, where it does not fit.
fn check(fits: bool, op: &'static str, facts: impl FnOnce() -> (String, String)) -> Result<(), DeviceError> {
    if fits {
        return Ok(());
    }
    let (expected, given) = facts();
    Err(DeviceError::Shape { op, expected, given })
}
