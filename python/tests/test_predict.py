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


def test_ids_with_quotes_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "in.fasta"
    path.write_text('>k"7" a "so-called" contig\n' + "ATGGCTAGC" * 60 + '\n>"x"\nACGT\n>y\'\nACGT\n')
    verdicts = virpack.predict(path, device="cpu")
    assert verdicts.records["sequence_id"].tolist() == ['k"7"', '"x"', "y'"]
    assert verdicts.records["sequence_id"].tolist() == [record.id for record in virpack.read(path)]
    assert 'a "so-called" contig' in [column[0] for column in verdicts.records.values() if column.dtype == object]
    assert set(verdicts.chunks["sequence_id"]) <= {'k"7"', '"x"', "y'"}


def test_a_complete_output_is_the_result_of_a_run_that_resumes(tmp_path: Path) -> None:
    first = virpack.predict(CONTIGS, tmp_path / "verdicts", device="cpu")
    again = virpack.predict(CONTIGS, tmp_path / "verdicts", device="cpu", resume=True)
    assert (sorted(again.files), again.rows, again.skipped) == (sorted(first.files), first.rows, first.skipped)
    sizes = dict(again.report["file_bytes"])
    assert sizes == {name: (tmp_path / "verdicts" / name).stat().st_size for name in sizes}
    assert len(sizes) > 5 and again.report == {**first.report, "file_bytes": sizes}


def test_unusual_records_are_warned_of(tmp_path: Path, caplog) -> None:
    records = [("a", "ACGT" * 50), ("b", "AC-T" * 50), ("a", "ACGT" * 50)]
    path = tmp_path / "in.fasta"
    path.write_text("".join(f">{id}\n{letters}\n" for id, letters in records))
    for source in (path, records):
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="virpack"):
            virpack.predict(source, device="cpu")
        assert [record.message for record in caplog.records] == [
            "50 of 600 letters stand for no nucleotide (gaps and letters of residues), in 1 record, the first is b",
            "1 id comes more than once, the first is a: each record has its own rows, in input order",
        ]


def test_an_empty_table_has_the_types_of_a_full_one() -> None:
    polars = pytest.importorskip("polars")
    none = virpack.predict([], device="cpu").to_polars()
    assert none.schema == virpack.predict(CONTIGS, device="cpu").to_polars().schema
    assert none.schema["sequence_id"] == polars.String


def test_sequences_of_python_have_no_file(tmp_path: Path) -> None:
    records = [("s 1", "ATGGCTAGC" * 60), ("s 2", "ACGT" * 200)]
    summary = virpack.predict(iter(records), tmp_path / "verdicts", device="cpu")
    assert [file["path"] for file in summary.report["inputs"]] == ["sequences"]
    assert column(tmp_path / "verdicts/sequences.tsv", "sequence_id") == ["s 1", "s 2"]
    with pytest.raises(virpack.InputError, match="resume is given for sequences in memory"):
        virpack.predict(records, tmp_path / "verdicts", device="cpu", resume=True)
    for output in ("", "-"):
        with pytest.raises(virpack.InputError, match="the output is '-?'"):
            virpack.predict(records, output, device="cpu")
    assert virpack.predict([], device="cpu").records["sequence_id"].tolist() == []


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
        ({"threads": -1}, "threads is -1\nhint: it must be a whole number of at least 1 or None"),
        ({"genetic_code": 300}, "genetic_code is 300\nhint: it must be a whole number from 1 to 33"),
        ({"min_score": "high"}, "min_score is 'high'\nhint: it must be a number or None"),
        ({"classifier": 7}, "classifier is 7\nhint: it must be a path"),
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
