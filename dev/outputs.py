"""Every output of `virpack embed`, read back with the tools that people use, must hold the same values.

    pip install numpy pyarrow h5py safetensors
    cargo build --release
    python3 dev/outputs.py target/release/virpack

Runs the binary on hostile records (ids that come twice, that hold slashes, quotes and letters beyond ASCII, records
without a residue, records that are cut) with examples/esm2_tiny, in every format, type and pooling that goes together,
and prints what it compared. `.npy` in float32 is what the pooled others are compared with, exactly: float16 and
bfloat16 by rounding it here. Where every residue keeps its row, the mean over them must be the pooled row, and all
formats must agree to the bit. Given more files (an index of shards, a large `.h5`), it reads those instead:

    python3 dev/outputs.py --same a.safetensors.index.json b.h5 c.parquet
"""

import csv
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import safe_open

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT / "examples" / "esm2_tiny"
RECORDS = [("same", "MKTAYIAK"), ("same", "MKTAYIAKQR"), ("a/b/../c", "GGSTPEDW"), ("__metadata__", "MK"),
           ('quo"te\\', "LLVGGTS"), ("Ωé", "HNCFVMKT"), (".", "WWW"), ("none", ""), ("x" * 70_000, "AC"),
           ("cut", "MKTAYIAKQRLLVGGTSPED" * 8),
           ('"open', "MKJJ-T"), ("odd", "M.K-J")]
RECORDS += [(f"r{i}", "MKTAYIAKQRLLVGGTSPEDWHNCFV"[: 1 + i % 26] * (1 + i % 3)) for i in range(600)]


def ids_beside(path):
    """Of an index of shards the table is that of the output as it was named."""
    table = path.with_name(path.name.removesuffix(".index.json") + ".records.tsv")
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    frame = pd.read_csv(table, sep="\t", dtype={"id": str}, keep_default_na=False)
    assert [row["row"] for row in rows] == [str(i) for i in range(len(rows))] and len(frame) == len(rows)
    assert frame["id"].to_list() == [row["id"] for row in rows]
    for row, (_, sequence) in zip(rows, expected_records(rows)):
        if sequence is not None:
            kept = sequence[:100]
            counts = [str(len(sequence)), str(len(sequence) > 100), str(kept.count("J")), str(kept.count("-") + kept.count("."))]
            assert [row[column] for column in ["length", "truncated", "unknown", "gaps"]] == counts, row
    return [row["id"] for row in rows]


def expected_records(rows):
    """The records of this script's own input; of another one nothing is known."""
    own = [record for record in RECORDS if record[1]]
    return own if [row["id"] for row in rows] == [i for i, _ in own] else [(row["id"], None) for row in rows]


def bfloat16(path, name):
    """numpy has no bfloat16, and safetensors for numpy refuses it: the bits by hand, widened."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    start, end = header[name]["data_offsets"]
    bits = np.frombuffer(data[8 + size + start : 8 + size + end], "<u2").astype(np.uint32) << 16
    return bits.view(np.float32).reshape(header[name]["shape"])


def tensors(path):
    """Tensors of one file, or of all shards of an index, in the order of their names."""
    if path.suffix == ".json":
        for file in sorted(set(json.loads(path.read_text())["weight_map"].values())):
            yield from tensors(path.with_name(file))
        return
    with safe_open(path, framework="np") as file:
        for name in sorted(file.keys()):
            is_bf16 = file.get_slice(name).get_dtype() == "BF16"
            yield name, bfloat16(path, name) if is_bf16 else file.get_tensor(name)


def read(path, residues):
    """Ids, an iterator over the values of each record, and facts about the run."""
    if path.suffix == ".npy":
        about = json.loads(path.with_name(path.name + ".run.json").read_text())["metadata"]
        return ids_beside(path), iter(np.load(path, mmap_mode="r")), about
    if path.suffix == ".parquet":
        file = pq.ParquetFile(path)
        about = {k.decode(): v.decode() for k, v in file.schema_arrow.metadata.items()}
        width = file.schema_arrow.field("embedding").type
        assert "fixed_size_list" in str(width), width
        ids = file.read(["id"])["id"].to_pylist()

        def rows():
            for batch in file.iter_batches(256, columns=["embedding"]):
                column = batch["embedding"]
                for i in range(len(column)):
                    flat = column[i].values
                    if residues:
                        hidden = flat.type.list_size
                        yield flat.flatten().to_numpy(zero_copy_only=False).reshape(-1, hidden)
                    else:
                        yield flat.to_numpy(zero_copy_only=False)

        return ids, rows(), about
    if path.suffix == ".arrows":
        table = pa.ipc.open_stream(path).read_all()
        about = {k.decode(): v.decode() for k, v in table.schema.metadata.items()}
        assert str(table.schema.field("embedding").type).count("fixed_size_list") == 1, table.schema
        rows = table["embedding"].to_pylist()
        half = "halffloat" in str(table.schema.field("embedding").type)
        return table["id"].to_pylist(), (np.array(row, np.float16 if half else np.float32) for row in rows), about
    if path.suffix == ".h5":
        file = h5py.File(path)
        ids = list(file["ids"].asstr()[:])
        assert file["truncated"].dtype == bool and len(file["lengths"]) == len(ids)
        assert len(file["unknown"]) == len(file["gaps"]) == len(ids)
        if residues:
            assert len(file["records"]) == len(ids)
            # The library finds every group by its name, and lists them in order.
            assert all(name == f"{i:012}" for i, name in enumerate(file["records"]))
            rows = (file[f"records/{i:012}/embeddings"][:] for i in range(len(ids)))
        else:
            rows = iter(file["embeddings"])
        return ids, rows, dict(file.attrs)
    first = path
    if path.suffix == ".json":
        about = json.loads(path.read_text())["metadata"]
        first = path.with_name(sorted(set(json.loads(path.read_text())["weight_map"].values()))[0])
    with safe_open(first, framework="np") as file:
        about = file.metadata()
    values = (value for _, value in tensors(path))
    rows = values if residues else (row for table in values for row in table)
    return ids_beside(path), rows, about


def rounded(values, dtype):
    if dtype == "f16":
        return values.astype(np.float16)
    if dtype == "bf16":
        bits = values.view(np.uint32)
        return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).view(np.float32)
    return values


def embed(virpack, folder, name, *options):
    command = [virpack, "embed", folder / "records.fasta", "-m", MODEL, "-o", folder / name, "-q", "--device", "cpu",
               "--max-length", "100", *options]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return folder / name


def all_formats(virpack):
    sha256 = hashlib.sha256((MODEL / "model.safetensors").read_bytes()).hexdigest()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "records.fasta").write_text("".join(f">{i}\n{s}\n" for i, s in RECORDS), encoding="utf-8")
        expected_ids = [i for i, s in RECORDS if s]
        pooled = np.load(embed(virpack, folder, "reference.npy"))
        tables = None
        for ending, dtypes in [("npy", ["f32", "f16"]), ("parquet", ["f32", "f16"]), ("arrows", ["f32", "f16"]), ("h5", ["f32", "f16"]),
                               ("safetensors", ["f32", "f16", "bf16"])]:
            for dtype in dtypes:
                for residues in [False, True] if ending != "npy" else [False]:
                    pool = "none" if residues else "mean"
                    path = embed(virpack, folder, f"{ending}-{pool}-{dtype}.{ending}", "--pool", pool, "--dtype-out", dtype)
                    ids, rows, about = read(path, residues)
                    rows = list(rows)
                    assert ids == expected_ids, "ids"
                    assert about["virpack.model"] == str(MODEL) and about["virpack.model_sha256"] == sha256, about
                    assert about["virpack.pool"] == pool and "virpack.version" in about, about
                    if residues:
                        assert [len(row) for row in rows] == [min(len(s), 100) for _, s in RECORDS if s]
                        if tables is None:
                            tables = rows
                            worst = max(np.abs(t.astype(np.float64).mean(0) - p).max() for t, p in zip(rows, pooled))
                            assert worst < 1e-5, worst
                            print(f"mean over the residues against the pooled row: {worst:.1e} off at most")
                        assert all(np.array_equal(row, rounded(t, dtype)) for row, t in zip(rows, tables))
                    else:
                        assert np.array_equal(np.stack(rows), rounded(pooled, dtype))
                    print(f"{path.name}: {len(rows)} records, {sum(row.size for row in rows)} values, {rows[0].dtype}: equal")


def same(paths):
    """Files of one run in several formats, every residue with its row: the same ids, and the same values to the bit."""
    opened = [read(path, True) for path in paths]
    assert all(ids == opened[0][0] for ids, _, _ in opened), "ids"
    count = values = 0
    for rows in zip(*(rows for _, rows, _ in opened), strict=True):
        assert all(np.array_equal(row, rows[0]) for row in rows), count
        count, values = count + 1, values + rows[0].size
    assert count == len(opened[0][0])
    print(f"{', '.join(path.name for path in paths)}: {count} records, {values} values: equal")


if __name__ == "__main__":
    if sys.argv[1] == "--same":
        same([pathlib.Path(path) for path in sys.argv[2:]])
    else:
        all_formats(sys.argv[1])
