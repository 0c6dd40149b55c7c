"""Makes BAM files for tests, and compares what virpack says of them with what it says of their FASTQ.

    python3 dev/bam.py --fixture crates/virpack-seq/tests/fixtures/reads.bam
    python3 dev/bam.py --verdicts target/release/virpack [--reads 10000]

It needs samtools. The reads are made up: half of them out of one made-up genome, so that they have places to be aligned to.
"""

import argparse
import pathlib
import random
import subprocess
import tempfile

LINE_END = b"\n"


def letters(count, generator):
    return "".join(generator.choices("ACGT", k=count))


def row(*columns):
    return "\t".join(map(str, columns))


def header(genome):
    return [f"@HD\tVN:1.6\tSO:unsorted\n@SQ\tSN:chr1\tLN:{len(genome)}"]


def fixture():
    """One record of each kind that the reader tells apart."""
    genome = letters(2000, random.Random(7))
    q = "I"
    rows = [
        ("forward", 0, "chr1", 11, 60, "20M", "*", 0, 0, genome[10:30], q * 20),
        ("reverse", 16, "chr1", 101, 60, "21M", "*", 0, 0, genome[100:121], q * 21),
        ("reverse", 272, "chr1", 501, 0, "21M", "*", 0, 0, "*", "*"),
        ("reverse", 2064, "chr1", 701, 0, "11H10M", "*", 0, 0, genome[700:710], q * 10),
        ("pair", 99, "chr1", 11, 60, "12M", "=", 101, 102, genome[10:22], q * 12),
        ("pair", 147, "chr1", 101, 60, "12M", "=", 11, -102, genome[100:112], q * 12),
        ("unmapped", 4, "*", 0, 0, "*", "*", 0, 0, "ACGTNRYSWKMBDHV", q * 15),
        ("unmapped_pair", 77, "*", 0, 0, "*", "*", 0, 0, "ACGTT", "IIIII"),
        ("unmapped_pair", 141, "*", 0, 0, "*", "*", 0, 0, "GGGTT", "IIIII"),
        ("bare", 4, "*", 0, 0, "*", "*", 0, 0, "*", "*"),
        ("clipped", 0, "chr1", 31, 60, "5H8M", "*", 0, 0, genome[30:38], q * 8),
        ("failed", 512, "chr1", 41, 60, "9M", "*", 0, 0, genome[40:49], q * 9),
        ("duplicate", 1024, "chr1", 51, 60, "9M", "*", 0, 0, genome[50:59], q * 9),
    ]
    return header(genome) + [row(*columns) for columns in rows]


def aligned(count, paired):
    """Reads of 300 bases, either strand, with a secondary alignment behind every tenth."""
    generator = random.Random(13)
    genome = letters(100_000, generator)
    lines = header(genome)
    for number in range(count):
        name = f"read{number // 2 if paired else number}"
        mate = (0x1 | (0x80 if number % 2 else 0x40)) if paired else 0
        start = generator.randrange(len(genome) - 300)
        reverse = 16 * generator.randrange(2)
        bases = genome[start : start + 300]
        lines.append(row(name, mate | reverse, "chr1", start + 1, 60, "300M", "*", 0, 0, bases, "I" * 300))
        if number % 10 == 0:
            lines.append(row(name, mate | 256, "chr1", 1, 0, "300M", "*", 0, 0, "*", "*"))
    return lines


def unaligned(count):
    generator = random.Random(17)
    rows = (row(f"read{i}", 4, "*", 0, 0, "*", "*", 0, 0, letters(300, generator), "I" * 300) for i in range(count))
    return ["@HD\tVN:1.6"] + list(rows)


def write(path, lines):
    text = "\n".join(lines) + "\n"
    subprocess.run(["samtools", "view", "-b", "--no-PG", "-o", path, "-"], input=text, text=True, check=True)


def verdicts(virpack, count):
    kinds = {"unaligned": unaligned(count), "aligned": aligned(count, False), "paired": aligned(count, True)}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for kind, lines in kinds.items():
            bam, fastq = folder / f"{kind}.bam", folder / f"{kind}.fastq"
            write(bam, lines)
            with open(fastq, "w") as out:
                subprocess.run(["samtools", "fastq", bam], stdout=out, stderr=subprocess.DEVNULL, check=True)
            tables = []
            for number, path in enumerate([bam, fastq]):
                out = folder / f"{kind}{number}"
                subprocess.run([virpack, "predict", path, "-o", out, "-q"], check=True)
                names = ["sequences.tsv", "chunks.tsv", "frames.tsv", "viral.fna"]
                tables.append([(out / name).read_bytes() for name in names])
            assert tables[0] == tables[1], kind
            print(f"{kind}: {tables[0][0].count(LINE_END) - 1} reads, the same tables, byte for byte")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fixture", type=pathlib.Path)
    parser.add_argument("--verdicts", type=pathlib.Path)
    parser.add_argument("--reads", type=int, default=10_000)
    parser.add_argument("--write", nargs=2, metavar=("KIND", "FILE"), help="unaligned, aligned or paired, to a BAM file")
    arguments = parser.parse_args()
    if arguments.fixture:
        write(arguments.fixture, fixture())
    if arguments.write:
        kind, path = arguments.write
        write(path, unaligned(arguments.reads) if kind == "unaligned" else aligned(arguments.reads, kind == "paired"))
    if arguments.verdicts:
        verdicts(arguments.verdicts.resolve(), arguments.reads)
