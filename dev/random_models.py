"""Models with random weights of the published shapes, and made-up proteins, for measuring where no weights are.

    python3 dev/random_models.py OUT [8M|35M|150M|650M|3B|dnabert|classifier|orf:RECORDS|prot:RECORDS ...]

Writes OUT/random_SIZE (ESM-2 as transformers saves it, float32), OUT/random_dnabert (12 layers of 768 with
--tokenizer FILE beside it), OUT/500_random.safetensors (a classifier of 768 + 2,560 values), OUT/orf.fasta (165-166
residues) and OUT/prot.fasta (log-normal as in UniProt, at most 1,022). Needs torch, transformers, safetensors and numpy.
"""
import argparse, json, os, shutil
import numpy as np, torch
from safetensors.torch import save_file
from transformers import EsmConfig, EsmModel

SHAPES = {"8M": (6, 320, 20), "35M": (12, 480, 20), "150M": (30, 640, 20), "650M": (33, 1280, 20), "3B": (36, 2560, 40)}
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def esm2(size, out):
    """The directory of ESM-2 with random weights; made where it is not there."""
    directory = os.path.join(out, f"random_{size}")
    if os.path.exists(os.path.join(directory, "config.json")):
        return directory
    layers, hidden, heads = SHAPES[size]
    config = EsmConfig(vocab_size=33, mask_token_id=32, pad_token_id=1, hidden_size=hidden, num_hidden_layers=layers,
                       num_attention_heads=heads, intermediate_size=4 * hidden, position_embedding_type="rotary",
                       token_dropout=True, emb_layer_norm_before=False, max_position_embeddings=1026,
                       hidden_act="gelu", layer_norm_eps=1e-5)
    torch.manual_seed(0)
    with torch.device(DEVICE):
        model = EsmModel(config, add_pooling_layer=False)
    for name, p in model.named_parameters():
        # Neither dying nor exploding, biases and norms not at their neutral values.
        if p.dim() > 1: torch.nn.init.normal_(p, std=p.shape[1] ** -0.5)
        else: torch.nn.init.normal_(p, mean=1.0 if name.endswith("weight") else 0.0, std=0.1)
    model.save_pretrained(directory)
    return directory


def dnabert(out, tokenizer, layers=12, hidden=768, heads=12, intermediate=3072, vocabulary=4096):
    """DNABERT-S's shape with random weights."""
    directory = os.path.join(out, "random_dnabert")
    os.makedirs(directory, exist_ok=True)
    torch.manual_seed(1)
    tensors = {}
    def linear(name, outputs, inputs, bias=True):
        tensors[f"{name}.weight"] = torch.randn(outputs, inputs) * inputs ** -0.5
        if bias: tensors[f"{name}.bias"] = torch.randn(outputs) * 0.1
    def norm(name):
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = 1 + 0.1 * torch.randn(hidden), 0.1 * torch.randn(hidden)
    linear("embeddings.word_embeddings", vocabulary, hidden, False)
    linear("embeddings.token_type_embeddings", 2, hidden, False)
    norm("embeddings.LayerNorm")
    for i in range(layers):
        layer = f"encoder.layer.{i}."
        linear(layer + "attention.self.Wqkv", 3 * hidden, hidden)
        linear(layer + "attention.output.dense", hidden, hidden)
        norm(layer + "attention.output.LayerNorm")
        linear(layer + "mlp.gated_layers", 2 * intermediate, hidden, False)
        linear(layer + "mlp.wo", hidden, intermediate)
        norm(layer + "mlp.layernorm")
    save_file(tensors, os.path.join(directory, "model.safetensors"))
    config = {"model_type": "bert", "architectures": ["BertModel"], "alibi_starting_size": 512, "hidden_act": "gelu",
              "hidden_size": hidden, "intermediate_size": intermediate, "layer_norm_eps": 1e-12, "num_attention_heads": heads,
              "num_hidden_layers": layers, "type_vocab_size": 2, "vocab_size": vocabulary}
    json.dump(config, open(os.path.join(directory, "config.json"), "w"))
    shutil.copy(tokenizer, os.path.join(directory, "tokenizer.json"))


def classifier(out, nucleotide=768, peptide=2560, hidden=512):
    """VirNucPro's classifier with random weights: a state dict, batch norm and all."""
    torch.manual_seed(2)
    features = nucleotide + peptide
    tensors = {"hidden_layer.weight": torch.randn(hidden, features) * features ** -0.5, "hidden_layer.bias": torch.zeros(hidden),
               "bn1.weight": torch.ones(hidden), "bn1.bias": torch.zeros(hidden), "bn1.running_mean": torch.zeros(hidden),
               "bn1.running_var": torch.ones(hidden), "output_layer.weight": torch.randn(2, hidden) * hidden ** -0.5,
               "output_layer.bias": torch.zeros(2)}
    save_file(tensors, os.path.join(out, "500_random.safetensors"))


def proteins(out, load, count):
    rng = np.random.default_rng(0)
    letters = np.frombuffer(b"ACDEFGHIKLMNPQRSTVWY", np.uint8)
    with open(os.path.join(out, f"{load}.fasta"), "w") as f:
        # Some ten million letters at a time: a file for many cards has thousands of millions.
        for first in range(0, count, 1 << 16):
            n = min(count - first, 1 << 16)
            lengths = np.where(rng.random(n) < .34, 166, 165) if load == "orf" else np.clip(np.exp(rng.normal(5.5, .65, n)), 30, 1022).astype(int)
            text = letters[rng.integers(0, 20, int(lengths.sum()), np.uint8)].tobytes().decode()
            ends = np.cumsum(lengths).tolist()
            f.write("".join(f">s{first + i}\n{text[e - m:e]}\n" for i, (m, e) in enumerate(zip(lengths.tolist(), ends))))


def main():
    a = argparse.ArgumentParser(); a.add_argument("out"); a.add_argument("what", nargs="+"); a.add_argument("--tokenizer")
    o = a.parse_args()
    os.makedirs(o.out, exist_ok=True)
    for what in o.what:
        name, _, count = what.partition(":")
        if name in SHAPES: esm2(name, o.out)
        elif name == "dnabert": dnabert(o.out, o.tokenizer)
        elif name == "classifier": classifier(o.out)
        else: proteins(o.out, name, int(count))


if __name__ == "__main__":
    main()
