//! Chooses the kernel that computes a batch's attention.

use super::attention_task::Task;
use super::launch::attention::KernelForm;
use super::launch::attention_ring::RingForm;
use super::launch::attention_whole::WholeForm;
use super::packed::{CudaPacked, Part};
use super::{Cuda, CudaTensor, CudaVector};
use crate::{Attention, DeviceError, shapes};

/// A form of a kernel for compute capability 9.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HopperForm {
    Whole(WholeForm),
    Ring(RingForm),
}

impl HopperForm {
    /// Returns the form for heads of `width` and sequences of at most `longest` tokens.
    fn find(width: usize, longest: usize) -> Option<HopperForm> {
        let whole = WholeForm::find(width, longest).map(HopperForm::Whole);
        whole.or_else(|| RingForm::find(width).map(HopperForm::Ring))
    }
}

impl Cuda {
    /// Computes attention of `qkv`, which it rotates first if `rotated`.
    pub(super) fn attend(
        &self,
        qkv: &CudaTensor,
        packed: &CudaPacked,
        attention: &Attention<CudaVector>,
        rotated: bool,
    ) -> Result<CudaTensor, DeviceError> {
        let heads = attention.heads;
        let (hidden, width) = packed.check_qkv([qkv.rows, qkv.columns], heads)?;
        shapes::slopes(heads, attention.alibi_slopes.as_ref().map(|slopes| slopes.len))?;
        let slopes = attention.alibi_slopes.as_ref().map_or(0, |s| s.exact.pointer);
        if self.has_pairs() {
            if rotated {
                self.rotate(qkv, packed, attention)?;
            }
            if let Some(out) = self.pairs_attention(Task { qkv, packed, heads, width, slopes })? {
                return Ok(out);
            }
        }
        // If pairs have no kernel, queries and keys are rotated by now.
        let (rotated, qkv) = (rotated && !self.has_pairs(), &*self.plain(qkv)?);
        let task = Task { qkv, packed, heads, width, slopes };
        let out = self.tensor(packed.tokens, hidden)?;
        if !rotated && self.attend_on_hopper(task, &out)? {
            return Ok(out);
        }
        let limit = self.kernels.shared_limit;
        let form = KernelForm::find(width, packed.longest, limit, self.card.target.is_turing());
        match form.filter(|_| !self.options.dtype.is_float32()) {
            Some(form) => {
                let frequencies = &attention.rotary_frequencies;
                let table =
                    rotated.then(|| self.rotary_table(width, packed.longest, frequencies)).transpose()?;
                let table = table.as_ref().map_or(0, |t| t.pointer);
                self.attend_on_matrix_units(form, task, table, &out)?;
            }
            None => {
                if rotated {
                    self.rotate(qkv, packed, attention)?;
                }
                self.attend_anyhow(task, &out)?;
            }
        }
        Ok(out)
    }

    /// Computes attention by the kernels for 9.0. Returns false if there are none for this card, dtype or
    /// width.
    fn attend_on_hopper(&self, task: Task<'_>, out: &CudaTensor) -> Result<bool, DeviceError> {
        let usable = self.bulk_copies && self.options.dtype.bytes() == 2;
        let parts = [task.packed.long, task.packed.short];
        let parts: Vec<Part> = parts.into_iter().filter(|part| part.count > 0).collect();
        let forms = parts.iter().map(|part| HopperForm::find(task.width, part.longest));
        let Some(forms) = forms.collect::<Option<Vec<_>>>().filter(|_| usable) else { return Ok(false) };
        for (form, part) in forms.into_iter().zip(parts) {
            match form {
                HopperForm::Whole(form) => self.attend_whole(form, task, part, out)?,
                HopperForm::Ring(form) => self.attend_in_ring(form, task, part, out)?,
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::super::packed::WHOLE;
    use super::*;

    #[test]
    fn every_length_has_a_form() {
        for width in super::super::rotary::WIDTHS {
            let runs = |longest| match HopperForm::find(width, longest) {
                Some(HopperForm::Whole(form)) => Some(form.runs),
                Some(HopperForm::Ring(_)) => None,
                None => panic!("no form for heads of {width}"),
            };
            let expected = [(56, Some(1)), (57, Some(3)), (WHOLE, Some(3)), (WHOLE + 1, None)];
            assert_eq!(expected.map(|(longest, _)| (longest, runs(longest))), expected);
        }
        assert_eq!(HopperForm::find(20, 10), None);
    }
}
