"""The forms of a packed batch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import virpack  # noqa: E402
import virpack.torch as vt  # noqa: E402


def batch_of(*lengths: int) -> dict[str, Any]:
    boundaries = torch.tensor([0, *lengths], dtype=torch.int64).cumsum(0).to(torch.int32)
    return {
        "input_ids": torch.arange(4, 4 + sum(lengths)),
        "cu_seqlens": boundaries,
        "max_seqlen": max(lengths),
        "sequence_ids": [str(place) for place in range(len(lengths))],
        "num_sequences": len(lengths),
    }


def test_positions_begin_again_with_each_sequence() -> None:
    batch = batch_of(3, 4, 1)
    assert vt.position_ids(batch).tolist() == [0, 1, 2, 0, 1, 2, 3, 0]
    assert vt.position_ids(batch["cu_seqlens"]).dtype == torch.int64
    assert vt.position_ids(batch, start=2).tolist() == [2, 3, 4, 2, 3, 4, 5, 2]


@pytest.mark.parametrize("wrong", [[1, 3], [0, 3, 3], [0, 3, 2], []])
def test_boundaries_that_cannot_be_are_refused(wrong: list[int]) -> None:
    with pytest.raises(ValueError, match="cu_seqlens"):
        vt.position_ids(torch.tensor(wrong, dtype=torch.int32))


def test_a_padded_batch_and_back() -> None:
    batch = batch_of(3, 1, 4)
    padded = vt.to_padded(batch, padding_idx=1)
    assert padded["input_ids"].tolist() == [[4, 5, 6, 1], [7, 1, 1, 1], [8, 9, 10, 11]]
    assert padded["attention_mask"].tolist() == [[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]]
    hidden = padded["input_ids"][:, :, None].float()
    assert vt.from_padded(batch, hidden)[:, 0].tolist() == batch["input_ids"].tolist()
    with pytest.raises(ValueError, match="3 sequences of up to 4 tokens"):
        vt.from_padded(batch, hidden[:, :3])


def test_the_mask_lets_a_token_see_its_own_sequence_alone() -> None:
    mask = vt.block_mask(batch_of(2, 1))
    assert mask.shape == (1, 1, 3, 3) and mask.dtype == torch.bool
    assert mask[0, 0].tolist() == [[True, True, False], [True, True, False], [False, False, True]]


@pytest.mark.parametrize("name", ["eager", "sdpa", "flex_attention", None])
def test_attention_that_ignores_boundaries_is_refused(name: str | None) -> None:
    model = SimpleNamespace(config=SimpleNamespace(_attn_implementation=name))
    with pytest.raises(virpack.InputError, match="does not heed the boundaries") as caught:
        vt.hf_kwargs(batch_of(3, 4), model)
    assert "to_padded" in str(caught.value.hint)
    with pytest.raises(virpack.InputError):
        vt.hf_kwargs(batch_of(3, 4))


def test_flash_attention_gets_boundaries_and_positions() -> None:
    batch = batch_of(3, 4)
    given = vt.hf_kwargs(batch, attn_implementation="flash_attention_2")
    assert given["input_ids"].shape == given["position_ids"].shape == (1, 7)
    assert given["position_ids"].tolist() == [[0, 1, 2, 0, 1, 2, 3]]
    assert given["cu_seq_lens_q"].tolist() == given["cu_seq_lens_k"].tolist() == [0, 3, 7]
    assert (given["max_length_q"], given["max_length_k"], given["cu_seq_lens_q"].dtype) == (4, 4, torch.int32)


def test_pooling_is_over_residues_without_special_tokens() -> None:
    batch = batch_of(5, 3)
    hidden = torch.tensor([[100.0], [1], [2], [6], [100], [100], [7], [100]])
    assert vt.pool(batch, hidden).tolist() == [[3.0], [7.0]]
    assert vt.pool(batch, hidden, "bos").tolist() == [[100.0], [100.0]]
    padded = torch.zeros(2, 5, 1)
    padded[0, :, 0], padded[1, :3, 0] = hidden[:5, 0], hidden[5:, 0]
    assert vt.pool(batch, padded).tolist() == [[3.0], [7.0]]
    assert vt.pool(batch, hidden.to(torch.bfloat16)).dtype == torch.float32


def test_pooling_sums_in_float64() -> None:
    batch = batch_of(10_002)
    hidden = torch.full((10_002, 1), 0.1)
    hidden[1] = 1e7
    exact = (1e7 + 9_999 * float(torch.tensor(0.1))) / 10_000
    assert vt.pool(batch, hidden).item() == pytest.approx(exact, rel=1e-7)


def test_what_cannot_be_pooled_is_an_error() -> None:
    hidden = torch.zeros(5, 2)
    with pytest.raises(ValueError, match="sequence 1 of the batch has no residues"):
        vt.pool(batch_of(3, 2), hidden)
    with pytest.raises(ValueError, match="the batch has 6 tokens"):
        vt.pool(batch_of(3, 3), hidden)
    with pytest.raises(ValueError, match="mean or bos"):
        vt.pool(batch_of(5), hidden, "max")
