"""VirNucPro's whole pipeline in plain Python and PyTorch, one sequence at a time, to hold `virpack predict` against.

    PYTHON dev/predict.py FASTA LENGTH NUCLEOTIDE_MODEL PROTEIN_MODEL CLASSIFIER OUT
        writes OUT/prediction_results.txt and OUT/prediction_results_highestscore.csv as VirNucPro lays them out; the
        models are directories, CLASSIFIER is made for them where it is not there
    PYTHON dev/predict.py --compare DIRECTORY DIRECTORY
        compares two such directories row by row: the same rows, labels and verdicts, scores within 1e-4
    PYTHON dev/predict.py --goldens
        makes fixtures/predict anew; nucleotides.tsv there has what VirNucPro has not, the scores of
        chunks without an open frame by a classifier of their nucleotides alone

Chunks and frames are those of dev/frames.py. ESM-2 is that of `transformers`, MosaicBERT is written out below from its
description, the classifier is saved as VirNucPro's is: a whole module pickled with its class under `__main__`. Needs
torch, transformers, tokenizers, safetensors, numpy.
"""
import json
import math
import os
import pathlib
import random
import re
import sys

import numpy as np
import torch
from torch import nn

import frames

torch.set_grad_enabled(False)
ROOT = pathlib.Path(__file__).parents[1]
ALPHABET = "<cls> <pad> <eos> <unk> L A G V S E R T I D P K Q N F Y M H W C".split()


class MLPClassifier(nn.Module):
    """VirNucPro's classifier."""

    def __init__(self, features, hidden):
        super().__init__()
        self.hidden_layer = nn.Linear(features, hidden)
        self.bn1 = nn.BatchNorm1d(hidden)
        self.output_layer = nn.Linear(hidden, 2)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return self.output_layer(self.dropout(torch.relu(self.bn1(self.hidden_layer(x)))))


class MosaicBert:
    """DNABERT-S: ALiBi, gated GELU, a norm after each step."""

    def __init__(self, folder):
        from safetensors.torch import load_file
        from tokenizers import Tokenizer

        folder = pathlib.Path(folder)
        config = json.loads((folder / "config.json").read_text())
        tensors = {n.removeprefix("bert."): t.float() for n, t in load_file(folder / "model.safetensors").items()}
        self.tensors, self.heads = tensors, config["num_attention_heads"]
        self.layers, self.eps = config["num_hidden_layers"], config["layer_norm_eps"]
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.slopes = torch.tensor(slopes(self.heads))

    def linear(self, name, x):
        return nn.functional.linear(x, self.tensors[f"{name}.weight"], self.tensors.get(f"{name}.bias"))

    def norm(self, name, x):
        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        return nn.functional.layer_norm(x, x.shape[-1:], weight, bias, self.eps)

    def mean(self, sequence):
        ids = torch.tensor(self.tokenizer.encode(sequence).ids)
        words, types = (self.tensors[f"embeddings.{t}_embeddings.weight"] for t in ("word", "token_type"))
        x = self.norm("embeddings.LayerNorm", words[ids] + types[0])
        places = torch.arange(len(ids))
        bias = -self.slopes[:, None, None] * (places[:, None] - places).abs()
        for layer in range(self.layers):
            at = f"encoder.layer.{layer}"
            qkv = self.linear(f"{at}.attention.self.Wqkv", x)
            q, k, v = qkv.view(len(ids), 3, self.heads, -1).permute(1, 2, 0, 3)
            weights = (q @ k.transpose(1, 2) / math.sqrt(q.shape[-1]) + bias).softmax(-1)
            attended = (weights @ v).transpose(0, 1).reshape(x.shape)
            x = self.norm(f"{at}.attention.output.LayerNorm", x + self.linear(f"{at}.attention.output.dense", attended))
            gate, value = self.linear(f"{at}.mlp.gated_layers", x).chunk(2, -1)
            x = self.norm(f"{at}.mlp.layernorm", x + self.linear(f"{at}.mlp.wo", nn.functional.gelu(gate) * value))
        return x.mean(0)


def slopes(heads):
    """ALiBi's, as its authors deal them out."""
    if math.log2(heads).is_integer():
        return [2 ** (-8 * (i + 1) / heads) for i in range(heads)]
    lower = 2 ** int(math.log2(heads))
    return slopes(lower) + slopes(2 * lower)[::2][: heads - lower]


class Esm2:
    def __init__(self, folder):
        from transformers import EsmModel

        self.model = EsmModel.from_pretrained(folder, add_pooling_layer=False, attn_implementation="eager")
        self.model = self.model.float().eval()

    def mean(self, peptide):
        ids = torch.tensor([[0, *(ALPHABET.index(residue) for residue in peptide), 2]])
        return self.model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0, 1:-1].mean(0)


def features(fasta, length, nucleotide_model, protein_model):
    """Names and features of every open frame."""
    nucleotide_model, protein_model = MosaicBert(nucleotide_model), Esm2(protein_model)
    names, rows = [], []
    for name, sequence in frames.read(fasta):
        for number, (start, end) in enumerate(frames.chunks(len(sequence), length), 1):
            for frame, nucleotides, peptide in frames.frames(sequence[start:end]):
                names.append(f"{name}_chunk_{number}{frame}")
                rows.append(torch.cat((nucleotide_model.mean(nucleotides), protein_model.mean(peptide))))
    return names, torch.stack(rows)


def classifier_for(rows, hidden, path):
    """A classifier whose running statistics are those of the features, and whose scores are spread."""
    torch.manual_seed(7)
    made = MLPClassifier(rows.shape[1], hidden).eval()
    activations = made.hidden_layer(rows)
    made.bn1.running_mean.copy_(activations.mean(0))
    made.bn1.running_var.copy_(activations.var(0))
    made.bn1.weight.copy_(1 + 0.3 * torch.randn(hidden))
    made.bn1.bias.copy_(0.3 * torch.randn(hidden))
    made.output_layer.weight.copy_(torch.randn(2, hidden) * (3 / hidden**0.5))
    logits = made(rows)
    made.output_layer.bias.sub_(logits.mean(0))
    torch.save(made, path)


def write(names, scores, out):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    # VirNucPro groups by name alone, and makes one row of records whose ids come twice; here each record has its own.
    groups, frames_seen, record = {}, set(), 0
    with open(out / "prediction_results.txt", "w") as results:
        results.write("Sequence_ID\tPrediction\tscore1\tscore2\n")
        for name, (others, virus) in zip(names, scores):
            label = "virus" if virus > others else "others"
            results.write(f"{name}\t{label}\t{others!s}\t{virus!s}\n")
            if name in frames_seen:
                frames_seen, record = set(), record + 1
            frames_seen.add(name)
            groups.setdefault((name[:-2], record), []).append((others, virus))
    with open(out / "prediction_results_highestscore.csv", "w") as highest:
        highest.write("Modified_ID\tIs_Virus\n")
        for (name, _), both in sorted(groups.items()):
            verdict = max(virus for _, virus in both) >= max(others for others, _ in both)
            quoted = '"' + name.replace('"', '""') + '"' if '"' in name else name
            highest.write(f"{quoted}\t{verdict}\n")


def run(fasta, length, nucleotide_model, protein_model, classifier, out, hidden=512):
    names, rows = features(fasta, int(length), nucleotide_model, protein_model)
    if not os.path.exists(classifier):
        classifier_for(rows, hidden, classifier)
    model = torch.load(classifier, weights_only=False).eval()
    scores = torch.softmax(model(rows), 1).numpy()
    assert scores.dtype == np.float32
    write(names, scores, out)
    print(f"{out}: {len(names)} frames, {(scores[:, 1] > scores[:, 0]).sum()} of them viral")


def compare(ours, theirs):
    rows = [[line.split("\t") for line in open(f"{d}/prediction_results.txt")] for d in (ours, theirs)]
    assert len(rows[0]) == len(rows[1]), f"{len(rows[0])} rows and {len(rows[1])}"
    worst = 0
    for a, b in zip(*rows):
        assert a[:2] == b[:2], f"{a} and {b}"
        if a[0] != "Sequence_ID":
            worst = max(worst, *(abs(float(x) - float(y)) for x, y in zip(a[2:], b[2:])))
    verdicts = [open(f"{d}/prediction_results_highestscore.csv").read() for d in (ours, theirs)]
    assert verdicts[0] == verdicts[1], "the verdicts on chunks differ"
    print(f"{len(rows[0]) - 1} frames: labels and verdicts equal, scores within {worst:.1e}")
    assert worst <= 1e-4


def goldens():
    folder = ROOT / "fixtures/predict"
    folder.mkdir(parents=True, exist_ok=True)
    random.seed(11)
    sense = [codon for codon, residue in frames.CODE.items() if residue != "*"]
    gene = lambda n: "".join(random.choices(sense, k=n // 3 + 1))[:n]
    noise = lambda n: "".join(random.choices("ACGT", k=n))
    cases = [
        ("genome", gene(1400) + noise(700) + gene(1100) + "N" * 650 + gene(900)),
        ("short", gene(200)),
        ("lower", gene(450).lower()),
        ("rna", gene(320).replace("T", "U")),
        ("closed", "TAATTAATTAA" * 60),
        ("only_n", "N" * 700),
        ("two", "AC"),
        ("empty", ""),
        ('a"quote', gene(310)),
        ("again", gene(280)),
        ("again", gene(290)),
        ("ambiguous", "".join(random.choice("NRYKM") if random.random() < 0.05 else c for c in gene(640))),
    ]
    cases.append(("again", cases[9][1]))
    with open(folder / "input.fa", "w") as fasta:
        for name, sequence in cases:
            fasta.write(f">{name} of dev/predict.py\n")
            fasta.writelines(sequence[i : i + 70] + "\n" for i in range(0, len(sequence), 70))
    models = ROOT / "fixtures/dnabert_tiny/8", ROOT / "examples/esm2_tiny"
    classifier = folder / "300_model.pth"
    classifier.unlink(missing_ok=True)
    run(folder / "input.fa", 300, *models, classifier, folder, hidden=24)
    goldens_without_frames(folder, models[0])


def goldens_without_frames(folder, nucleotide_model):
    """The classifier of nucleotides alone, and the higher of its scores of both strands of the chunks without an open frame
    that have a codon."""
    nucleotide_model = MosaicBert(nucleotide_model)
    names, rows = [], []
    for name, sequence in frames.read(folder / "input.fa"):
        for number, (start, end) in enumerate(frames.chunks(len(sequence), 300), 1):
            chunk = sequence[start:end].upper().replace("U", "T")
            if not any(frames.frames(chunk)) and re.search("[ACGT]{3}", chunk):
                names.append(f"{name}_chunk_{number}")
                rows += [nucleotide_model.mean(strand) for strand in (chunk, chunk.translate(frames.COMPLEMENT)[::-1])]
    rows = torch.stack(rows)
    classifier = folder / "300_nucleotide_model.pth"
    classifier_for(rows, 24, classifier)
    scores = torch.softmax(torch.load(classifier, weights_only=False).eval()(rows), 1)
    scores = scores.unflatten(0, (-1, 2)).amax(1).numpy()
    with open(folder / "nucleotides.tsv", "w") as out:
        out.writelines(f"{name}\t{others!s}\t{virus!s}\n" for name, (others, virus) in zip(names, scores))


if __name__ == "__main__":
    if sys.argv[1:] == ["--goldens"]:
        goldens()
    elif sys.argv[1] == "--compare":
        compare(*sys.argv[2:])
    else:
        run(*sys.argv[1:])
