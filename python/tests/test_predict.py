"""Verdicts: the tables of the command, as columns or as files."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import virpack

ROOT = Path(__file__).parents[2]
CONTIGS = ROOT / "examples" / "contigs.fasta"


def column(path: Path, name: str) -> list[str]:
    names, *rows = (line.split("\t") for line in path.read_text().splitlines())
    return [row[names.index(name)] for row in rows]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("command") / "verdicts"
    line = [sys.executable, "-m", "virpack", "predict", str(CONTIGS), "--device", "cpu", "-o", str(directory)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return directory


def test_columns_are_those_of_the_commands_tables(tables: Path) -> None:
    verdicts = virpack.predict(CONTIGS, device="cpu")
    assert len(verdicts) == 5
    for name, table in (("sequences", "records"), ("chunks", "chunks"), ("frames", "frames"), ("regions", "regions")):
        columns = getattr(verdicts, table)
        path = tables / f"{name}.tsv"
        assert list(columns) == path.read_text().splitlines()[0].split("\t"), table
        for key, values in columns.items():
            texts = column(path, key)
            if values.dtype == np.float64:
                expected = [np.nan if text == "NA" else float(text) for text in texts]
                assert np.array_equal(values, expected, equal_nan=True), (table, key)
            elif key == "is_virus":
                assert ["NA" if value is None else str(value) for value in values] == texts, table
            else:
                assert [str(value) for value in values] == texts, (table, key)
    assert verdicts.records["length"].dtype == np.int64 and verdicts.records["is_virus"].tolist() == [
        False,
        False,
        False,
        None,
        None,
    ]
    assert verdicts.report["counts"]["records"] == 5


def test_files_are_those_of_the_command(tables: Path, tmp_path: Path) -> None:
    summary = virpack.predict(CONTIGS, tmp_path / "verdicts", device="cpu")
    assert isinstance(summary, virpack.Summary) and summary.rows == 5
    for path in tables.iterdir():
        # These two have times.
        if path.name not in ("run.json", "report.html"):
            assert (tmp_path / "verdicts" / path.name).read_bytes() == path.read_bytes(), path.name
    with pytest.raises(virpack.OutputError, match="exists"):
        virpack.predict(CONTIGS, tmp_path / "verdicts", device="cpu")
    virpack.predict(CONTIGS, tmp_path / "verdicts", device="cpu", force=True)


def test_sequences_of_python(tables: Path) -> None:
    records = [(record.id, record.sequence) for record in virpack.read(CONTIGS)]
    verdicts = virpack.predict(records, device="cpu")
    scores = [np.nan if text == "NA" else float(text) for text in column(tables / "sequences.tsv", "virus_score")]
    assert np.array_equal(verdicts.records["virus_score"], scores, equal_nan=True)
    assert verdicts.records["sequence_id"].tolist() == column(tables / "sequences.tsv", "sequence_id")


def test_options_are_heeded(caplog) -> None:
    strict = virpack.predict(CONTIGS, device="cpu", min_score=0.999)
    assert not strict.records["is_virus"].any()
    short = virpack.predict(CONTIGS, device="cpu", length=300)
    assert len(short.chunks["chunk"]) > len(strict.chunks["chunk"])
    left_out = virpack.predict(CONTIGS, device="cpu", min_length=1_000)
    assert "below_min_length" in left_out.records["status"]
    told: list[virpack.Progress] = []
    with caplog.at_level(logging.INFO, logger="virpack"):
        virpack.predict(CONTIGS, device="cpu", progress=told.append)
    assert told[-1].chunks == len(strict.chunks["chunk"])
    assert "chunks of 500 bases" in [record.message for record in caplog.records]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"preset": "virnucpro-500"}, "needs 500_model.pth"),
        ({"preset": "virnucpro-501"}, "preset is 'virnucpro-501'"),
        ({"model": "m", "classifier": "c"}, "model is given with"),
        ({"protein_model": "esm2_t6_8M_UR50D"}, "without its classifier"),
        ({"min_score": 2.0}, "min_score must be between 0 and 1"),
        ({"prevalence": 0.0}, "prevalence is 0"),
        ({"genetic_code": 7}, "no genetic code 7"),
        ({"length": 0}, "length is 0"),
        ({"resume": True}, "for an output"),
        ({"compat": "x"}, "compat is 'x'"),
    ],
)
def test_options_that_are_refused(options, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(virpack.InputError, match=said) as caught:
        virpack.predict(CONTIGS, device="cpu", **options)
    assert "--" not in str(caught.value)


def test_proteins_are_refused() -> None:
    with pytest.raises(virpack.InputError, match="is not a nucleotide sequence"):
        virpack.predict([("p", "MKTLLVWWWPPP" * 30)], device="cpu")


def test_data_frames() -> None:
    verdicts = virpack.predict(CONTIGS, device="cpu")
    pytest.importorskip("pandas")
    assert verdicts.to_pandas()["sequence_id"].tolist() == verdicts.records["sequence_id"].tolist()
    pytest.importorskip("polars")
    assert verdicts.to_polars("chunks").height == len(verdicts.chunks["chunk"])
    with pytest.raises(virpack.InputError, match="table is 'rows'"):
        verdicts.to_pandas("rows")
