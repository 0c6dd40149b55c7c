"""Makes fixtures/contigs/*.tsv: what the published task calls 1,000 random contigs, to compare `contigs.tsv` with.

    curl -LO https://raw.githubusercontent.com/broadinstitute/viral-pipelines/ca-kb_python/pipes/WDL/tasks/tasks_metagenomics.wdl
    python3 dev/contigs.py tasks_metagenomics.wdl

It needs pandas. The Python of the task `classify_virnucpro_contigs` is taken out of that file (commit 0bb49f6) and run as it is,
on a table of chunks as VirNucPro writes it. The scores come from a generator that the test of `calls/contigs.rs` has as well, so
that no table of chunks is kept.
"""

import pathlib
import subprocess
import sys
import tarfile
import tempfile

import numpy

FIXTURES = pathlib.Path(__file__).parent.parent / "fixtures" / "contigs"
CONTIGS = 1000
ONE = 1 << 24

# Least share of confident viral and non-viral chunks, least number of chunks.
RULES = {"default": (0.1, 0.1, 5), "other": (0.5, 0.75, 12)}


class SplitMix:
    """splitmix64."""

    def __init__(self, seed):
        self.state = seed

    def below(self, most):
        self.state = (self.state + 0x9E3779B97F4A7C15) % 2**64
        z = self.state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return (z ^ (z >> 31)) % most


def unit(value):
    """A float32 out of 24 bits, exact."""
    return numpy.float32(value / ONE)


def scores(kind, generator):
    """The highest scores of a chunk, others and virus."""
    half, high = ONE // 2, 11_744_051
    low = generator.below(half)
    if kind == 0:  # thresholds of the rule, and scores that are equal
        return [numpy.float32(generator.below(21) / 20) for _ in range(2)]
    if kind == 1:  # viral
        return [unit(low // 2), unit(half + generator.below(half))]
    if kind == 2:  # not viral
        return [unit(half + generator.below(half)), unit(low)]
    if kind == 3:  # ambiguous
        return [unit(high + generator.below(ONE - high)) for _ in range(2)]
    return [unit(generator.below(ONE)) for _ in range(2)]


def contigs():
    """Names, and the highest scores of their chunks."""
    generator = SplitMix(19)
    for number in range(1, CONTIGS + 1):
        most = [6, 40, 300][(number % 9 == 0) + (number % 3 == 0)]
        count = 1 + generator.below(most)
        kind, mixed = generator.below(5), generator.below(2)
        chunks = [scores(generator.below(5) if mixed else kind, generator) for _ in range(count)]
        yield f"NODE_{number}_length_{count * 500}_cov_{generator.below(1000)}.5", chunks


def published(wdl):
    """The Python of the task."""
    task = pathlib.Path(wdl).read_text().split("task classify_virnucpro_contigs {", 1)[1]
    return task.split("python3<<CODE\n", 1)[1].split("\nCODE\n", 1)[0]


def main(wdl):
    rows = [
        (f"{name}_chunk_{place}", virus >= other, other, virus)
        for name, chunks in contigs()
        for place, (other, virus) in enumerate(chunks, 1)
    ]
    lines = ["Modified_ID\tIs_Virus\tmax_score_0\tmax_score_1"]
    lines += ["\t".join(map(str, row)) for row in sorted(rows)]
    for name, (viral, nonviral, chunks) in RULES.items():
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            table = folder / "x.virnucpro_highestscore.csv"
            table.write_text("\n".join(lines) + "\n")
            with tarfile.open(folder / "x.virnucpro.tgz", "w:gz") as tar:
                tar.add(table, table.name)
            inputs = {
                "virnucpro_tgz": folder / "x.virnucpro.tgz",
                "out_filename": FIXTURES / f"{name}.tsv",
                "id_col": "Modified_ID",
                "id_pattern": r"(NODE_\d+)",
                "min_viral_prop": viral,
                "min_nonviral_prop": nonviral,
                "min_chunks": chunks,
            }
            code = published(wdl)
            for key, value in inputs.items():
                code = code.replace(f"~{{{key}}}", str(value))
            FIXTURES.mkdir(exist_ok=True)
            subprocess.run([sys.executable, "-c", code], check=True)


if __name__ == "__main__":
    main(sys.argv[1])
