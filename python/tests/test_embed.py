"""Embeddings: the same bits as the command, from every kind of source, in every kind of result."""

from __future__ import annotations

import importlib.util
import logging
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import virpack

ROOT = Path(__file__).parents[2]
PROTEINS = ROOT / "examples" / "proteins.fasta"
TINY = ROOT / "examples" / "esm2_tiny"

SEQUENCES = [("a", "MKTLLVAGST"), ("b", "MK"), ("empty", ""), ("a", "MKTLLV" * 40), ("long", "MKQ" * 500)]


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "virpack", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def embedder() -> virpack.Embedder:
    return virpack.Embedder(TINY, device="cpu")


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    path = tmp_path / "in.fasta"
    path.write_text("".join(f">{id}\n{letters}\n" for id, letters in SEQUENCES))
    return path


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({}, []),
        ({"pool": "max", "layer": 1}, ["--pool", "max", "--layer", 1]),
        ({"pool": "cls", "layer": -2}, ["--pool", "cls", "--layer", -2]),
        ({"max_length": 300, "long_records": "window"}, ["--max-length", 300, "--long-records", "window"]),
        ({"max_length": 300, "long_records": "skip"}, ["--max-length", 300, "--long-records", "skip"]),
        ({"packing": False, "min_length": 3}, ["--no-packing", "--min-length", 3]),
    ],
)
def test_values_are_the_bytes_of_the_commands_file(fasta: Path, tmp_path: Path, options, flags) -> None:
    output = tmp_path / "out.npy"
    done = command("embed", fasta, "-m", TINY, "--device", "cpu", "-o", output, *flags)
    assert done.returncode == 0, done.stderr
    expected = np.load(output)
    of_file = virpack.embed(fasta, TINY, device="cpu", **options)
    assert of_file.values.dtype == np.float32
    assert of_file.values.tobytes() == expected.tobytes()
    of_memory = virpack.embed(SEQUENCES, TINY, device="cpu", **options)
    assert of_memory.values.tobytes() == expected.tobytes()
    table = [line.split("\t") for line in Path(f"{output}.records.tsv").read_text().splitlines()[1:]]
    assert of_memory.ids == [row[1] for row in table]
    assert of_memory.lengths.tolist() == [int(row[2]) for row in table]
    assert of_memory.truncated.tolist() == [row[3] == "True" for row in table]
    written = virpack.embed(SEQUENCES, TINY, device="cpu", output=tmp_path / "memory.npy", **options)
    assert (tmp_path / "memory.npy").read_bytes() == output.read_bytes()
    assert (written.rows, written.skipped) == (len(expected), len(SEQUENCES) - len(expected))
    written = virpack.embed(fasta, TINY, device="cpu", output=tmp_path / "file.npy", **options)
    assert (tmp_path / "file.npy").read_bytes() == output.read_bytes()
    assert written.report["counts"]["records"] == len(SEQUENCES)


def test_the_built_in_model_is_the_default_and_needs_no_file() -> None:
    embeddings = virpack.embed(PROTEINS)
    assert embeddings.values.shape == (4, 128)
    assert embeddings.ids[1] == "sp|P01308|INS_HUMAN"


def test_values_are_not_copied(embedder: virpack.Embedder) -> None:
    values = embedder.embed(SEQUENCES).values
    assert values.flags.c_contiguous and values.flags.writeable and not values.flags.owndata
    assert np.asarray(embedder.embed(SEQUENCES)).shape == values.shape


def test_skipped_records_have_their_place_and_reason(embedder: virpack.Embedder, caplog) -> None:
    with caplog.at_level(logging.WARNING, logger="virpack"):
        embeddings = embedder.embed(SEQUENCES)
    assert embeddings.skipped == [virpack.Skipped(2, 3, "empty", 0, "empty")]
    assert embeddings.records.tolist() == [0, 1, 3, 4]
    assert embeddings.truncated.tolist() == [False, False, False, True]
    assert embeddings.lengths.tolist() == [10, 2, 240, 1500]
    messages = [record.message for record in caplog.records]
    assert messages == [
        "1 record is truncated to 1,022 letters, the first is long",
        "1 id comes more than once, the first is a: each record has its own rows, in input order",
        "1 record is skipped, the first is empty (empty)",
    ]


def test_unusual_records_are_warned_of_however_they_are_embedded(tmp_path: Path, caplog) -> None:
    records = [("a", "MKTLLV"), ("b", "MKJJT"), ("c", "MK-T.V"), ("a", "MKJT"), ("long", "MKQ" * 500), ("none", "")]
    path = tmp_path / "in.fasta"
    path.write_text("".join(f">{id}\n{letters}\n" for id, letters in records))
    expected = [
        "1 record is truncated to 1,022 letters, the first is long",
        "2 records have 3 letters that the model does not know, the first is b",
        "1 record has 2 gap characters (- or .), the first is c",
        "1 id comes more than once, the first is a: each record has its own rows, in input order",
        "1 record is skipped, the first is none (empty)",
    ]
    for source, output in ((path, None), (records, None), (path, "file.npy"), (records, "memory.npy")):
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="virpack"):
            virpack.embed(source, TINY, device="cpu", output=output and tmp_path / output)
        assert [record.message for record in caplog.records] == expected, (source, output)
    assert virpack.embed(records, TINY, device="cpu").gaps.tolist() == [0, 0, 2, 0, 0]
    caplog.clear()
    assert virpack.embed([], TINY, device="cpu", output=tmp_path / "none.npy").rows == 0
    assert caplog.records[-1].message == "the output has no rows: there was no record"


@pytest.mark.parametrize("output", ["out.npy", "out.parquet"])
def test_a_complete_output_is_the_result_of_a_run_that_resumes(tmp_path: Path, output: str, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (output, tmp_path / "sub" / output):
        (tmp_path / "sub").mkdir(exist_ok=True)
        first = virpack.embed(PROTEINS, TINY, device="cpu", output=path)
        before = Path(path).stat().st_mtime_ns
        again = virpack.embed(PROTEINS, TINY, device="cpu", output=path, resume=True)
        assert (again.files, again.rows, again.skipped) == (first.files, first.rows, first.skipped)
        assert again.report == {**again.report, **first.report} and Path(path).stat().st_mtime_ns == before
    with virpack.Embedder(TINY, device="cpu") as embedder:
        assert embedder.write(PROTEINS, output, resume=True).rows == 4
    with pytest.raises(virpack.OutputError, match="another run, which is complete"):
        virpack.embed(PROTEINS, TINY, device="cpu", output=output, pool="max", resume=True)
    with pytest.raises(virpack.InputError, match="resume is given for sequences in memory"):
        virpack.embed(SEQUENCES, TINY, device="cpu", output=output, resume=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"threads": -1}, "threads is -1\nhint: it must be a whole number of at least 1 or None"),
        ({"threads": True}, "threads is True\nhint: it must be a whole number"),
        ({"device": None}, "device is None\nhint: it must be a text such as"),
        ({"max_length": 1000.0}, "max_length is 1000.0\nhint: it must be a whole number of at least 1 or None"),
        ({"token_budget": 2**70}, "token_budget is 1180591620717411303424"),
        ({"min_length": None}, "min_length is None\nhint: it must be a whole number of at least 0"),
        ({"layer": "last"}, "layer is 'last'\nhint: it must be a whole number or None"),
        ({"packing": 1}, "packing is 1\nhint: it must be True or False"),
        ({"model": 7}, "model is 7\nhint: it must be a path, or a name"),
        ({"output": "x.npy", "shard": (1, 2)}, r"shard is \(1, 2\)\nhint: it must be a text such as \"2/8\" or None"),
        ({"output": "x.npy", "resume": "yes"}, "resume is 'yes'\nhint: it must be True or False"),
        ({"output": 7}, "output is 7\nhint: it must be a path"),
    ],
)
def test_an_option_of_a_wrong_type_is_named_with_what_it_must_be(tmp_path: Path, monkeypatch, options, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(virpack.InputError, match=said):
        virpack.embed(SEQUENCES, **options)
    assert list(tmp_path.iterdir()) == []
    assert len(virpack.embed(["MKT"], max_length=np.int64(1000), threads=np.int32(1))) == 1


def test_a_report_goes_beside_the_output(embedder: virpack.Embedder, fasta: Path, tmp_path: Path) -> None:
    output = tmp_path / "emb.npy"
    page = f"{output}.report.html"
    assert page in virpack.embed(fasta, output=output, report=True).files
    assert " of 128 values" in Path(page).read_text()
    assert page not in embedder.write(fasta, output, force=True).files and not Path(page).exists()
    assert page in embedder.write(fasta, output, force=True, report=True).files
    with pytest.raises(virpack.InputError, match="are for an output"):
        virpack.embed(fasta, report=True)


class SeqRecord:
    """As Biopython's: `id`, and a `seq` that is not a string."""

    def __init__(self, id: str, seq: str) -> None:
        self.id = id
        self.seq = bytearray(seq, "ascii")  # str() of it is not the letters
        self.seq = type("Seq", (), {"__str__": lambda _: seq, "__len__": lambda _: len(seq)})()


def sources():
    pairs = [("a", "MKTLLV"), ("b", "MKQ")]
    yield "pairs", pairs, None
    yield "generator", (pair for pair in pairs), None
    yield "strings", [letters for _, letters in pairs], ["a", "b"]
    yield "bytes", [letters.encode() for _, letters in pairs], ["a", "b"]
    yield "records", [{"id": id, "sequence": letters} for id, letters in pairs], None
    yield "by id", dict(pairs), None
    yield "columns", {"id": ["a", "b"], "sequence": ["MKTLLV", "MKQ"]}, None
    yield "columns of arrays", {"id": np.array(["a", "b"]), "sequence": np.array(["MKTLLV", "MKQ"])}, None
    yield "objects", [SeqRecord(*pair) for pair in pairs], None
    yield "numpy", np.array(["MKTLLV", "MKQ"]), ["a", "b"]


@pytest.mark.parametrize(("source", "ids"), [pytest.param(s, i, id=name) for name, s, i in sources()])
def test_sources_of_python(embedder: virpack.Embedder, source, ids) -> None:
    embeddings = embedder.embed(source, ids)
    assert embeddings.ids == ["a", "b"]
    expected = embedder.embed(["MKTLLV", "MKQ"])
    assert expected.ids == ["0", "1"]
    assert embeddings.values.tobytes() == expected.values.tobytes()


def test_sources_of_other_packages(embedder: virpack.Embedder) -> None:
    letters = ["MKTLLV", "MKQ", "M", "MKTLLVAGSTWWW"] * 400
    ids = [f"r{i}" for i in range(len(letters))]
    expected = embedder.embed(letters, ids)
    found = []
    pa = pytest.importorskip("pyarrow")
    for kind in (pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())):
        column = (
            pa.array(letters, pa.string()).cast(kind) if kind != pa.binary() else pa.array([text.encode() for text in letters])
        )
        found.append(embedder.embed(column, ids))
        # A slice begins in the middle of the same buffers.
        half = embedder.embed(column[1:1000], ids[1:1000])
        assert half.values.tobytes() == expected.values[1:1000].tobytes()
    found.append(embedder.embed(pa.chunked_array([letters[:7], letters[7:]]), ids))
    chunks = [pa.array(part).dictionary_encode() for part in (letters[:7], letters[7:])]
    found.append(embedder.embed(pa.chunked_array(chunks), ids))
    found.append(embedder.embed(pa.table({"id": ids, "sequence": letters})))
    with pytest.raises(virpack.InputError, match="record 2 of the column has no sequence: it is null"):
        embedder.embed(pa.chunked_array([["MK"], ["MK", None]], pa.string()))
    with pytest.raises(virpack.InputError, match="record 1 of the column has no sequence: it is null"):
        embedder.embed(pa.array(["MK", None]))
    for name in ("pandas", "polars"):
        package = pytest.importorskip(name)
        found.append(embedder.embed(package.Series(letters), ids))
        found.append(embedder.embed(package.DataFrame({"id": ids, "sequence": letters})))
    for embeddings in found:
        assert embeddings.ids == ids
        assert embeddings.values.tobytes() == expected.values.tobytes()


@pytest.mark.parametrize("kind", ["list", "iterator", "numpy", "pyarrow", "chunks", "dictionary", "pandas", "columns"])
@pytest.mark.parametrize("ids", [["a"], ["a", "b", "c", "d"]], ids=["fewer", "more"])
def test_ids_and_sequences_must_be_as_many(embedder: virpack.Embedder, kind: str, ids: list[str]) -> None:
    letters = ["MKTLLV", "MKQ", "M"]
    source: object = letters
    if kind == "iterator":
        source = iter(letters)
    elif kind == "numpy":
        source = np.array(letters)
    elif kind == "pandas":
        source = pytest.importorskip("pandas").Series(letters)
    elif kind == "columns":
        source, ids = {"sequence": letters, "id": ids}, None  # type: ignore[assignment]
    elif kind in ("pyarrow", "chunks", "dictionary"):
        pa = pytest.importorskip("pyarrow")
        source = pa.chunked_array([letters[:2], letters[2:]]) if kind == "chunks" else pa.array(letters)
        source = source.dictionary_encode() if kind == "dictionary" else source
    with pytest.raises(virpack.InputError, match="there are 1 ids, and more sequences|there are 3 sequences, and more ids"):
        embedder.embed(source, ids)  # type: ignore[arg-type]


def test_biopython(embedder: virpack.Embedder) -> None:
    SeqIO = pytest.importorskip("Bio.SeqIO")
    of_file = embedder.embed(PROTEINS)
    embeddings = embedder.embed(SeqIO.parse(PROTEINS, "fasta"))
    assert embeddings.ids == of_file.ids
    assert embeddings.values.tobytes() == of_file.values.tobytes()


def test_several_files(embedder: virpack.Embedder, fasta: Path) -> None:
    for paths in ([fasta, PROTEINS], [str(fasta), str(PROTEINS)], (path for path in [str(fasta), PROTEINS])):
        embeddings = embedder.embed(paths)
        assert len(embeddings) == 8 and embeddings.records.tolist() == [0, 1, 3, 4, 5, 6, 7, 8]
    # A missing file is not taken for letters.
    with pytest.raises(virpack.InputError, match=r"cannot open .*nowhere\.fa"):
        embedder.embed(["nowhere.fa"])
    with pytest.raises(virpack.InputError, match="single sequence is given in a list"):
        embedder.embed("MKTLLV")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ([1], "record 0 is a int"),
        (["MK", 2.5], "record 1 is a float"),
        ([("a", None)], r"record 0 \(a\) has no sequence"),
        ([{"id": "a"}], "record 0 has no sequence: its keys are 'id'"),
        (7, "the source is a int"),
        (b"MK", "the source is bytes"),
        (["MK", "MK1"], r"sequences:2: record 2 \(1\): `1` is not a letter of a sequence"),
        ([("x", "MK\u00e9")], r"record 1 \(x\)"),
        (["ACGT" * 50], "looks like nucleotides, not a protein"),
    ],
)
def test_sources_that_are_refused(embedder: virpack.Embedder, source, said: str) -> None:
    with pytest.raises(virpack.InputError, match=said) as caught:
        embedder.embed(source)
    assert caught.value.exit_code == 1 and isinstance(caught.value, ValueError)


def test_rows_of_residues(embedder: virpack.Embedder, tmp_path: Path) -> None:
    residues = virpack.embed(SEQUENCES, TINY, device="cpu", pool=None)
    pooled = embedder.embed(SEQUENCES)
    assert residues.residues.tolist() == [10, 2, 240, 1022]
    assert residues.values.shape == (1274, 48)
    for (id, rows), row in zip(residues, pooled.values, strict=True):
        assert np.abs(rows.mean(axis=0) - row).max() < 1e-5, id
    assert residues[-1].shape == (1022, 48) and np.shares_memory(residues[-1], residues.values)
    with pytest.raises(IndexError):
        residues[4]


def test_a_stream_gives_the_same_rows_in_order(embedder: virpack.Embedder) -> None:
    records = [(f"r{i}", "MKTLLVAGST"[: i % 11] * 3) for i in range(700)]
    whole = embedder.embed(records)
    for rows in (1, 100, 10_000):
        pieces = list(embedder.stream(iter(records), rows))
        assert all(len(piece) == rows for piece in pieces[:-1]), rows
        assert np.concatenate([piece.values for piece in pieces]).tobytes() == whole.values.tobytes()
        assert [id for piece in pieces for id in piece.ids] == whole.ids
        assert [skipped for piece in pieces for skipped in piece.skipped] == whole.skipped
    with pytest.raises(virpack.InputError, match="rows is 0"):
        embedder.stream(records, 0)


def test_a_stream_reads_no_more_than_it_needs(embedder: virpack.Embedder) -> None:
    read = 0

    def endless():
        nonlocal read
        while True:
            read += 1
            yield "MKTLLVAGST" * 20

    stream = embedder.stream(endless(), 10)
    assert len(next(stream)) == 10
    stream.close()
    assert read < 50_000


def test_nothing_gives_no_rows(embedder: virpack.Embedder) -> None:
    for source in ([], iter(()), {"sequence": []}):
        embeddings = embedder.embed(source)
        assert embeddings.values.shape == (0, 48) and len(embeddings) == 0
        assert list(embedder.stream(source)) == []


def test_a_second_call_opens_no_file_of_the_model(tmp_path: Path) -> None:
    shutil.copytree(TINY, tmp_path / "model")
    embedder = virpack.Embedder(tmp_path / "model", device="cpu")
    first = embedder.embed(SEQUENCES)
    shutil.rmtree(tmp_path / "model")
    assert embedder.embed(SEQUENCES).values.tobytes() == first.values.tobytes()


def test_memory_is_the_same_after_a_thousand_calls(embedder: virpack.Embedder) -> None:
    if not os.path.exists("/proc/self/status"):
        pytest.skip("the system does not tell its memory as Linux does")

    def resident() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])

    for _ in range(200):
        embedder.embed(SEQUENCES[:3])
    before = resident()
    for _ in range(1_000):
        embedder.embed(SEQUENCES[:3])
    assert resident() < before + 4_000, "kB after 1,000 more calls"


def test_attributes_context_and_pickle() -> None:
    with virpack.Embedder(TINY, device="cpu", pool="cls", token_budget=2_000) as embedder:
        facts = embedder.hidden_size, embedder.max_length, embedder.token_budget, embedder.alphabet
        assert facts == (48, 1022, 2_000, "protein")
        assert embedder.device.startswith("CPU") and len(embedder.sha256) == 64
        expected = embedder.embed(["MKTLLV"]).values
        again = pickle.loads(pickle.dumps(embedder))
    assert again.token_budget == 2_000 and again.embed(["MKTLLV"]).values.tobytes() == expected.tobytes()
    with pytest.raises(virpack.Error, match="the embedder is closed"):
        embedder.embed(["MK"])


def test_a_batch_of_columns(embedder: virpack.Embedder) -> None:
    batch = {"id": ["a", "b"], "sequence": ["MKTLLV", "MKQ"], "other": [1, 2]}
    done = embedder(batch)
    assert list(done) == ["id", "sequence", "other", "embedding"] and "embedding" not in batch
    assert done["embedding"].tobytes() == embedder.embed(batch["sequence"]).values.tobytes()
    with pytest.raises(virpack.InputError, match="record 1 of the batch has no embedding: it is empty"):
        embedder({"sequence": ["MK", ""]})
    with pytest.raises(virpack.InputError, match="no column sequence"):
        embedder({"text": ["MK"]})


def test_results_for_other_packages(embedder: virpack.Embedder) -> None:
    embeddings = embedder.embed(SEQUENCES[:2])
    assert list(embeddings.to_dict()) == ["a", "b"]
    with pytest.raises(virpack.InputError, match="the id 'a' comes twice"):
        embedder.embed(SEQUENCES).to_dict()
    pytest.importorskip("pyarrow")
    table = embeddings.to_arrow()
    assert table.column_names == ["id", "length", "truncated", "unknown", "gaps", "embedding"]
    flat = table["embedding"].chunk(0).flatten().to_numpy(zero_copy_only=True)
    assert np.shares_memory(flat, embeddings.values)
    polars = pytest.importorskip("polars")
    frame = embeddings.to_polars()
    assert frame.schema["embedding"] == polars.Array(polars.Float32, 48)
    assert frame["embedding"].to_numpy().tobytes() == embeddings.values.tobytes()
    pytest.importorskip("pandas")
    frame = embeddings.to_pandas()
    assert frame.index.tolist() == ["a", "b"]
    assert np.stack(frame["embedding"].to_numpy()).tobytes() == embeddings.values.tobytes()
    pytest.importorskip("anndata")
    found = embeddings.to_anndata()
    assert np.asarray(found.X).tobytes() == embeddings.values.tobytes() and found.obs["length"].tolist() == [10, 2]
    residues = virpack.embed(SEQUENCES[:2], TINY, device="cpu", pool=None).to_arrow()
    assert [len(rows) for rows in residues["embedding"].to_pylist()] == [10, 2]


@pytest.mark.parametrize("files", [1, 2])
def test_the_table_in_memory_is_the_one_in_a_parquet_file(tmp_path: Path, files: int) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    paths = [tmp_path / f"{name}.fasta" for name in ("one", "two")[:files]]
    for path in paths:
        path.write_text(f">{path.stem}\nMK-T.V\n>short\nM\n>long\n{'MKJ' * 500}\n")
    virpack.embed(paths, TINY, device="cpu", min_length=2, output=tmp_path / "out.parquet")
    written = parquet.read_table(tmp_path / "out.parquet")
    embeddings = virpack.embed(paths, TINY, device="cpu", min_length=2)
    table = embeddings.to_arrow()
    assert table.column_names == written.column_names and ("source" in table.column_names) == (files == 2)
    assert table.to_pylist() == written.to_pylist() and len(table) == 2 * files
    if importlib.util.find_spec("polars"):
        assert embeddings.to_polars().columns == written.column_names
    if importlib.util.find_spec("pandas"):
        assert ["id", *embeddings.to_pandas().columns] == written.column_names


def test_a_run_to_a_file_resumes_and_is_not_replaced(fasta: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    first = virpack.embed(fasta, TINY, device="cpu", output=output)
    assert first.files[0] == str(output) and first.rows == 4
    with pytest.raises(virpack.OutputError, match="exists") as caught:
        virpack.embed(fasta, TINY, device="cpu", output=output)
    assert isinstance(caught.value, OSError) and "--" not in (caught.value.hint or "")
    virpack.embed(fasta, TINY, device="cpu", output=output, force=True)
    shard = virpack.embed(fasta, TINY, device="cpu", output=tmp_path / "one.shard", shard="1/2")
    assert shard.rows == 2
    with pytest.raises(virpack.InputError, match="shard is .3/2"):
        virpack.embed(fasta, TINY, device="cpu", output=tmp_path / "x.shard", shard="3/2")
    with virpack.Embedder(TINY, device="cpu") as embedder:
        again = embedder.write(fasta, tmp_path / "again.npy")
        assert again.report["model"]["sha256"] == embedder.sha256 == first.report["model"]["sha256"]


@pytest.mark.parametrize(
    "options",
    [
        {"pool": "median"},
        {"dtype": "int4"},
        {"long_records": "cut"},
        {"device": "tpu"},
        {"window_overlap": 3},
        {"threads": 0},
        {"buffer_size": 0},
        {"token_budget": 10},
        {"max_length": 0},
        {"pool": None, "long_records": "window"},
        {"resume": True},
        {"format": "npy"},
    ],
)
def test_options_that_are_refused(options) -> None:
    with pytest.raises(virpack.InputError) as caught:
        virpack.embed(["MK"], TINY, **{"device": "cpu", **options})
    # The hint uses words of Python, not of the command.
    assert "--" not in str(caught.value)


def test_errors_have_classes_hints_and_exit_codes() -> None:
    with pytest.raises(virpack.ModelError) as caught:
        virpack.Embedder("no/such/model/here")
    assert isinstance(caught.value, ValueError) and caught.value.exit_code == 1 and caught.value.hint
    with pytest.raises(virpack.ModelError, match="no layer 99"):
        virpack.Embedder(TINY, device="cpu", layer=99)
    with pytest.raises(virpack.DeviceError) as caught:
        virpack.Embedder(TINY, device="cpu", dtype="float16")
    assert isinstance(caught.value, RuntimeError) and "--" not in str(caught.value)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), str(copy), copy.exit_code) == (virpack.DeviceError, str(caught.value), 1)


def test_progress_and_messages(embedder: virpack.Embedder, caplog) -> None:
    told: list[virpack.Progress] = []
    records = [f"{'MKTLLVAGST' * (1 + i % 9)}" for i in range(500)]
    embedder.embed(records, progress=told.append)
    assert told[-1].records == 500 and told[-1].tokens > 0
    assert [progress.records for progress in told] == sorted(progress.records for progress in told)
    told.clear()
    virpack.embed(PROTEINS, TINY, device="cpu", progress=told.append)
    assert told[-1].done == 1.0 and told[-1].total_bytes == PROTEINS.stat().st_size
    with caplog.at_level(logging.INFO, logger="virpack"):
        virpack.embed(PROTEINS, TINY, device="cpu")
    assert any("tokens a batch" in record.message for record in caplog.records)
