//! What goes over rows one by one: embedding, element-wise functions, pooling.

use crate::batches::{LENGTHS, TOLERANCE, back, batch, tensor};
use crate::reference::{self, Matrix, Precision, Random, as_close, close};
use std::ops::Range;
use virpack_device::{Backend, Cuda, LayerNorm, Pool, PoolSpan, TokenDropout};

pub(super) fn embed<B: Backend>(backend: &B, precision: Precision) {
    let mut random = Random::new(1, precision);
    let table = random.matrix(33, 48);
    let device_table = backend.table(33, 48, table.values.clone()).unwrap();
    let (ids, cu_seqlens, packed) = batch(backend, &LENGTHS, &mut random);
    let plain = back(backend, &backend.embed(&device_table, &packed, None).unwrap());
    let dropout = TokenDropout { mask_token: 32, train_ratio: 0.12 };
    let dropped = back(backend, &backend.embed(&device_table, &packed, Some(dropout)).unwrap());
    let mut expected = Vec::new();
    let mut expected_dropped = Vec::new();
    for bounds in cu_seqlens.windows(2) {
        let ids = &ids[bounds[0] as usize..bounds[1] as usize];
        let masked = ids.iter().filter(|&&id| id == 32).count() as f64 / ids.len() as f64;
        for &id in ids {
            let scale = if id == 32 { 0.0 } else { 0.88 / (1.0 - masked) };
            expected.extend(table.row(id.into()).iter().map(|&v| f64::from(v)));
            expected_dropped.extend(table.row(id.into()).iter().map(|&v| f64::from(v) * scale));
        }
    }
    close("embed", &plain, &expected, 0.0);
    let plain = precision.all(&expected_dropped);
    as_close("embed with token dropout", &dropped, &expected_dropped, &plain, TOLERANCE);
    assert!(backend.packed(&[1, 2], &[0, 3], 3).is_err(), "boundaries past the end");
    let outside = backend.packed(&[33], &[0, 1], 1);
    assert!(outside.and_then(|p| backend.embed(&device_table, &p, None)).is_err(), "id outside the table");
}

pub(super) fn element_wise<B: Backend>(backend: &B, precision: Precision) {
    let mut random = Random::new(3, precision);
    for (rows, columns) in [(1, 2), (5, 34), (70, 320)] {
        let (x, y) = (random.matrix(rows, columns), random.matrix(rows, columns));
        let (w, b) = (random.matrix(1, columns), random.matrix(1, columns));
        let scaled: Vec<f64> = x.values.iter().map(|&v| f64::from(v)).collect();
        let gelu: Vec<f64> = scaled.iter().map(|&v| reference::gelu(v)).collect();
        let given = back(backend, &backend.gelu(tensor(backend, &x)).unwrap());
        as_close("gelu", &given, &gelu, &precision.all(&gelu), TOLERANCE);
        let sum: Vec<f64> = scaled.iter().zip(&y.values).map(|(a, &b)| a + f64::from(b)).collect();
        let given = backend.add(tensor(backend, &x), &tensor(backend, &y)).unwrap();
        as_close("add", &back(backend, &given), &sum, &precision.all(&sum), TOLERANCE);
        let norm = LayerNorm { weight: w.values.clone(), bias: b.values.clone(), eps: 1e-5 };
        let norm = norm.upload(backend).unwrap();
        let given = backend.layer_norm(&tensor(backend, &x), &norm).unwrap();
        let expected = reference::layer_norm(&x, &w.values, &b.values, 1e-5);
        // Two columns may lie close together: their difference is known only to float32.
        let plain = precision.all(&expected);
        as_close("layer norm", &back(backend, &given), &expected, &plain, 1e-4f64.min(TOLERANCE * 20.0));
        let gated: Vec<f64> = (0..rows)
            .flat_map(|r| {
                let (gate, value) = x.row(r).split_at(columns / 2);
                gate.iter()
                    .zip(value)
                    .map(|(&g, &v)| reference::gelu(g.into()) * f64::from(v))
                    .collect::<Vec<_>>()
            })
            .collect();
        let given = backend.gated_gelu(&tensor(backend, &x)).unwrap();
        let plain = precision.handed_on(precision.all(&gated), columns / 2);
        as_close("gated gelu", &back(backend, &given), &gated, &plain, TOLERANCE);
    }
}

pub(super) fn pools<B: Backend>(backend: &B, precision: Precision) {
    let mut random = Random::new(6, precision);
    let lengths = [3, 4, 70, 5];
    let (_, cu_seqlens, packed) = batch(backend, &lengths, &mut random);
    let x = random.matrix(82, 20);
    let dx = tensor(backend, &x);
    let inner = PoolSpan { skip_first: 1, skip_last: 1 };
    let whole = PoolSpan { skip_first: 0, skip_last: 0 };
    let rows_of = |pool: Pool, bounds: &[i32], span: PoolSpan| match pool {
        Pool::Cls => bounds[0] as usize..bounds[0] as usize + 1,
        _ => bounds[0] as usize + span.skip_first..bounds[1] as usize - span.skip_last,
    };
    let column = |pool: Pool, column: usize, rows: Range<usize>| {
        let (values, count) = (rows.clone().map(|r| f64::from(x.row(r)[column])), rows.len() as f64);
        if pool == Pool::Max { values.fold(f64::NEG_INFINITY, f64::max) } else { values.sum::<f64>() / count }
    };
    for (pool, span) in [
        (Pool::Mean, inner),
        (Pool::Mean, whole),
        (Pool::Max, inner),
        (Pool::Cls, inner),
        (Pool::MeanMax, inner),
        (Pool::MeanMax, whole),
    ] {
        let parts = if pool == Pool::MeanMax { vec![Pool::Mean, Pool::Max] } else { vec![pool] };
        let mut expected = Vec::new();
        for bounds in cu_seqlens.windows(2) {
            for &part in &parts {
                expected.extend((0..20).map(|c| column(part, c, rows_of(part, bounds, span))));
            }
        }
        assert_eq!(expected.len(), lengths.len() * pool.width(20));
        let given = backend.wait(backend.pool(&dx, &packed, pool, span).unwrap()).unwrap();
        close(&format!("{pool:?} pool"), &given, &expected, TOLERANCE);
    }
}

/// NaN and infinity are caught on the card, with the rows they are in.
pub(super) fn broken_rows_are_reported(cuda: &Cuda, _: Precision) {
    let x = Matrix {
        rows: 6,
        columns: 8,
        values: (0..48).map(|i| if i == 29 { f32::NAN } else { 1.0 }).collect(),
    };
    let packed = cuda.packed(&[0; 6], &[0, 2, 3, 5, 6], 2).unwrap();
    let span = PoolSpan { skip_first: 0, skip_last: 0 };
    for pool in [Pool::Mean, Pool::Max, Pool::MeanMax] {
        let pending = cuda.pool(&tensor(cuda, &x), &packed, pool, span).unwrap();
        let error = cuda.wait(pending).unwrap_err();
        assert!(
            error.to_string().starts_with("1 of 4 rows hold NaN or infinity, the first of them row 2"),
            "{error}"
        );
    }
}
