"""AsyncInferenceRunner, validate_packed_equivalence and check_numerical_stability on models of PyTorch."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import virpack  # noqa: E402
import virpack.torch as vt  # noqa: E402
from conftest import RESIDUES  # noqa: E402

HIDDEN = 6


class Packed(torch.nn.Module):  # type: ignore[misc]
    """Takes packed batches; a token's row depends on its sequence, and, with `leak`, on its neighbours."""

    num_layers = 3

    def __init__(self, leak: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.table = torch.nn.Embedding(33, HIDDEN)
        self.leak = leak
        self.layers_asked: list[int] = []

    def forward_packed(self, input_ids: Any, cu_seqlens: Any, max_seqlen: int, repr_layers: list[int]) -> Any:
        self.layers_asked += repr_layers
        rows = self.table(input_ids)
        boundaries = cu_seqlens.tolist()
        mixed = [rows[a:b] + rows[a:b].mean(0) for a, b in zip(boundaries, boundaries[1:])]
        return {"representations": {repr_layers[0]: torch.cat(mixed) + self.leak * rows.mean(0)}}


class FairEsm(torch.nn.Module):  # type: ignore[misc]
    """Takes padded rows and returns the representations of a layer, as fair-esm's ESM-2 does."""

    num_layers, padding_idx = 3, 1

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.table = torch.nn.Embedding(33, HIDDEN)

    def forward(self, tokens: Any, repr_layers: list[int]) -> Any:
        rows, real = self.table(tokens), (tokens != self.padding_idx)[:, :, None]
        mean = (rows * real).sum(1, keepdim=True) / real.sum(1, keepdim=True)
        return {"representations": {repr_layers[0]: rows + mean}}


def proteins(count: int, seed: int = 5) -> list[tuple[str, str]]:
    letters = random.Random(seed)
    return [(f"p{n}", "".join(letters.choices(RESIDUES, k=letters.randint(1, 90)))) for n in range(count)]


def rows_of(runner: vt.AsyncInferenceRunner, dataset: Any) -> dict[str, Any]:
    results = list(runner.run(dataset))
    assert [result.batch_idx for result in results] == list(range(len(results)))
    for result in results:
        assert result.embeddings.shape == (len(result.sequence_ids), HIDDEN)
        assert (result.embeddings.dtype, result.embeddings.device.type) == (torch.float32, "cpu")
    return {name: row for result in results for name, row in zip(result.sequence_ids, result.embeddings)}


@pytest.mark.parametrize("enable_streams", [True, False])
def test_every_kind_of_model_gives_each_sequence_its_own_row(enable_streams: bool) -> None:
    sequences = proteins(60)
    dataset = vt.PackedDataset(sequences, token_budget=1024)
    packed = rows_of(vt.AsyncInferenceRunner(Packed(), "cpu", enable_streams), dataset)
    padded = rows_of(vt.AsyncInferenceRunner(FairEsm(), "cpu", enable_streams), dataset)
    table = Packed().table

    def own(model: Any, batch: Any) -> Any:
        rows = table(batch["input_ids"])
        means = [rows[a:b].mean(0).expand(b - a, -1) for a, b in zip(batch["cu_seqlens"], batch["cu_seqlens"][1:])]
        return rows + torch.cat(means)

    by_function = rows_of(vt.AsyncInferenceRunner(None, "cpu", enable_streams, forward=own), dataset)
    assert packed.keys() == padded.keys() == by_function.keys() == {name for name, _ in sequences}
    for name, sequence in sequences:
        tokens = torch.from_numpy(virpack._virpack.Tokenizer("esm2").encode([sequence])[0])
        alone = table(tokens)
        expected = (alone[1:-1].mean(0) + alone.mean(0)).detach()
        for rows in (packed, padded, by_function):
            assert torch.allclose(rows[name], expected, atol=1e-5), name


def test_the_last_layer_is_taken_unless_another_is_named() -> None:
    dataset = vt.PackedDataset(proteins(3))
    last, named = Packed(), Packed()
    list(vt.AsyncInferenceRunner(last, "cpu").run(dataset))
    list(vt.AsyncInferenceRunner(named, "cpu", layer=2).run(dataset))
    assert (last.layers_asked, named.layers_asked) == ([3], [2])
    silent = SimpleNamespace(forward_packed=None)
    with pytest.raises(virpack.InputError, match="does not state its number of layers"):
        list(vt.AsyncInferenceRunner(silent, "cpu").run(dataset))


def test_statistics_are_shares_of_the_batches_own_budget() -> None:
    dataset = vt.PackedDataset(proteins(300), token_budget=1024)
    runner = vt.AsyncInferenceRunner(Packed(), "cpu")
    told: list[tuple[int, int]] = []
    results = list(runner.run(dataset, progress_callback=lambda batch, count: told.append((batch, count))))
    stats = runner.get_statistics()
    tokens = sum(len(batch["input_ids"]) for batch in dataset)
    assert (stats["total_sequences"], stats["total_batches"], stats["total_tokens"]) == (300, len(results), tokens)
    assert stats["efficiency"] == pytest.approx(tokens / (1024 * len(results))) and stats["efficiency"] <= 1
    assert stats["throughput"]["sequences_per_second"] > 0
    assert told == [(result.batch_idx, len(result.sequence_ids)) for result in results]


def test_a_loader_of_virnucpros_names_runs_from_file_to_rows(fasta: Callable[..., Path]) -> None:
    loader = vt.create_async_dataloader(
        vt.SequenceDataset([fasta([50] * 20)]), vt.VarlenCollator(max_tokens_per_batch=500, max_sequence_length=498), 5, 2
    )
    rows = rows_of(vt.AsyncInferenceRunner(FairEsm(), "cpu"), loader)
    assert rows.keys() == {f"p{place}" for place in range(20)}
    assert len(vt.run_async_inference(FairEsm(), loader, "cpu")) == loader.stats["batches"] / 2


def test_the_runner_takes_any_iterable_of_batches_and_passes_over_empty_ones() -> None:
    batches = list(vt.PackedDataset(proteins(5)))
    runner = vt.AsyncInferenceRunner(Packed(), "cpu")
    assert len(list(runner.run([{}, *batches, {}]))) == len(batches)
    result = runner.process_batch(batches[0])
    assert result.record_index is not None and len(result.record_index) == len(result.sequence_ids)
    # A classifier can be trained on the rows.
    torch.nn.Linear(HIDDEN, 1)(result.embeddings).sum().backward()


def test_checkpoints_are_refused_and_not_ignored(tmp_path: Path) -> None:
    with pytest.raises(virpack.InputError, match="keeps no checkpoints"):
        vt.AsyncInferenceRunner(Packed(), "cpu", checkpoint_dir=tmp_path)


def test_values_that_are_not_finite_are_counted() -> None:
    vt.check_numerical_stability(torch.ones(3))
    values = torch.tensor([1.0, float("nan"), float("inf"), -float("inf"), -2.0])
    with pytest.raises(RuntimeError, match=r"in batch 7: NaN=1, Inf=2, valid range=\[-2.00e\+00, 1.00e\+00\]"):
        vt.check_numerical_stability(values, "batch 7")
    with pytest.raises(RuntimeError, match="NaN=2"):
        vt.check_numerical_stability(torch.full((2,), float("nan")))
    model = Packed()
    with torch.no_grad():
        model.table.weight[5] = float("nan")
    with pytest.raises(RuntimeError, match="Numerical instability in batch 0"):
        list(vt.AsyncInferenceRunner(model, "cpu").run(vt.PackedDataset(["LLAGG"])))


def test_a_model_that_keeps_sequences_apart_passes() -> None:
    for model in (Packed(), FairEsm()):
        passed, details = vt.validate_packed_equivalence(model, None, proteins(40), "cpu")
        assert passed, details
        assert details["num_sequences"] == len(details["per_sequence"]) == 40
        assert details["max_difference"] < 2e-5 and details["strict_pass_rate"] == 1.0


def test_a_model_whose_sequences_see_their_neighbours_fails_though_cosines_are_high() -> None:
    passed, details = vt.validate_packed_equivalence(Packed(leak=0.001), None, proteins(40), "cpu")
    assert not passed and details["min_similarity"] > 0.999
    assert details["failed_sequences"] and details["max_difference"] > 2e-5


def test_equal_ids_are_compared_each() -> None:
    sequences = [("a", "MKTLL"), ("a", "GGV"), ("a", "M")]
    passed, details = vt.validate_packed_equivalence(Packed(leak=0.1), None, sequences, "cpu")
    assert [name for name, _, _ in details["per_sequence"]] == ["a", "a", "a"]
    assert not passed and details["num_sequences"] == 3
    model = Packed()
    assert vt.validate_packed_equivalence(model, None, [], "cpu")[0]
    assert next(model.parameters()).dtype == torch.float32, "the model is left as it is"


# --- transformers ---


@pytest.fixture
def esm2() -> Callable[[str], Any]:
    transformers = pytest.importorskip("transformers")

    def make(attention: str) -> Any:
        torch.manual_seed(3)
        config = transformers.EsmConfig(
            vocab_size=33,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            position_embedding_type="rotary",
            token_dropout=True,
            mask_token_id=32,
            pad_token_id=1,
        )
        return transformers.EsmModel._from_config(config, attn_implementation=attention, add_pooling_layer=False).eval()

    return make


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_transformers_esm2_runs_on_our_batches(attention: str, esm2: Callable[[str], Any]) -> None:
    model = esm2(attention)
    passed, details = vt.validate_packed_equivalence(model, None, proteins(20), "cpu")
    assert passed, details
    # Layer 0 is the embedding, which depends only on the token.
    sequences = proteins(4)
    of_layer = {
        layer: torch.cat(
            [r.embeddings for r in vt.AsyncInferenceRunner(model, "cpu", layer=layer).run(vt.PackedDataset(sequences))]
        )
        for layer in (0, 2, None)
    }
    assert torch.equal(of_layer[2], of_layer[None]) and not torch.allclose(of_layer[0], of_layer[2])


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_packed_row_without_boundaries_is_wrong_and_therefore_refused(attention: str, esm2: Callable[[str], Any]) -> None:
    model = esm2(attention)

    def naive(model: Any, batch: Any) -> Any:
        ids, places = batch["input_ids"][None], vt.position_ids(batch)[None]
        return model(input_ids=ids, position_ids=places).last_hidden_state[0]

    passed, details = vt.validate_packed_equivalence(model, None, proteins(20), "cpu", forward=naive)
    assert not passed and details["max_difference"] > 0.05
    with pytest.raises(virpack.InputError, match=f"'{attention}' does not heed"):
        vt.hf_kwargs(next(iter(vt.PackedDataset(proteins(3)))), model)


def test_the_block_mask_makes_sdpa_right(esm2: Callable[[str], Any]) -> None:
    def masked(model: Any, batch: Any) -> Any:
        embedded = model.embeddings(input_ids=batch["input_ids"][None], attention_mask=None)
        return model(inputs_embeds=embedded, attention_mask=vt.block_mask(batch)).last_hidden_state[0]

    passed, details = vt.validate_packed_equivalence(esm2("sdpa"), None, proteins(20), "cpu", forward=masked)
    assert passed, details
