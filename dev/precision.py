"""How far each precision is from the exact result: virpack beside plain PyTorch in the same precision, on the same weights and records.

    python3 dev/precision.py --virpack target/release/virpack --fasta RECORDS.fasta 8M=MODEL_DIRECTORY 650M 3B

A size with a directory is run with the weights there, one without with random weights of its shape, made here and kept
under --scratch. PyTorch runs transformers' EsmModel on the GPU, each record alone, float32 without TF32; its own float64 is
what both are compared with. Prints, for each precision, the largest and the mean relative difference (L2 over L2) and the
largest difference of a value over all records' mean embeddings. On a machine without a GPU, and with --device cpu --dtypes f32,bf16, both
run on the CPU. `f32-strict` stands beside PyTorch's float32 too. Needs torch, transformers and numpy.
"""
import argparse, gzip, os, subprocess
import numpy as np, torch
from transformers import EsmModel
import random_models

ALPHABET = "<cls> <pad> <eos> <unk> L A G V S E R T I D P K Q N F Y M H W C X B U Z O . - <null_1> <mask>".split()
DTYPES = {"f32": torch.float32, "f32-strict": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def records(path, most):
    """The first records, cut at 1,022 residues."""
    found = []
    for line in gzip.open(path, "rt") if path.endswith(".gz") else open(path):
        if line.startswith(">"):
            if len(found) == most:
                break
            found.append("")
        else:
            found[-1] += line.strip()
    return [sequence[:1022] for sequence in found]


@torch.no_grad()
def peer(directory, sequences, dtype):
    """Mean embeddings by transformers, each record alone; pooled in float64."""
    model = EsmModel.from_pretrained(directory, add_pooling_layer=False, dtype=torch.float32).to(dtype).to(random_models.DEVICE).eval()
    index = {letter: i for i, letter in enumerate(ALPHABET)}
    rows = []
    for sequence in sequences:
        ids = torch.tensor([[0] + [index.get(c, 3) for c in sequence] + [2]], device=random_models.DEVICE)
        hidden = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        rows.append(hidden[1:-1].double().mean(0).cpu().numpy())
    del model
    torch.cuda.empty_cache()
    return np.stack(rows)


def ours(binary, directory, fasta, dtype, scratch, device):
    out = os.path.join(scratch, f"precision_{dtype}.npy")
    subprocess.run([binary, "embed", fasta, "--model", directory, "-o", out, "--force", "-q", "--dtype", dtype, "--device", device], check=True)
    return np.load(out).astype(np.float64)


def difference(values, reference):
    relative = np.linalg.norm(values - reference, axis=1) / np.linalg.norm(reference, axis=1)
    return relative.max(), relative.mean(), np.abs(values - reference).max()


def main():
    a = argparse.ArgumentParser()
    a.add_argument("sizes", nargs="+"); a.add_argument("--virpack", required=True); a.add_argument("--fasta", required=True)
    a.add_argument("--records", type=int, default=100); a.add_argument("--scratch", default="/tmp"); a.add_argument("--device", default="cuda")
    a.add_argument("--dtypes", default=",".join(DTYPES), help="the CPU has f32,bf16")
    o = a.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    sequences = records(o.fasta, o.records)
    fasta = os.path.join(o.scratch, "precision.fasta")
    open(fasta, "w").write("".join(f">{i}\n{s}\n" for i, s in enumerate(sequences)))
    columns = f"{'largest':>10}{'mean':>10}{'max-abs':>10}"
    print(f"{'':16}{'virpack':>30}{'PyTorch':>30}   ratio (largest, mean)\n{'':16}{columns}{columns}")
    for size in o.sizes:
        name, _, directory = size.partition("=")
        directory = directory or random_models.esm2(name, o.scratch)
        reference = peer(directory, sequences, torch.float64)
        for dtype in o.dtypes.split(","):
            mine = difference(ours(o.virpack, directory, fasta, dtype, o.scratch, o.device), reference)
            theirs = difference(peer(directory, sequences, DTYPES[dtype]), reference)
            shown = "".join(f"{value:10.2e}" for value in mine + theirs)
            print(f"{name:5}{dtype:11}{shown}   {mine[0] / theirs[0]:.2f} {mine[1] / theirs[1]:.2f}", flush=True)


main()
