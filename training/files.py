"""A model as the files that virpack loads, and back."""
import json
import pathlib

import torch
from safetensors.torch import load_file, save_file

import model as m
import reading as f


def tokenizer_json():
    """The codon tower's tokenizer: bases are cut into words of three, each a token; another letter makes a word unknown."""
    vocabulary = {name: i for i, name in enumerate(("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"))}
    level = [""]
    for _ in range(3):
        level = [word + letter for word in level for letter in "TCAG"]
        for word in level:
            vocabulary[word] = len(vocabulary)
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": name, **special} for name, i in list(vocabulary.items())[:5]],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Split", "pattern": {"Regex": "[ACGT]{1,3}"}, "behavior": "Isolated", "invert": False,
        },
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": "[UNK]", "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": True,
            "vocab": vocabulary, "merges": [],
        },
    }  # fmt: skip


def export(model, out):
    """Two model directories in float16, and a classifier a length in float32 as `virpack models convert` writes them."""
    out = pathlib.Path(out)
    codons = {k: v for k, v in model.nucleotide.state_dict().items() if k not in ("table", "bias")}
    table = model.nucleotide.table.detach()
    every = torch.zeros(len(table), f.N_VOCABULARY, table.shape[2], device=table.device)
    every[:, f.FIRST_CODON :], every[:, 0] = table[:, :64], table[:, f.UNKNOWN]
    codons |= {"embeddings.word_embeddings.weight": every, "embeddings.bias": model.nucleotide.bias.detach()}
    for name, tower, tensors in (
        ("peptide", model.peptide, model.peptide.state_dict()),
        ("nucleotide", model.nucleotide, codons),
    ):
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(tower.config(), indent=1) + "\n")
        tensors = {key: value.half().contiguous().cpu() for key, value in tensors.items()}
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (out / "nucleotide/tokenizer.json").write_text(json.dumps(tokenizer_json(), indent=0) + "\n")
    for length, head in model.heads.items():
        tensors = {k: v.float().contiguous().cpu() for k, v in head.state_dict().items() if "tracked" not in k}
        facts = {"format": "pt", "virpack.chunk_length": length, "virpack.features": "joint"}
        save_file(tensors, out / f"classifier_{length}.safetensors", facts)


def load(folder, device="cpu"):
    """The model in exported files, as float32."""
    folder = pathlib.Path(folder)
    p, n = (json.loads((folder / name / "config.json").read_text()) for name in ("peptide", "nucleotide"))
    heads = {path.stem.split("_")[1]: load_file(path) for path in sorted(folder.glob("classifier_*.safetensors"))}
    sizes = m.Sizes(
        p["num_hidden_layers"], p["hidden_size"], p["num_attention_heads"], n["num_hidden_layers"], n["hidden_size"],
        n["intermediate_size"], n["embedding_window"], n["window"], len(next(iter(heads.values()))["hidden_layer.bias"]),
    )  # fmt: skip
    model = m.Mini(sizes, tuple(map(int, heads)))
    tensors = {name: {k: v.float() for k, v in load_file(folder / name / "model.safetensors").items()} for name in ("peptide", "nucleotide")}
    model.peptide.load_state_dict(tensors["peptide"])
    codons = tensors["nucleotide"]
    every = codons.pop("embeddings.word_embeddings.weight")
    codons["table"] = torch.cat((every[:, f.FIRST_CODON :], every[:, :1]), 1)
    codons["bias"] = codons.pop("embeddings.bias")
    model.nucleotide.load_state_dict(codons)
    for length, own in heads.items():
        model.heads[length].load_state_dict(own, strict=False)
    return model.eval().to(device)
