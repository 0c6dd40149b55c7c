//! The backend's methods: what each gives to the card.

use super::driver::{Event, Stream, check};
use super::fused_product::Finish;
use super::kernels::{Grid, arguments};
use super::launch;
use super::packed::{CudaPacked, Draft};
use super::product::{Operands, Shape};
use super::room::{Blocks, CudaRoom};
use super::{Cuda, CudaMatrix, CudaPending, CudaTensor, CudaVector, ROW_STEP, libraries, rotary};
use crate::{
    Attention, Backend, DeviceError, Epilogue, HostLinear, LayerNorm, Linear, LinearOf, Pool, PoolSpan,
    TokenDropout, shapes,
};
use cudarc::driver::sys;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Threads of a kernel that works element by element or a warp a row.
const THREADS: u32 = 256;

impl Cuda {
    /// Values of a 16-byte access.
    pub(super) fn vector_len(&self) -> usize {
        16 / self.options.dtype.bytes()
    }

    fn by_vectors(&self, count: usize) -> Grid {
        let threads = count.div_ceil(self.vector_len());
        Grid { blocks: (threads.div_ceil(THREADS as usize), 1), threads: THREADS, shared: 0 }
    }

    /// Checks a product's sizes against each other, and that the weight is for it.
    pub(super) fn check_product(
        x: &CudaTensor,
        weight: &CudaMatrix,
        bias: Option<&CudaVector>,
        y: &CudaTensor,
        normed: bool,
    ) -> Result<(), DeviceError> {
        let (weight_shape, y_shape) = ([weight.rows, weight.columns], [y.rows, y.columns]);
        shapes::linear([x.rows, x.columns], weight_shape, bias.map(|b| b.len), y_shape)?;
        if weight.folded == normed {
            return Ok(());
        }
        let text = |folded| format!("a weight with a norm folded in: {folded}");
        Err(DeviceError::shape("linear", text(normed), text(weight.folded)))
    }

    /// The product by the library, or of pairs, to `y`: added to what is there where `residual`.
    fn product_into(
        &self,
        x: &CudaTensor,
        weight: &CudaMatrix,
        bias: Option<&CudaVector>,
        y: &CudaTensor,
        residual: bool,
    ) -> Result<(), DeviceError> {
        if weight.pairs {
            return self.pairs_product(x, weight, bias, y, residual);
        }
        let x = self.plain(x)?;
        Self::check_product(&x, weight, bias, y, false)?;
        self.card.enter()?;
        let shape = Shape {
            rows: x.rows.next_multiple_of(ROW_STEP),
            inputs: x.columns,
            outputs: weight.rows,
            bias: bias.is_some(),
            residual,
        };
        let operands = Operands {
            x: x.block.pointer,
            weight: weight.memory.pointer,
            bias: bias.map_or(0, |b| b.rounded.pointer),
            y: y.block.pointer,
        };
        // SAFETY: tensors hold rows up to a multiple of ROW_STEP; rows past the batch are computed and never read.
        unsafe { self.products.run(&self.kernels, shape, operands) }
    }

    /// A linear layer whose norm is folded into it.
    fn folded_linear(
        &self,
        x: &CudaTensor,
        layer: &LinearOf<Cuda>,
        then: Epilogue<'_, Cuda>,
    ) -> Result<CudaTensor, DeviceError> {
        let fused = |finish, turns| self.fused(finish, x, layer, turns);
        match then {
            Epilogue::Gelu => fused(Finish::Gelu, None),
            Epilogue::Rotary(packed, attention) => {
                match self.turns(x.rows, &layer.weight, packed, attention)? {
                    Some((finish, turns)) => fused(finish, Some(turns)),
                    None => Epilogue::Rotary(packed, attention).apply(self, fused(Finish::Nothing, None)?),
                }
            }
            other => other.apply(self, fused(Finish::Nothing, None)?),
        }
    }

    /// The point that the compute stream has been given so far, with its time, where the driver times events.
    fn timed_point(&self) -> Result<Option<Event>, DeviceError> {
        let timed = libraries::times_events().then(|| Event::record_timed(&self.card, self.card.compute));
        timed.transpose()
    }

    /// Copies values, and the flags after them, to the host on the download stream.
    fn send(
        &self,
        source: super::Block,
        values: usize,
        flagged: usize,
        span: Option<(Arc<Event>, Event)>,
    ) -> Result<CudaPending, DeviceError> {
        let bytes = (values + flagged) * size_of::<f32>();
        let mut host = self.pinned.take(&self.card, bytes)?;
        let Stream(download) = self.card.download;
        Event::record(&self.card, self.card.compute)?.hold(self.card.download)?;
        let to = host.bytes_mut().as_mut_ptr().cast();
        // SAFETY: both sides hold `bytes`; the pending keeps both until the copy is done.
        check("cuMemcpyDtoHAsync", unsafe {
            sys::cuMemcpyDtoHAsync_v2(to, source.pointer, bytes, download)
        })?;
        let arrived = Event::record(&self.card, self.card.download)?;
        let pool = Arc::clone(&self.pinned);
        Ok(CudaPending { host: Some(host), values, flagged, arrived, span, pool, _source: source })
    }
}

fn values_of(bytes: &[u8]) -> impl Iterator<Item = [u8; 4]> + '_ {
    bytes.chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]])
}

impl Backend for Cuda {
    type Tensor = CudaTensor;
    type Matrix = CudaMatrix;
    type Vector = CudaVector;
    type Packed = CudaPacked;
    type Pending = CudaPending;

    fn matrix(&self, rows: usize, columns: usize, values: Vec<f32>) -> Result<CudaMatrix, DeviceError> {
        shapes::matrix(rows, columns, values.len())?;
        if self.is_for_pairs(rows, columns) {
            return self.matrix_of_pairs(rows, columns, &values);
        }
        self.table(rows, columns, values)
    }

    fn table(&self, rows: usize, columns: usize, values: Vec<f32>) -> Result<CudaMatrix, DeviceError> {
        shapes::matrix(rows, columns, values.len())?;
        let memory = self.fixed("matrix", &values)?;
        Ok(CudaMatrix { memory, rows, columns, folded: false, pairs: false, neighbours: None })
    }

    fn vector(&self, values: Vec<f32>) -> Result<CudaVector, DeviceError> {
        let (exact, rounded) = (self.fixed_f32("vector", &values)?, self.fixed("vector", &values)?);
        Ok(CudaVector { exact, rounded, len: values.len() })
    }

    fn packed(&self, input_ids: &[u16], cu_seqlens: &[i32], _: usize) -> Result<CudaPacked, DeviceError> {
        let draft = Draft::new(input_ids, cu_seqlens)?;
        let bytes = draft.bytes();
        let mut host = self.pinned.take(&self.card, bytes)?;
        draft.write(host.bytes_mut());
        let kind = self.blocks().upload;
        let block = self.arena.take(Blocks::small(bytes, kind))?;
        let Stream(compute) = self.card.compute;
        let from = host.bytes().as_ptr().cast();
        // SAFETY: both sides hold `bytes`; the host buffer is not written again before the event below.
        check("cuMemcpyHtoDAsync", unsafe {
            sys::cuMemcpyHtoDAsync_v2(block.pointer, from, bytes, compute)
        })?;
        self.pinned.give(host, Some(Event::record(&self.card, self.card.compute)?));
        let begun = self.timed_point()?.map(Arc::new);
        Ok(draft.on_card(block, begun))
    }

    fn embed(
        &self,
        table: &CudaMatrix,
        packed: &CudaPacked,
        dropout: Option<TokenDropout>,
    ) -> Result<CudaTensor, DeviceError> {
        shapes::token_id(packed.largest_id, table.rows)?;
        if table.pairs || table.folded {
            return Err(DeviceError::shape("embed", "a table of `Backend::table`", "a weight of a product"));
        }
        self.card.enter()?;
        let out = self.tensor(packed.tokens, table.columns)?;
        let shares = packed.longest.div_ceil(THREADS as usize / 32).min(16);
        let grid = Grid { blocks: (packed.n, shares), threads: THREADS, shared: 0 };
        let arguments = arguments![
            table.memory.pointer,
            packed.input_ids(),
            packed.cu_seqlens(),
            table.columns as i32,
            dropout.map_or(-1, |d| i32::from(d.mask_token)),
            dropout.map_or(1.0, |d| 1.0 - d.train_ratio),
            out.block.pointer
        ];
        // SAFETY: every id is inside the table, the boundaries inside the batch, `out` has the batch's rows.
        unsafe { self.kernels.launch(&launch::elementwise(), "embed", grid, &arguments)? };
        Ok(out)
    }

    fn product(
        &self,
        x: &CudaTensor,
        weight: &CudaMatrix,
        bias: Option<&CudaVector>,
    ) -> Result<CudaTensor, DeviceError> {
        let y = self.tensor(x.rows, weight.rows)?;
        self.product_into(x, weight, bias, &y, false)?;
        Ok(y)
    }

    fn gelu(&self, x: CudaTensor) -> Result<CudaTensor, DeviceError> {
        self.card.enter()?;
        let x = self.joined(x)?;
        let count = x.rows * x.columns;
        let arguments = arguments![x.block.pointer, count as u64];
        // SAFETY: `x` holds `count` values.
        unsafe {
            self.kernels.launch(
                &launch::elementwise(),
                "gelu_in_place",
                self.by_vectors(count),
                &arguments,
            )?
        };
        Ok(x)
    }

    fn gated_gelu(&self, x: &CudaTensor) -> Result<CudaTensor, DeviceError> {
        let width = shapes::gated(x.columns)?;
        self.card.enter()?;
        let x = self.plain(x)?;
        // What follows is a product.
        let pairs = self.are_for_pairs(width);
        let out = CudaTensor { pairs, ..self.tensor(x.rows, width)? };
        let count = x.rows * width;
        let arguments =
            arguments![x.block.pointer, out.block.pointer, count as u64, width as i32, i32::from(pairs)];
        // SAFETY: `x` holds two rows of `width` for each of `out`'s.
        unsafe {
            self.kernels.launch(&launch::elementwise(), "gated_gelu", self.by_vectors(count), &arguments)?
        };
        Ok(out)
    }

    fn add(&self, x: CudaTensor, y: &CudaTensor) -> Result<CudaTensor, DeviceError> {
        shapes::add([x.rows, x.columns], [y.rows, y.columns])?;
        self.card.enter()?;
        let (x, y) = (self.joined(x)?, self.plain(y)?);
        let count = x.rows * x.columns;
        let arguments = arguments![x.block.pointer, y.block.pointer, count as u64];
        // SAFETY: both hold `count` values.
        unsafe {
            self.kernels.launch(&launch::elementwise(), "add_in_place", self.by_vectors(count), &arguments)?
        };
        Ok(x)
    }

    fn layer_norm(&self, x: &CudaTensor, norm: &LayerNorm<CudaVector>) -> Result<CudaTensor, DeviceError> {
        self.norm(x, norm, false)
    }

    fn rotary(
        &self,
        qkv: CudaTensor,
        packed: &CudaPacked,
        attention: &Attention<CudaVector>,
    ) -> Result<CudaTensor, DeviceError> {
        self.card.enter()?;
        let qkv = self.joined(qkv)?;
        self.rotate(&qkv, packed, attention)?;
        Ok(qkv)
    }

    fn attention(
        &self,
        qkv: &CudaTensor,
        packed: &CudaPacked,
        attention: &Attention<CudaVector>,
    ) -> Result<CudaTensor, DeviceError> {
        self.card.enter()?;
        self.attend(qkv, packed, attention, false)
    }

    fn pool(
        &self,
        x: &CudaTensor,
        packed: &CudaPacked,
        pool: Pool,
        span: PoolSpan,
    ) -> Result<CudaPending, DeviceError> {
        shapes::pool(x.rows, packed.tokens, packed.shortest, pool, span)?;
        self.card.enter()?;
        let x = self.plain(x)?;
        let values = packed.n * x.columns;
        let kind = self.blocks().result;
        let out = self.arena.take(Blocks::small((values + packed.n) * size_of::<f32>(), kind))?;
        let flags = out.pointer + (values * size_of::<f32>()) as u64;
        let Stream(compute) = self.card.compute;
        // SAFETY: the flags are the last `n` words of `out`.
        check("cuMemsetD32Async", unsafe { sys::cuMemsetD32Async(flags, 0, packed.n, compute) })?;
        let threads = 128;
        let grid = Grid { blocks: (packed.n, x.columns.div_ceil(threads as usize)), threads, shared: 0 };
        let arguments = arguments![
            x.block.pointer,
            packed.cu_seqlens(),
            x.columns as i32,
            pool as i32,
            span.skip_first as i32,
            span.skip_last as i32,
            out.pointer,
            flags
        ];
        // SAFETY: every sequence is longer than what is skipped; `out` holds a row and a flag for each.
        unsafe { self.kernels.launch(&launch::pool(), "pool", grid, &arguments)? };
        let span = packed.begun.clone().zip(self.timed_point()?);
        self.send(out, values, packed.n, span)
    }

    fn read(&self, x: &CudaTensor) -> Result<CudaPending, DeviceError> {
        self.card.enter()?;
        let x = self.plain(x)?;
        let count = x.rows * x.columns;
        let kind = self.blocks().rows;
        let out = self.arena.take(Blocks::small(count * size_of::<f32>(), kind))?;
        let grid = Grid { blocks: (count.div_ceil(THREADS as usize), 1), threads: THREADS, shared: 0 };
        let arguments = arguments![x.block.pointer, out.pointer, count as u64];
        // SAFETY: both hold `count` values.
        unsafe { self.kernels.launch(&launch::elementwise(), "widen", grid, &arguments)? };
        self.send(out, count, 0, None)
    }

    fn wait(&self, pending: CudaPending) -> Result<Vec<f32>, DeviceError> {
        pending.arrived.wait()?;
        if let Some((begun, ended)) = &pending.span {
            let nanoseconds = f64::from(ended.milliseconds_since(begun)?) * 1e6;
            self.busy.fetch_add(nanoseconds as u64, Ordering::Relaxed);
        }
        let host = pending.host.as_ref().expect("a pending is waited for once, and then gone");
        let (values, rest) = host.bytes().split_at(pending.values * size_of::<f32>());
        let flags =
            values_of(&rest[..pending.flagged * size_of::<f32>()]).map(|f| u32::from_ne_bytes(f) != 0);
        let broken: Vec<usize> = flags.enumerate().filter_map(|(row, flag)| flag.then_some(row)).collect();
        if !broken.is_empty() {
            return Err(DeviceError::NotFinite { broken, rows: pending.flagged });
        }
        Ok(values_of(values).map(f32::from_ne_bytes).collect())
    }

    fn for_products(&self, x: CudaTensor) -> Result<CudaTensor, DeviceError> {
        if self.are_for_pairs(x.columns) { self.split(x) } else { Ok(x) }
    }

    fn linear_layer(
        &self,
        shape: [usize; 2],
        mut layer: HostLinear,
        rotated_heads: Option<usize>,
    ) -> Result<LinearOf<Cuda>, DeviceError> {
        let (width, [outputs, inputs]) = (layer.check(shape, rotated_heads)?, shape);
        let folds = layer.norm.is_some() && layer.bias.is_some() && self.has_product(outputs, inputs);
        let rotates = folds || self.is_for_pairs(outputs, inputs);
        let neighbours = width.filter(|width| rotates && rotary::is_for_products(*width));
        if let Some(width) = neighbours {
            rotary::to_neighbours(&mut layer.weight, inputs, width);
            layer.bias.iter_mut().for_each(|bias| rotary::to_neighbours(bias, 1, width));
        }
        let layer = match layer {
            Linear { norm: Some(norm), weight, bias: Some(bias) } if folds => {
                self.fold(norm, &weight, &bias)?
            }
            plain => plain.upload(self, shape)?,
        };
        Ok(Linear { weight: CudaMatrix { neighbours, ..layer.weight }, ..layer })
    }

    fn linear(
        &self,
        x: &CudaTensor,
        layer: &LinearOf<Cuda>,
        then: Epilogue<'_, Cuda>,
    ) -> Result<CudaTensor, DeviceError> {
        let Linear { norm, weight, bias } = layer;
        if weight.folded {
            return self.folded_linear(x, layer, then);
        }
        let normed = norm.as_ref().map(|norm| self.norm(x, norm, weight.pairs)).transpose()?;
        let (x, bias) = (normed.as_ref().unwrap_or(x), bias.as_ref());
        match then {
            Epilogue::Gelu if weight.pairs => self.pairs_fused(Finish::Gelu, x, weight, bias, None),
            Epilogue::Gelu if bias.is_some() && self.has_product(weight.rows, weight.columns) => {
                self.fused(Finish::Gelu, x, layer, None)
            }
            Epilogue::Add(residual) => {
                let residual = self.joined(residual)?;
                self.product_into(x, weight, bias, &residual, true)?;
                Ok(residual)
            }
            Epilogue::Rotary(packed, attention) => match self.turns(x.rows, weight, packed, attention)? {
                Some((finish, turns)) => self.pairs_fused(finish, x, weight, bias, Some(turns)),
                None => self.rotary(self.product(x, weight, bias)?, packed, attention),
            },
            other => other.apply(self, self.product(x, weight, bias)?),
        }
    }

    fn self_attention(
        &self,
        x: &CudaTensor,
        layer: &LinearOf<Cuda>,
        packed: &CudaPacked,
        attention: &Attention<CudaVector>,
    ) -> Result<CudaTensor, DeviceError> {
        // Where the product does not rotate, attention does so on the way in.
        let rotates = layer.weight.neighbours.is_none();
        let then = if rotates { Epilogue::None } else { Epilogue::Rotary(packed, attention) };
        let qkv = self.linear(x, layer, then)?;
        self.attend(&qkv, packed, attention, rotates)
    }

    fn busy(&self) -> Option<Duration> {
        libraries::times_events().then(|| Duration::from_nanos(self.busy.load(Ordering::Relaxed)))
    }

    fn computed_by(&self) -> Vec<String> {
        Cuda::computed_by(self)
    }

    fn shrink(&self, tokens: usize) -> Result<(), DeviceError> {
        let room = CudaRoom { token_budget: tokens, ..self.room().clone() };
        let sequences = room.sequences.min(tokens);
        match self.reserve(&CudaRoom { sequences, ..room }) {
            // Then every block is asked for as it is needed, and the next one without room says so.
            Err(DeviceError::OutOfMemory { .. }) => Ok(()),
            other => other,
        }
    }
}
