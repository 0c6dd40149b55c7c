"""What a source is: the same for `embed`, `predict` and `PackedDataset`. Nothing is taken for letters that is not."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import virpack

ROOT = Path(__file__).parents[2]
PROTEINS = ROOT / "examples" / "proteins.fasta"


def embedded(source: Any) -> list[str]:
    return virpack.embed(source).ids


def predicted(source: Any) -> list[str]:
    return virpack.predict(source, device="cpu").records["sequence_id"].tolist()


def packed(source: Any) -> list[str]:
    torch = pytest.importorskip("virpack.torch")
    dataset = torch.PackedDataset(source, "virpack-mini/nucleotide", token_budget=8192)
    return [id for batch in dataset for id in batch["sequence_ids"]]


USES = [embedded, predicted, packed]
Use = Callable[[Any], list[str]]


def refused(source: Callable[[], Any], said: str) -> None:
    for use in USES:
        with pytest.raises(virpack.InputError, match=said):
            use(source())


def test_an_open_file_is_refused_with_what_to_do() -> None:
    for opened in (lambda: PROTEINS.open(), lambda: PROTEINS.open("rb")):
        refused(opened, r"(?s)the source is an open file: .*proteins\.fasta.*give its path")
        refused(lambda: [opened()], "record 0 is a TextIOWrapper|record 0 is a BufferedReader")
    refused(lambda: gzip.open(__file__), "the source is an open file")
    with pytest.raises(virpack.InputError, match="is an open file"):
        virpack.read(PROTEINS.open())  # type: ignore[arg-type]
    with pytest.raises(virpack.InputError, match="is an open file"):
        virpack.plan(PROTEINS.open(), "nowhere")  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [">b\nACGT", "ACGT\n>b\nACGT", ";a comment\nACGT", "ACGT>", ">"])
def test_the_text_of_a_file_is_not_the_letters_of_a_record(text: str) -> None:
    refused(lambda: [("b", text)], r"(?s)sequences:1: record 1 \(b\): .*the text of a FASTA file.*give the path of the file")
    refused(lambda: [text.encode()], "the text of a FASTA file")


def test_letters_are_checked_alike() -> None:
    refused(lambda: [("a", "N"), ("b", "AC1GT")], r"sequences:2: record 2 \(b\): `1` is not a letter")


@pytest.mark.parametrize("missing", ["None", "nan", "NaT", "<NA>", "1.5", "True", "True_"])
def test_a_value_that_is_not_letters_is_not_made_letters(missing: str) -> None:
    pd = pytest.importorskip("pandas")
    values = {"None": None, "nan": float("nan"), "NaT": pd.NaT, "<NA>": pd.NA, "1.5": 1.5, "True": True, "True_": np.True_}
    value = values[missing]
    frame = pd.DataFrame({"id": ["a", "b"], "sequence": pd.Series(["MKT", value], dtype=object)})
    said = r"record 1 \((b|1)\) has (no sequence: it is|a \w+ as its sequence)"
    for source in (
        lambda: zip(frame.id, frame.sequence),
        lambda: frame.to_dict("records"),
        lambda: frame.itertuples(index=False),
        lambda: frame,
        lambda: frame.sequence,
        lambda: dict(zip(frame.id, frame.sequence)),
        lambda: {"id": ["a", "b"], "sequence": ["MKT", value]},
    ):
        refused(source, said)


def test_a_table_is_its_columns_for_every_use() -> None:
    pd, pl, pa = (pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow"))
    letters = ["ATGGCTAGC" * 10, "ACGTTGCA" * 10]
    columns = {"id": ["a", "b"], "sequence": letters}
    for use in (predicted, packed):
        for table in (columns, pd.DataFrame(columns), pl.DataFrame(columns), pa.table(columns), dict(zip("ab", letters))):
            assert sorted(use(table)) == ["a", "b"], (use, type(table))
        assert sorted(use(pd.Series(letters, index=["x", "y"]))) == ["x", "y"]
        for column in (letters, np.array(letters), pl.Series(letters), pa.array(letters), pa.chunked_array([letters])):
            assert sorted(use(column)) == ["0", "1"], (use, type(column))
    refused(lambda: {"a": ["MKT"]}, "has a list as its sequence")
    refused(lambda: [{"id": "a"}], "record 0 has no sequence: its keys are 'id'")
    refused(lambda: pd.DataFrame([["MKT", "MKT"]], columns=["sequence", "sequence"]), "2 columns sequence")
    refused(lambda: pd.DataFrame(columns).iterrows(), "has a Series as its sequence")


def test_a_record_without_a_list_is_not_taken_apart() -> None:
    in_a_list = "(?s)the source is one (record|sequence).*a single record is given in a list"
    refused(lambda: {"id": "pA", "sequence": "MKTLLV"}, in_a_list)
    refused(lambda: next(virpack.read(PROTEINS)), in_a_list)
    refused(lambda: np.array("MKT"), "(?s)array of no dimension.*in a list")
    refused(lambda: ("pA", "MKTLLV"), "(?s)a tuple of two texts: two sequences, or an id and a sequence.*give a list")
    # What is said of several is clear.
    assert virpack.embed(("MKT", "MKQ"), ids=["a", "b"]).ids == ["a", "b"]
    assert embedded(("MKT", "MKQ", "MKV")) == ["0", "1", "2"]
    assert embedded([("pA", "MKTLLV")]) == ["pA"]
    assert len(embedded((str(PROTEINS), str(PROTEINS)))) == 8


def test_a_record_of_biopython_is_given_in_a_list() -> None:
    SeqIO, Seq = pytest.importorskip("Bio.SeqIO"), pytest.importorskip("Bio.Seq").Seq
    record = next(iter(SeqIO.parse(PROTEINS, "fasta")))
    in_a_list = "(?s)the source is one (record|sequence).*a single record is given in a list"
    refused(lambda: record, in_a_list)
    refused(lambda: record.seq, in_a_list)
    refused(lambda: Seq("ACGT" * 200), in_a_list)
    assert embedded([record]) == [record.id]
    assert embedded([record.seq, ("s", record.seq)][:1]) == ["0"]
    assert virpack.embed([record.seq]).values.tobytes() == virpack.embed([str(record.seq)]).values.tobytes()


def test_the_name_of_a_file_is_not_a_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROTEINS.parent)
    name = PROTEINS.name
    for source in (np.array([name]), [name], [Path(name)], (name, name)):
        assert len(embedded(source)) == 4 * len(source)
    with pytest.raises(virpack.InputError, match="ids are given for a file: proteins.fasta"):
        virpack.embed([name], ids=["x"])
    refused(lambda: {"a": name}, r"record 0 \(a\) is the name of a file: 'proteins.fasta'")
    refused(lambda: [("a", "MKT"), ("b", "nowhere.fa.gz")], r"record 1 \(b\) is the name of a file")
    refused(lambda: ["MKT", name.encode()], r"record 1 \(1\) is the name of a file")
    refused(lambda: ["MKT", name], r"record 1 \(1\) is the name of a file")
    refused(lambda: ["MKT", Path(name)], "record 1 is a path among sequences")
    refused(lambda: {"sequence": [name]}, "the column sequence names a file")
    pd, pa = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    assert len(embedded(pd.Series([name]))) == len(embedded(pa.array([name]))) == 4
    for kind in (pa.string(), pa.large_binary()):
        column = pa.array([b"MKT"] * 700 + [name.encode()] + [b"MK.T"], kind)
        refused(lambda: column[100:], r"record 600 \(600\) is the name of a file")
    assert virpack.embed(pa.array(["MKT", "MK.T"])).values.tobytes() == virpack.embed(["MKT", "MK.T"]).values.tobytes()
    refused(lambda: pd.DataFrame({"id": ["a"], "sequence": [name]}), "ids are given for a file|names a file")


def test_ids_are_their_own() -> None:
    records = [("s 1", "ACGT" * 50), ("s 2", "ACGT" * 50), (" ", "ACGT" * 50), ("1\t2", "ACGT" * 50), ('k"7"', "ACGT" * 50)]
    ids = [id for id, _ in records]
    assert embedded([(id, "MKT") for id in ids]) == ids
    assert sorted(packed(records)) == sorted(ids)
    assert predicted(records) == ["s 1", "s 2", " ", "1\\t2", 'k"7"']
    assert embedded([(b"a", "MKT"), (7, "MKT")]) == ["a", "7"]
    refused(lambda: [(None, "MKT")], "record 0 has no id: it is None")
