//! The primitives on the CPU.

use super::clock::Kind;
use super::linear::{Gated, MapGelu, Table, Weights};
use super::norm::NormRow;
use super::panels::F32Panels;
use super::pool::PoolRows;
use super::tiles::OnTile;
use super::{Cpu, CpuMatrix, CpuPacked, CpuTensor};
use crate::{
    Attention, Backend, DeviceError, Epilogue, LayerNorm, LinearOf, Pool, PoolSpan, TokenDropout, Work,
    shapes,
};

impl Backend for Cpu {
    type Tensor = CpuTensor;
    type Matrix = CpuMatrix;
    type Vector = Vec<f32>;
    type Packed = CpuPacked;
    type Pending = Vec<f32>;

    fn matrix(&self, rows: usize, columns: usize, values: Vec<f32>) -> Result<CpuMatrix, DeviceError> {
        match self.bf16 {
            None => {
                shapes::matrix(rows, columns, values.len())?;
                Ok(CpuMatrix(Weights::F32(F32Panels::pack(&self.team, rows, columns, values))))
            }
            Some(_) => self.panels(rows, columns, &values),
        }
    }

    fn table(&self, rows: usize, columns: usize, values: Vec<f32>) -> Result<CpuMatrix, DeviceError> {
        shapes::matrix(rows, columns, values.len())?;
        Ok(CpuMatrix(Weights::Table(Table { rows, columns, values })))
    }

    fn vector(&self, values: Vec<f32>) -> Result<Vec<f32>, DeviceError> {
        Ok(values)
    }

    fn packed(
        &self,
        input_ids: &[u16],
        cu_seqlens: &[i32],
        _max_seqlen: usize,
    ) -> Result<CpuPacked, DeviceError> {
        shapes::packed(input_ids.len(), cu_seqlens)?;
        let cu_seqlens = cu_seqlens.iter().map(|&c| c as usize).collect();
        Ok(CpuPacked { input_ids: input_ids.to_vec(), cu_seqlens })
    }

    fn embed(
        &self,
        table: &CpuMatrix,
        packed: &CpuPacked,
        dropout: Option<TokenDropout>,
    ) -> Result<CpuTensor, DeviceError> {
        let table = table.table("embed")?;
        packed.input_ids.iter().try_for_each(|&id| shapes::token_id(id, table.rows))?;
        let mut scales = vec![1.0f32; packed.input_ids.len()];
        for bounds in packed.cu_seqlens.windows(2) {
            let Some(dropout) = dropout else { break };
            let ids = &packed.input_ids[bounds[0]..bounds[1]];
            let masked = ids.iter().filter(|&&id| id == dropout.mask_token).count();
            let scale = (1.0 - dropout.train_ratio) / (1.0 - masked as f32 / ids.len() as f32);
            for (s, &id) in scales[bounds[0]..bounds[1]].iter_mut().zip(ids) {
                *s = if id == dropout.mask_token { 0.0 } else { scale };
            }
        }
        let mut out = self.buffers.tensor(packed.input_ids.len(), table.columns);
        self.each_row(&mut out, |row, values| {
            let id = usize::from(packed.input_ids[row]);
            for (o, v) in values.iter_mut().zip(&table.values[id * table.columns..]) {
                *o = v * scales[row];
            }
        });
        Ok(out)
    }

    fn embed_window(
        &self,
        table: &CpuMatrix,
        window: usize,
        bias: &Vec<f32>,
        packed: &CpuPacked,
    ) -> Result<CpuTensor, DeviceError> {
        self.sum_windows(table, window, bias, packed)
    }

    fn unfold(&self, x: &CpuTensor, packed: &CpuPacked, window: usize) -> Result<CpuTensor, DeviceError> {
        self.unfolded(x, packed, window)
    }

    fn product(
        &self,
        x: &CpuTensor,
        weight: &CpuMatrix,
        bias: Option<&Vec<f32>>,
    ) -> Result<CpuTensor, DeviceError> {
        match &weight.0 {
            Weights::Table(_) => Err(weight.no_product()),
            Weights::F32(weight) => {
                let out = self.buffers.tensor(x.rows, weight.outputs);
                self.f32_product_into(x, weight, bias, OnTile::Nothing, out)
            }
            Weights::Bf16(weight) => {
                let out = self.buffers.bf16_tensor(x.rows, weight.outputs);
                self.bf16_product_into(x, weight, bias, OnTile::Nothing, out)
            }
        }
    }

    fn gelu(&self, x: CpuTensor) -> Result<CpuTensor, DeviceError> {
        let mut x = self.wide(x);
        self.each_row(&mut x, |_, row| self.arch.dispatch(MapGelu(row)));
        Ok(x)
    }

    fn gated_gelu(&self, x: &CpuTensor) -> Result<CpuTensor, DeviceError> {
        let width = shapes::gated(x.columns)?;
        if let Some(rows) = x.bf16() {
            return Ok(self.bf16_gated(rows, x.rows, width));
        }
        let mut out = self.buffers.tensor(x.rows, width);
        self.each_row(&mut out, |row, out| {
            let (gate, value) = x.values()[row * 2 * width..][..2 * width].split_at(width);
            self.arch.dispatch(Gated { gate, value, out });
        });
        Ok(out)
    }

    fn add(&self, x: CpuTensor, y: &CpuTensor) -> Result<CpuTensor, DeviceError> {
        shapes::add([x.rows, x.columns], [y.rows, y.columns])?;
        let mut x = self.wide(x);
        self.each_row(&mut x, |row, values| {
            for (o, v) in values.iter_mut().zip(&y.values()[row * y.columns..]) {
                *o += v;
            }
        });
        Ok(x)
    }

    fn layer_norm(&self, x: &CpuTensor, norm: &LayerNorm<Vec<f32>>) -> Result<CpuTensor, DeviceError> {
        let LayerNorm { weight, bias, eps } = norm;
        shapes::layer_norm(x.columns, weight.len(), bias.len())?;
        let mut out = self.buffers.tensor(x.rows, x.columns);
        self.each_row(&mut out, |row, out| {
            let x = &x.values()[row * x.columns..][..x.columns];
            self.arch.dispatch(NormRow { x, weight, bias, eps: *eps, out });
        });
        Ok(out)
    }

    fn rotary(
        &self,
        qkv: CpuTensor,
        packed: &CpuPacked,
        attention: &Attention<Vec<f32>>,
    ) -> Result<CpuTensor, DeviceError> {
        let (hidden, width) = packed.check_qkv(&qkv, attention.heads)?;
        let mut qkv = self.wide(qkv);
        let table = self.rotary_table(width, packed, attention)?;
        let mut positions = Vec::with_capacity(qkv.rows);
        packed.lengths().for_each(|length| positions.extend(0..length));
        self.each_row(&mut qkv, |row, values| {
            for head in values[..2 * hidden].chunks_exact_mut(width) {
                let before = head.to_vec();
                table.rotate(&before, positions[row], head);
            }
        });
        Ok(qkv)
    }

    fn attention(
        &self,
        qkv: &CpuTensor,
        packed: &CpuPacked,
        attention: &Attention<Vec<f32>>,
    ) -> Result<CpuTensor, DeviceError> {
        match self.bf16 {
            None => self.f32_attend(qkv, packed, attention, None),
            Some(kernel) => self.bf16_attend(kernel, qkv, packed, attention, None),
        }
    }

    fn pool(
        &self,
        x: &CpuTensor,
        packed: &CpuPacked,
        pool: Pool,
        span: PoolSpan,
    ) -> Result<Vec<f32>, DeviceError> {
        let (n, shortest) = (packed.cu_seqlens.len() - 1, packed.lengths().min().unwrap_or(0));
        shapes::pool(x.rows, packed.input_ids.len(), shortest, pool, span)?;
        let width = pool.width(x.columns);
        let mut out = vec![0.0; n * width];
        let task = |sequence: usize, out: &mut [f32]| {
            let (start, end) = (packed.cu_seqlens[sequence], packed.cu_seqlens[sequence + 1]);
            let rows = match pool {
                Pool::Cls => start..start + 1,
                Pool::Mean | Pool::Max | Pool::MeanMax => start + span.skip_first..end - span.skip_last,
            };
            self.arch.dispatch(PoolRows::new(x, rows, pool, out));
        };
        self.clock.time(Kind::Rest, || self.team.run_chunks(&mut out, width, task));
        Ok(out)
    }

    fn read(&self, x: &CpuTensor) -> Result<Vec<f32>, DeviceError> {
        Ok(x.values().to_vec())
    }

    fn wait(&self, pending: Vec<f32>) -> Result<Vec<f32>, DeviceError> {
        Ok(pending)
    }

    fn work(&self) -> Option<Work> {
        Some(self.clock.read())
    }

    fn for_products(&self, x: CpuTensor) -> Result<CpuTensor, DeviceError> {
        Ok(if self.bf16.is_some() { self.narrow(x) } else { x })
    }

    fn linear(
        &self,
        x: &CpuTensor,
        layer: &LinearOf<Cpu>,
        then: Epilogue<'_, Cpu>,
    ) -> Result<CpuTensor, DeviceError> {
        let (norm, bias) = (layer.norm.as_ref(), layer.bias.as_ref());
        match &layer.weight.0 {
            Weights::Table(_) => Err(layer.weight.no_product()),
            Weights::F32(weight) => self.f32_linear(x, norm, weight, bias, then),
            Weights::Bf16(weight) => self.bf16_linear(x, norm, weight, bias, then),
        }
    }

    fn window_linear(
        &self,
        x: &CpuTensor,
        norm: &LayerNorm<Vec<f32>>,
        layer: &LinearOf<Cpu>,
        packed: &CpuPacked,
        window: usize,
        then: Epilogue<'_, Cpu>,
    ) -> Result<CpuTensor, DeviceError> {
        let weight = match &layer.weight.0 {
            Weights::F32(weight) if layer.norm.is_none() => weight,
            _ => return self.bf16_window_linear(x, norm, layer, packed, window, then),
        };
        let out = || self.buffers.tensor(x.rows, weight.outputs);
        let convolution =
            |with| self.convolution(x, norm, (weight, layer.bias.as_ref()), packed, window, with);
        match then {
            Epilogue::Gelu => convolution((OnTile::Gelu, out())),
            Epilogue::Add(residual) => convolution((OnTile::Add, residual)),
            other => other.apply(self, convolution((OnTile::Nothing, out()))?),
        }
    }

    fn self_attention(
        &self,
        x: &CpuTensor,
        layer: &LinearOf<Cpu>,
        packed: &CpuPacked,
        attention: &Attention<Vec<f32>>,
    ) -> Result<CpuTensor, DeviceError> {
        let qkv = self.linear(x, layer, Epilogue::None)?;
        let (_, width) = packed.check_qkv(&qkv, attention.heads)?;
        let table = self.rotary_table(width, packed, attention)?;
        match self.bf16 {
            None => self.f32_attend(&qkv, packed, attention, Some(&table)),
            Some(kernel) => self.bf16_attend(kernel, &qkv, packed, attention, Some(&table)),
        }
    }

    fn feed_forward(
        &self,
        x: CpuTensor,
        up: &LinearOf<Cpu>,
        down: &LinearOf<Cpu>,
    ) -> Result<CpuTensor, DeviceError> {
        if let Some(part) = self.f32_feed_forward_part(x.rows, [up, down]) {
            return self.f32_feed_forward(x, &part);
        }
        if let Some(part) = self.bf16_feed_forward_part(x.rows, [up, down]) {
            return self.bf16_feed_forward(self.wide(x), &part);
        }
        let h = self.linear(&x, up, Epilogue::Gelu)?;
        self.linear(&h, down, Epilogue::Add(x))
    }

    fn computed_by(&self) -> Vec<String> {
        vec![format!("CPU, {}", self.arithmetic())]
    }
}
