//! Checks of shapes, with the same messages for every backend.

use crate::{DeviceError, Pool, PoolSpan};

/// Checks that a matrix has `rows · columns` values.
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
    check(heads > 0 && outputs.is_multiple_of(6 * heads), "linear_layer", || {
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

/// Checks that a tensor `[rows, columns]` has as many values.
pub(crate) fn tensor(rows: usize, columns: usize, values: usize) -> Result<(), DeviceError> {
    check(rows.checked_mul(columns) == Some(values), "tensor", || {
        (format!("[{rows}, {columns}] values"), format!("{values}"))
    })
}

/// Checks that a token's id has a row in the embedding table.
pub(crate) fn token_id(id: u16, vocabulary: usize) -> Result<(), DeviceError> {
    if usize::from(id) < vocabulary { Ok(()) } else { Err(DeviceError::TokenId { id, vocabulary }) }
}

/// A product: `x` `[tokens, inputs]`, `weight` `[outputs, inputs]`, `bias` `[outputs]`, `y` `[tokens, outputs]`.
pub(crate) fn linear(
    x: [usize; 2],
    weight: [usize; 2],
    bias: Option<usize>,
    y: [usize; 2],
) -> Result<(), DeviceError> {
    let [outputs, inputs] = weight;
    let fits = x[1] == inputs && bias.is_none_or(|bias| bias == outputs) && y == [x[0], outputs];
    check(fits, "linear", || {
        let expected = format!("x [tokens, {inputs}] for a weight [{outputs}, {inputs}]");
        (expected, format!("x {x:?}, bias {bias:?}, y {y:?}"))
    })
}

/// A linear layer `[outputs, inputs]`: its weight's values, its bias, weight and bias of the norm before it.
pub(crate) fn linear_layer(
    [outputs, inputs]: [usize; 2],
    weight: usize,
    bias: Option<usize>,
    norm: Option<[usize; 2]>,
) -> Result<(), DeviceError> {
    matrix(outputs, inputs, weight)?;
    let fits = bias.is_none_or(|bias| bias == outputs) && norm.is_none_or(|norm| norm == [inputs; 2]);
    check(fits, "linear_layer", || {
        let expected = format!("a bias of {outputs}, a norm of {inputs}");
        (expected, format!("bias {bias:?}, norm {norm:?}"))
    })
}

/// Queries, keys and values of a batch, `[tokens, 3 · hidden]`, of heads of an even width, at most `widest` where a
/// backend has a limit: `(hidden, head width)`.
pub(crate) fn qkv(
    [rows, columns]: [usize; 2],
    tokens: usize,
    heads: usize,
    widest: Option<usize>,
) -> Result<(usize, usize), DeviceError> {
    let hidden = columns / 3;
    let divides = columns == 3 * hidden && heads > 0 && hidden.is_multiple_of(2 * heads);
    let fits = divides && rows == tokens && widest.is_none_or(|widest| hidden / heads <= widest);
    check(fits, "attention", || {
        let limit = widest.map_or(String::new(), |widest| format!(" of at most {widest}"));
        (format!("[{tokens}, 3 · hidden], hidden {heads} even heads{limit}"), format!("[{rows}, {columns}]"))
    })?;
    Ok((hidden, hidden / heads))
}

/// ALiBi has a slope for each head, where there are any.
pub(crate) fn slopes(heads: usize, slopes: Option<usize>) -> Result<(), DeviceError> {
    check(slopes.is_none_or(|slopes| slopes == heads), "attention", || {
        (format!("{heads} slopes"), format!("{}", slopes.unwrap_or(0)))
    })
}

/// Rotary positions have a frequency for each pair of a head's values.
pub(crate) fn frequencies(head_width: usize, frequencies: usize) -> Result<(), DeviceError> {
    check(frequencies == head_width / 2, "rotary", || {
        (format!("{} frequencies", head_width / 2), format!("{frequencies}"))
    })
}

/// Heads are as wide as those that a weight's rows are ordered for.
pub(crate) fn ordered_heads(ordered: usize, head_width: usize) -> Result<(), DeviceError> {
    check(ordered == head_width, "rotary", || {
        let expected = format!("heads of {ordered}, as the weight's rows are ordered");
        (expected, format!("heads of {head_width}"))
    })
}

/// Checks that a batch's rows are pooled, and that every sequence has a token that is not skipped.
pub(crate) fn pool(
    rows: usize,
    tokens: usize,
    shortest: usize,
    pool: Pool,
    span: PoolSpan,
) -> Result<(), DeviceError> {
    let skipped = if pool == Pool::Cls { 0 } else { span.skip_first + span.skip_last };
    check(rows == tokens && shortest > skipped, "pool", || {
        let expected = format!("{tokens} rows, sequences of more than {skipped} tokens");
        (expected, format!("{rows} rows, a sequence of {shortest}"))
    })
}

/// Checks that a window has as many rows before its middle as after it.
pub(crate) fn window(op: &'static str, window: usize) -> Result<(), DeviceError> {
    check(window % 2 == 1, op, || ("a window of an odd number of tokens".to_owned(), window.to_string()))
}

/// A table for each place of a window, all in one of `rows` rows, and a bias `[columns]`: the rows of each.
pub(crate) fn window_table(
    [rows, columns]: [usize; 2],
    places: usize,
    bias: usize,
) -> Result<usize, DeviceError> {
    window("embed_window", places)?;
    check(rows.is_multiple_of(places) && bias == columns, "embed_window", || {
        let expected = format!("{places} tables of one size, a bias of {columns}");
        (expected, format!("{rows} rows, a bias of {bias}"))
    })?;
    Ok(rows / places)
}

/// Checks that a batch's rows are put side by side.
pub(crate) fn unfold(rows: usize, tokens: usize, size: usize) -> Result<(), DeviceError> {
    window("unfold", size)?;
    check(rows == tokens, "unfold", || (format!("{tokens} rows"), format!("{rows} rows")))
}

/// Refuses, with what was expected and what is given, where it does not fit.
fn check(fits: bool, op: &'static str, facts: impl FnOnce() -> (String, String)) -> Result<(), DeviceError> {
    if fits {
        return Ok(());
    }
    let (expected, given) = facts();
    Err(DeviceError::Shape { op, expected, given })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(result: Result<impl std::fmt::Debug, DeviceError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn sizes_that_fit_pass() {
        tensor(2, 3, 6).unwrap();
        token_id(32, 33).unwrap();
        linear([5, 8], [4, 8], Some(4), [5, 4]).unwrap();
        linear([5, 8], [4, 8], None, [5, 4]).unwrap();
        linear_layer([4, 8], 32, None, None).unwrap();
        linear_layer([4, 8], 32, Some(4), Some([8, 8])).unwrap();
        assert_eq!(head_width(96, 2).unwrap(), 16);
        assert_eq!(qkv([7, 96], 7, 2, Some(16)).unwrap(), (32, 16));
        slopes(2, None).unwrap();
        slopes(2, Some(2)).unwrap();
        frequencies(16, 8).unwrap();
        ordered_heads(16, 16).unwrap();
        pool(5, 5, 3, Pool::Mean, PoolSpan { skip_first: 1, skip_last: 1 }).unwrap();
        pool(5, 5, 1, Pool::Cls, PoolSpan { skip_first: 1, skip_last: 1 }).unwrap();
        assert_eq!(window_table([27, 8], 9, 8).unwrap(), 3);
        unfold(5, 5, 3).unwrap();
    }

    #[test]
    fn sizes_that_do_not_are_named() {
        assert_eq!(said(tensor(2, 3, 5)), "tensor: expected [2, 3] values, given 5");
        assert_eq!(said(token_id(33, 33)), "token id 33 is outside the embedding table of 33 rows");
        let x = "linear: expected x [tokens, 8] for a weight [4, 8], given x ";
        assert_eq!(said(linear([5, 9], [4, 8], None, [5, 4])), format!("{x}[5, 9], bias None, y [5, 4]"));
        assert!(said(linear([5, 8], [4, 8], Some(3), [5, 4])).starts_with(x));
        assert!(said(linear([5, 8], [4, 8], None, [6, 4])).starts_with(x));
        assert_eq!(said(linear_layer([4, 8], 31, None, None)), "matrix: expected 4 x 8 values, given 31");
        let layer = "linear_layer: expected a bias of 4, a norm of 8, given bias ";
        assert_eq!(said(linear_layer([4, 8], 32, Some(8), None)), format!("{layer}Some(8), norm None"));
        let norm = linear_layer([4, 8], 32, None, Some([8, 7]));
        assert_eq!(said(norm), format!("{layer}None, norm Some([8, 7])"));
        assert!(said(head_width(96, 5)).ends_with("given 96 outputs, 5 heads"));
        let heads = "attention: expected [7, 3 · hidden], hidden 2 even heads";
        assert_eq!(said(qkv([7, 95], 7, 2, None)), format!("{heads}, given [7, 95]"));
        assert_eq!(said(qkv([6, 96], 7, 2, None)), format!("{heads}, given [6, 96]"));
        assert_eq!(said(qkv([7, 96], 7, 2, Some(8))), format!("{heads} of at most 8, given [7, 96]"));
        assert!(qkv([7, 96], 7, 0, None).is_err() && qkv([7, 6], 7, 2, None).is_err());
        assert_eq!(said(slopes(2, Some(3))), "attention: expected 2 slopes, given 3");
        assert_eq!(said(frequencies(16, 7)), "rotary: expected 8 frequencies, given 7");
        assert!(
            said(ordered_heads(16, 32)).starts_with("rotary: expected heads of 16, as the weight's rows")
        );
        let mean = |rows, shortest| {
            said(pool(rows, 5, shortest, Pool::Mean, PoolSpan { skip_first: 1, skip_last: 1 }))
        };
        assert_eq!(
            said(window_table([27, 8], 4, 8)),
            "embed_window: expected a window of an odd number of tokens, given 4"
        );
        let tables = "embed_window: expected 5 tables of one size, a bias of 8, given";
        assert_eq!(said(window_table([27, 8], 5, 8)), format!("{tables} 27 rows, a bias of 8"));
        assert_eq!(said(window_table([25, 8], 5, 9)), format!("{tables} 25 rows, a bias of 9"));
        assert_eq!(said(unfold(4, 5, 3)), "unfold: expected 5 rows, given 4 rows");
        assert!(said(unfold(5, 5, 0)).ends_with("odd number of tokens, given 0"));
        let all = "pool: expected 5 rows, sequences of more than 2 tokens, given";
        assert_eq!(mean(5, 2), format!("{all} 5 rows, a sequence of 2"));
        assert_eq!(mean(4, 3), format!("{all} 4 rows, a sequence of 3"));
    }
}
