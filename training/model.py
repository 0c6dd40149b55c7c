"""The two towers and the heads, in plain PyTorch, with the parameter names of the files that they are written to.

`Esm2` is Hugging Face's EsmModel (rotary positions, pre-norm, token dropout, no pooler); `MosaicBert` is DNABERT-S's
kind (ALiBi, gated GELU, norms after each step); `Head` is VirNucPro's classifier.
"""
import dataclasses
import json
import math
import pathlib

import torch
from torch import nn
from torch.nn import functional as F

import sequences as seq

# [UNK] [CLS] [SEP] [PAD] [MASK], then all words of one to six bases, shorter ones first, in the order of TCAG.
WORD = 6
N_UNK, N_CLS, N_SEP, N_PAD, N_MASK = range(5)
WORD_START = [None, *(5 + sum(4**i for i in range(1, n)) for n in range(1, WORD + 2))]
N_VOCABULARY = WORD_START[WORD + 1]


@dataclasses.dataclass(frozen=True)
class Sizes:
    peptide_layers: int = 4
    peptide_hidden: int = 192
    peptide_heads: int = 6
    nucleotide_layers: int = 3
    nucleotide_hidden: int = 128
    nucleotide_heads: int = 4
    nucleotide_intermediate: int = 256
    head: int = 256

    def flops(self, length=500, open_frames=0.74, without=0.28):
        """Multiplications and additions of a chunk: a frame has a peptide and its nucleotides, a chunk without one its own."""
        tokens, words = length // 3 + 1, math.ceil(length / WORD) + 2
        d, n = self.peptide_hidden, self.nucleotide_hidden
        peptide = self.peptide_layers * (24 * d * d + 4 * tokens * d)
        nucleotide = self.nucleotide_layers * (8 * n * n + 6 * n * self.nucleotide_intermediate + 4 * words * n)
        head = 2 * self.head * (d + n)
        return open_frames * (tokens * peptide + head) + (open_frames + without) * words * nucleotide


SMALL = Sizes(2, 32, 2, 1, 32, 2, 64, 32)


def heads_of(x, heads):
    """`[n, tokens, hidden]` to `[n, heads, tokens, hidden / heads]`."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


class EsmLayer(nn.Module):
    def __init__(self, hidden, heads, dropout):
        super().__init__()
        self.heads, self.rate = heads, dropout
        self.attention = nn.ModuleDict(
            {
                "self": nn.ModuleDict({name: nn.Linear(hidden, hidden) for name in ("query", "key", "value")}),
                "output": nn.ModuleDict({"dense": nn.Linear(hidden, hidden)}),
                "LayerNorm": nn.LayerNorm(hidden, 1e-5),
            }
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(hidden, 4 * hidden)})
        self.output = nn.ModuleDict({"dense": nn.Linear(4 * hidden, hidden)})
        self.LayerNorm = nn.LayerNorm(hidden, 1e-5)

    def drop(self, x):
        return F.dropout(x, self.rate, self.training)

    def forward(self, x, bias, rotary):
        own = self.attention["self"]
        h = self.attention["LayerNorm"](x)
        q, k, v = (heads_of(own[name](h), self.heads) for name in ("query", "key", "value"))
        q, k = (turn(y, *rotary) for y in (q, k))
        h = F.scaled_dot_product_attention(q, k, v.to(q.dtype), bias)
        x = x + self.drop(self.attention["output"]["dense"](h.transpose(1, 2).flatten(2)))
        h = F.gelu(self.intermediate["dense"](self.LayerNorm(x)))
        return x + self.drop(self.output["dense"](h))


def turn(x, cos, sin):
    """Rotary positions; angles and products in float32 at any precision."""
    left, right = x.float().chunk(2, -1)
    return (x * cos + torch.cat((-right, left), -1) * sin).to(x.dtype)


class Esm2(nn.Module):
    """Ids `[n, tokens]`, padded, to hidden states after the final norm."""

    def __init__(self, layers, hidden, heads, dropout=0.1):
        super().__init__()
        self.settings = (layers, hidden, heads)
        self.embeddings = nn.ModuleDict({"word_embeddings": nn.Embedding(len(seq.ALPHABET), hidden)})
        self.encoder = nn.ModuleDict(
            {
                "layer": nn.ModuleList(EsmLayer(hidden, heads, dropout) for _ in range(layers)),
                "emb_layer_norm_after": nn.LayerNorm(hidden, 1e-5),
            }
        )
        width = hidden // heads
        frequencies = 1.0 / (10000 ** (torch.arange(0, width, 2).float() / width))
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, ids):
        here = ids != seq.PAD
        masked = ids == seq.MASK
        x = self.embeddings["word_embeddings"](ids).masked_fill((masked | ~here)[..., None], 0)
        # Token dropout: scaled as in training, where 12 % of the tokens were <mask>.
        x = x * (0.88 / (1 - masked.sum(1) / here.sum(1)))[:, None, None]
        angles = torch.outer(torch.arange(ids.shape[1], device=ids.device).float(), self.frequencies).repeat(1, 2)
        rotary = angles.cos(), angles.sin()
        bias = here[:, None, None, :]
        for layer in self.encoder["layer"]:
            x = layer(x, bias, rotary)
        return self.encoder["emb_layer_norm_after"](x)

    @staticmethod
    def pool(x, ids):
        """The mean over residues."""
        inner = (ids != seq.PAD) & (ids != seq.CLS) & (ids != seq.EOS)
        return (x.float() * inner[..., None]).sum(1) / inner.sum(1, keepdim=True)

    def mean(self, ids):
        return self.pool(self(ids), ids)

    def config(self):
        layers, hidden, heads = self.settings
        return {
            "architectures": ["EsmModel"], "model_type": "esm", "vocab_size": 33, "hidden_size": hidden,
            "num_hidden_layers": layers, "num_attention_heads": heads, "intermediate_size": 4 * hidden,
            "hidden_act": "gelu", "layer_norm_eps": 1e-5, "position_embedding_type": "rotary",
            "max_position_embeddings": 1026, "token_dropout": True, "emb_layer_norm_before": False,
            "mask_token_id": seq.MASK, "pad_token_id": seq.PAD, "attention_probs_dropout_prob": 0.0,
            "hidden_dropout_prob": 0.0, "initializer_range": 0.02, "torch_dtype": "float16",
        }  # fmt: skip


class MosaicLayer(nn.Module):
    def __init__(self, hidden, heads, intermediate, dropout):
        super().__init__()
        self.heads, self.rate = heads, dropout
        norm = lambda: nn.LayerNorm(hidden, 1e-12)  # noqa: E731
        output = nn.ModuleDict({"dense": nn.Linear(hidden, hidden), "LayerNorm": norm()})
        self.attention = nn.ModuleDict(
            {"self": nn.ModuleDict({"Wqkv": nn.Linear(hidden, 3 * hidden)}), "output": output}
        )
        self.mlp = nn.ModuleDict(
            {
                "gated_layers": nn.Linear(hidden, 2 * intermediate, bias=False),
                "wo": nn.Linear(intermediate, hidden),
                "layernorm": norm(),
            }
        )

    def drop(self, x):
        return F.dropout(x, self.rate, self.training)

    def forward(self, x, bias):
        q, k, v = (heads_of(y, self.heads) for y in self.attention["self"]["Wqkv"](x).chunk(3, -1))
        h = F.scaled_dot_product_attention(q, k, v, bias.to(q.dtype))
        output = self.attention["output"]
        x = output["LayerNorm"](x + self.drop(output["dense"](h.transpose(1, 2).flatten(2))))
        gate, value = self.mlp["gated_layers"](x).chunk(2, -1)
        return self.mlp["layernorm"](x + self.drop(self.mlp["wo"](F.gelu(gate) * value)))


class MosaicBert(nn.Module):
    """Ids `[n, tokens]`, padded, to hidden states."""

    def __init__(self, layers, hidden, heads, intermediate, dropout=0.1):
        super().__init__()
        assert heads & (heads - 1) == 0, "ALiBi's slopes are those of a power of two"
        self.settings = (layers, hidden, heads, intermediate)
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(N_VOCABULARY, hidden),
                "token_type_embeddings": nn.Embedding(2, hidden),
                "LayerNorm": nn.LayerNorm(hidden, 1e-12),
            }
        )
        own = (MosaicLayer(hidden, heads, intermediate, dropout) for _ in range(layers))
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(own)})
        slopes = torch.tensor([2 ** (-8 * (i + 1) / heads) for i in range(heads)])
        self.register_buffer("slopes", slopes, persistent=False)

    def forward(self, ids):
        types = self.embeddings["token_type_embeddings"].weight[0]
        x = self.embeddings["LayerNorm"](self.embeddings["word_embeddings"](ids) + types)
        places = torch.arange(ids.shape[1], device=ids.device)
        bias = -self.slopes[:, None, None] * (places[:, None] - places).abs()
        bias = bias.masked_fill((ids == N_PAD)[:, None, None, :], -1e4)
        for layer in self.encoder["layer"]:
            x = layer(x, bias)
        return x

    @staticmethod
    def pool(x, ids):
        """The mean over all tokens, [CLS] and [SEP] included."""
        here = ids != N_PAD
        return (x.float() * here[..., None]).sum(1) / here.sum(1, keepdim=True)

    def mean(self, ids):
        return self.pool(self(ids), ids)

    def config(self):
        layers, hidden, heads, intermediate = self.settings
        return {
            "architectures": ["BertModel"], "model_type": "bert", "alibi_starting_size": 512,
            "vocab_size": N_VOCABULARY, "hidden_size": hidden, "num_hidden_layers": layers,
            "num_attention_heads": heads, "intermediate_size": intermediate, "hidden_act": "gelu",
            "layer_norm_eps": 1e-12, "type_vocab_size": 2, "max_position_embeddings": 512,
            "pad_token_id": N_PAD, "attention_probs_dropout_prob": 0.0, "hidden_dropout_prob": 0.0,
            "initializer_range": 0.02, "torch_dtype": "float16",
        }  # fmt: skip


class Head(nn.Module):
    """VirNucPro's classifier: others, virus."""

    def __init__(self, features, hidden, dropout=0.3):
        super().__init__()
        self.hidden_layer = nn.Linear(features, hidden)
        self.bn1 = nn.BatchNorm1d(hidden)
        self.output_layer = nn.Linear(hidden, 2)
        self.rate = dropout

    def forward(self, x):
        with torch.autocast(x.device.type, enabled=False):
            h = F.relu(self.bn1(self.hidden_layer(x.float())))
            return self.output_layer(F.dropout(h, self.rate, self.training))

    def margin(self, x):
        """How much more virus than others: the logit of `score_virus`."""
        return self(x).diff(dim=-1)[:, 0]


class Mini(nn.Module):
    """Both towers, and for each length of chunks a head for open frames and one for chunks without any."""

    def __init__(self, sizes: Sizes, lengths=(500, 300)):
        super().__init__()
        s = self.sizes = sizes
        self.peptide = Esm2(s.peptide_layers, s.peptide_hidden, s.peptide_heads)
        self.nucleotide = MosaicBert(
            s.nucleotide_layers, s.nucleotide_hidden, s.nucleotide_heads, s.nucleotide_intermediate
        )
        both = s.nucleotide_hidden + s.peptide_hidden
        self.frames = nn.ModuleDict({str(n): Head(both, s.head) for n in lengths})
        self.alone = nn.ModuleDict({str(n): Head(s.nucleotide_hidden, s.head) for n in lengths})
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)
                if getattr(module, "bias", None) is not None:
                    nn.init.zeros_(module.bias)

    def parameters_of_towers(self):
        return [sum(p.numel() for p in tower.parameters()) for tower in (self.nucleotide, self.peptide)]


def words(bases):
    """Ids `[n, words + 2]` of whole sequences of one length `[n, length]`: [CLS], words of six bases, the rest, [SEP]."""
    n, length = bases.shape
    whole = length // WORD
    powers = torch.tensor([4**i for i in range(WORD - 1, -1, -1)], device=bases.device)
    ids = (bases[:, : whole * WORD].long().view(n, whole, WORD) * powers).sum(2) + WORD_START[WORD]
    parts = [torch.full((n, 1), N_CLS, device=bases.device), ids]
    rest = length - whole * WORD
    if rest:
        last = (bases[:, whole * WORD :].long() * powers[WORD - rest :]).sum(1, keepdim=True)
        parts.append(last + WORD_START[rest])
    return torch.cat([*parts, torch.full((n, 1), N_SEP, device=bases.device)], 1)


def pad_to(ids, width, value):
    return F.pad(ids, (0, width - ids.shape[1]), value=value)


def open_frames(bases, codon):
    """Of chunks `[n, length]`: (chunk, number from F1 to R3, peptide ids, nucleotide ids) of every open frame.

    `codon`: ESM-2's id of each codon, on the device.
    """
    n, length = bases.shape
    peptides, nucleotides, chunks, numbers = [], [], [], []
    # Multiples of 8, as attention kernels like them; padding changes nothing.
    width, word_width = (-(-n // 8) * 8 for n in (length // 3 + 2, math.ceil(length / WORD) + 2))
    for strand, whole in enumerate((bases, (bases ^ 2).flip(1))):
        for offset in range(3):
            codons = (length - offset) // 3
            triples = whole[:, offset : offset + 3 * codons].long().view(n, codons, 3)
            ids = codon[triples[..., 0] * 16 + triples[..., 1] * 4 + triples[..., 2]].long()
            chosen = (ids != seq.STOP).all(1).nonzero()[:, 0]
            ids = F.pad(F.pad(ids[chosen], (1, 0), value=seq.CLS), (0, 1), value=seq.EOS)
            peptides.append(pad_to(ids, width, seq.PAD))
            # One base beyond the last codon, where there is one.
            own = whole[chosen, offset : min(length, offset + 3 * codons + 1)]
            nucleotides.append(pad_to(words(own), word_width, N_PAD))
            chunks.append(chosen)
            numbers.append(torch.full_like(chosen, 3 * strand + offset))
    return torch.cat(chunks), torch.cat(numbers), torch.cat(peptides), torch.cat(nucleotides)


def tokenizer_json():
    """The nucleotide tower's tokenizer: bases are cut into words of six, each a token; other letters are unknown."""
    letters = "TCAG"
    vocabulary = {name: i for i, name in enumerate(("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"))}
    level = [""]
    for _ in range(WORD):
        level = [word + letter for word in level for letter in letters]
        for word in level:
            vocabulary[word] = len(vocabulary)
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    template = lambda name, kind: {name: {"id": kind, "type_id": 0}}  # noqa: E731
    single = [template("SpecialToken", "[CLS]"), template("Sequence", "A"), template("SpecialToken", "[SEP]")]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": name, **special} for name, i in list(vocabulary.items())[:5]],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": "[ACGT]{1,%d}" % WORD},
            "behavior": "Isolated",
            "invert": False,
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": single,
            "pair": [*single, {"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "[SEP]", "type_id": 1}}],
            "special_tokens": {
                name: {"id": name, "ids": [vocabulary[name]], "tokens": [name]} for name in ("[CLS]", "[SEP]")
            },
        },
        "decoder": None,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": "[UNK]", "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": True,
            "vocab": vocabulary, "merges": [],
        },
    }  # fmt: skip


def export(model, out):
    """Two model directories in float16, and four classifiers in float32 as `virpack models convert` writes them."""
    from safetensors.torch import save_file

    out = pathlib.Path(out)
    for name, tower in ("peptide", model.peptide), ("nucleotide", model.nucleotide):
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(tower.config(), indent=1) + "\n")
        tensors = {key: value.half().contiguous().cpu() for key, value in tower.state_dict().items()}
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (out / "nucleotide/tokenizer.json").write_text(json.dumps(tokenizer_json(), indent=0) + "\n")
    for kind, heads in ("classifier", model.frames), ("nucleotide_classifier", model.alone):
        for length, head in heads.items():
            tensors = {k: v.float().contiguous().cpu() for k, v in head.state_dict().items() if "tracked" not in k}
            facts = {"format": "pt", "virpack.chunk_length": length}
            save_file(tensors, out / f"{kind}_{length}.safetensors", facts)


def load(folder, device="cpu"):
    """The model in exported files, as float32."""
    from safetensors.torch import load_file

    folder = pathlib.Path(folder)
    p, n = (json.loads((folder / name / "config.json").read_text()) for name in ("peptide", "nucleotide"))
    heads = {path.stem: load_file(path) for path in sorted(folder.glob("*classifier_*.safetensors"))}
    sizes = Sizes(
        p["num_hidden_layers"], p["hidden_size"], p["num_attention_heads"], n["num_hidden_layers"], n["hidden_size"],
        n["num_attention_heads"], n["intermediate_size"], len(next(iter(heads.values()))["hidden_layer.bias"]),
    )  # fmt: skip
    model = Mini(sizes)
    for name in ("peptide", "nucleotide"):
        tensors = {k: v.float() for k, v in load_file(folder / name / "model.safetensors").items()}
        getattr(model, name).load_state_dict(tensors)
    for stem, tensors in heads.items():
        kind, length = stem.rsplit("_", 1)
        own = (model.frames if kind == "classifier" else model.alone)[length]
        own.load_state_dict(tensors, strict=False)
    return model.eval().to(device)


@torch.no_grad()
def scores(model, bases, length, device):
    """Per chunk `[others, virus]`, the highest of its frames, or of its two strands where it has none; and whether it
    had a frame."""
    codon = torch.from_numpy(seq.CODON).to(device)
    out, classified = [], []
    batch = 64 if str(device) == "cpu" else 1024  # what a cache holds, and what a card needs
    for part in torch.from_numpy(bases).split(batch):
        part = part.to(device)
        highest = torch.zeros(len(part), 2, device=device)
        chunks, _, peptides, nucleotides = open_frames(part, codon)
        had = torch.zeros(len(part), dtype=torch.bool, device=device)
        if len(chunks):
            x = torch.cat((model.nucleotide.mean(nucleotides), model.peptide.mean(peptides)), 1)
            margin = model.frames[str(length)].margin(x)
            both = torch.stack((torch.sigmoid(-margin), torch.sigmoid(margin)), 1)
            highest.scatter_reduce_(0, chunks[:, None].expand(-1, 2), both, "amax")
            had[chunks] = True
        left = (~had).nonzero()[:, 0]
        if len(left):
            for strand in part[left], (part[left] ^ 2).flip(1):
                margin = model.alone[str(length)].margin(model.nucleotide.mean(words(strand)))
                both = torch.stack((torch.sigmoid(-margin), torch.sigmoid(margin)), 1)
                highest[left] = torch.maximum(highest[left], both)
        out.append(highest.cpu())
        classified.append(had.cpu())
    return torch.cat(out).numpy(), torch.cat(classified).numpy()
