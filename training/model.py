"""The two towers and the heads, in plain PyTorch, with the parameter names of the files that they are written to.

`Esm2` is Hugging Face's EsmModel (rotary positions, pre-norm, token dropout, no pooler); `CodonConv` reads the codons of a
frame by convolutions; `Head` is VirNucPro's classifier over both and four facts about the chunk.
"""
import dataclasses

import torch
from torch import nn
from torch.nn import functional as F

import reading as f
import sequences as seq


COLUMNS = -(-(f.OUTSIDE + 1) // 8) * 8  # of one codon; those from `f.WORDS` on, such as OUTSIDE's, add nothing


@dataclasses.dataclass(frozen=True)
class Sizes:
    peptide_layers: int = 2
    peptide_hidden: int = 128
    peptide_heads: int = 4
    codon_layers: int = 2
    codon_hidden: int = 112
    codon_intermediate: int = 112
    embedding_window: int = 9
    window: int = 5
    head: int = 256

    def features(self):
        return 4 * self.codon_hidden + self.peptide_hidden + f.FACTS

    def flops(self, length=500, open_frames=0.74, partial=0.28 * 0.45):
        """Multiplications and additions of a chunk as plant viruses have them: six frames of codons, one peptide or less."""
        tokens = length // 3
        d, c = self.peptide_hidden, self.codon_hidden
        peptide = self.peptide_layers * (24 * d * d + 4 * tokens * d)
        layer = 2 * self.codon_intermediate * c * (self.window + 1)
        codons = self.codon_layers * layer + 2 * self.embedding_window * c / 2
        return 6 * tokens * codons + (open_frames + partial) * tokens * peptide + 2 * self.head * self.features()


SMALL = Sizes(2, 32, 2, 1, 16, 16, 5, 3, 32)
TEACHER = Sizes(4, 192, 6, 3, 192, 192, 9, 5, 512)


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
        return (x.float() * inner[..., None]).sum(1) / inner.sum(1, keepdim=True).clamp(min=1)

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


class CodonLayer(nn.Module):
    def __init__(self, hidden, intermediate, window):
        super().__init__()
        self.window = window
        self.LayerNorm = nn.LayerNorm(hidden, 1e-5)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(window * hidden, intermediate)})
        self.output = nn.ModuleDict({"dense": nn.Linear(intermediate, hidden)})

    def forward(self, x, here):
        h = normed(self.LayerNorm, x)
        h = unfold(h if here is None else h * here, self.window)
        return x + self.output["dense"](F.gelu(self.intermediate["dense"](h)))


def normed(norm, x):
    """A LayerNorm that reads and writes the type of `x`: half the bytes of autocast's, the same sums in float32."""
    with torch.autocast(x.device.type, enabled=False):
        return F.layer_norm(x, norm.normalized_shape, norm.weight.to(x.dtype), norm.bias.to(x.dtype), norm.eps)


def unfold(x, window):
    """`[n, tokens, hidden]` to `[n, tokens, window * hidden]`: each token with those about it, zeros outside."""
    reach = window // 2
    padded = F.pad(x, (0, 0, reach, reach))
    return torch.cat([padded[:, k : k + x.shape[1]] for k in range(window)], -1)


class CodonConv(nn.Module):
    """Words `[n, codons]` (`frames.words`) to hidden states; the embedding is itself a convolution over the codons about."""

    def __init__(self, layers, hidden, intermediate, embedding_window, window):
        super().__init__()
        self.settings = (layers, hidden, intermediate, embedding_window, window)
        # Codons in the order of TCAG, then any word with another letter.
        self.table = nn.Parameter(torch.zeros(embedding_window, f.WORDS, hidden))
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.encoder = nn.ModuleDict(
            {
                "layer": nn.ModuleList(CodonLayer(hidden, intermediate, window) for _ in range(layers)),
                "emb_layer_norm_after": nn.LayerNorm(hidden, 1e-5),
            }
        )

    def forward(self, words, ragged=True):
        """`ragged`: some sequences end before others."""
        kind = torch.bfloat16 if torch.is_autocast_enabled() else torch.float32
        # A product of ones and zeros: a gather's gradient is slow on a card, and so are rows that are not whole eights.
        hot = (words[..., None] == torch.arange(COLUMNS, device=words.device)).to(kind)
        table = F.pad(self.table, (0, 0, 0, COLUMNS - f.WORDS))
        x = F.linear(unfold(hot, len(self.table)), table.flatten(0, 1).t(), self.bias)
        here = (words != f.OUTSIDE)[..., None].to(x.dtype) if ragged else None
        for layer in self.encoder["layer"]:
            x = layer(x, here)
        return normed(self.encoder["emb_layer_norm_after"], x)

    @staticmethod
    def pool(x, words, ragged=True):
        """The mean and the maximum over codons: `[n, 2 hidden]`; zeros where there is none."""
        if not ragged:
            return torch.cat((x.mean(1, dtype=torch.float32), x.amax(1).float()), 1)
        here = (words != f.OUTSIDE)[..., None]
        count = here.sum(1)
        mean = (x * here).sum(1, dtype=torch.float32) / count.clamp(min=1)
        return torch.cat((mean, x.masked_fill(~here, -1e4).amax(1).float() * (count > 0)), 1)

    def config(self):
        layers, hidden, intermediate, embedding_window, window = self.settings
        return {
            "architectures": ["CodonConv"], "model_type": "codon_conv", "vocab_size": f.N_VOCABULARY,
            "hidden_size": hidden, "embedding_window": embedding_window, "num_hidden_layers": layers, "window": window,
            "intermediate_size": intermediate, "layer_norm_eps": 1e-5, "pad_token_id": 3, "torch_dtype": "float16",
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
    """Both towers, and for each length of chunks a head over both and four facts."""

    def __init__(self, sizes: Sizes, lengths=(500, 300)):
        super().__init__()
        s = self.sizes = sizes
        self.peptide = Esm2(s.peptide_layers, s.peptide_hidden, s.peptide_heads)
        self.nucleotide = CodonConv(
            s.codon_layers, s.codon_hidden, s.codon_intermediate, s.embedding_window, s.window
        )
        self.heads = nn.ModuleDict({str(n): Head(s.features(), s.head) for n in lengths})
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)
                if getattr(module, "bias", None) is not None:
                    nn.init.zeros_(module.bias)
        for layer in self.nucleotide.encoder["layer"]:
            nn.init.normal_(layer.intermediate["dense"].weight, std=(s.window * s.codon_hidden) ** -0.5)
        nn.init.normal_(self.nucleotide.table, std=s.embedding_window**-0.5)

    def parameters_of_towers(self):
        return [sum(p.numel() for p in tower.parameters()) for tower in (self.nucleotide, self.peptide)]

    def codons(self, words, ragged=True):
        """Six frames `[n, 6, codons]` to a chunk's vector `[n, 4 hidden]`, and the hidden states of all frames."""
        n = len(words)
        flat = words.flatten(0, 1)
        x = self.nucleotide(flat, ragged)
        pooled = self.nucleotide.pool(x, flat, ragged).view(n, 6, -1)
        if not ragged:
            return torch.cat((pooled.mean(1), pooled.amax(1)), 1), x
        has = (words != f.OUTSIDE).any(2)[..., None]
        mean = (pooled * has).sum(1) / has.sum(1).clamp(min=1)
        highest = pooled.masked_fill(~has, -1e4).amax(1) * has.any(1)
        return torch.cat((mean, highest), 1), x

    def peptides(self, ids, has):
        """Vectors of peptides (zeros where a row has none), and the hidden states."""
        x = self.peptide(ids)
        return self.peptide.pool(x, ids) * has[:, None], x

    def margin(self, length, chunk, peptide, facts):
        return self.heads[str(length)].margin(torch.cat((chunk, peptide, facts), 1))


@torch.no_grad()
def scores(model, bases, length, device):
    """Per chunk `[others, virus]`, the highest of its rows, and whether it had an open frame.

    `bases` `[n, letters]` of one length; `length` names the head.
    """
    out, classified = [], []
    batch = 64 if str(device) == "cpu" else 1024  # what a cache holds, and what a card needs
    for part in torch.from_numpy(bases).split(batch):
        part = part.to(device)
        margin, chunk, had = rows_of(model, part, length)
        both = torch.stack((torch.sigmoid(-margin), torch.sigmoid(margin)), 1)
        highest = torch.zeros(len(part), 2, device=device)
        highest.scatter_reduce_(0, chunk[:, None].expand(-1, 2), both, "amax")
        out.append(highest.cpu())
        classified.append(had.cpu())
    return torch.cat(out).numpy(), torch.cat(classified).numpy()


def rows_of(model, bases, length):
    """Margin and chunk of every row, open frames first, and which chunks had an open frame."""
    words, residues = f.six(bases)
    is_open = f.open_frames(residues)
    vectors, _ = model.codons(words)
    had = is_open.any(1)
    chunk, frame = is_open.nonzero().t()
    left = (~had).nonzero()[:, 0]
    ids = torch.cat((f.as_ids(residues[chunk, frame]), f.longest_run(residues[left])))
    chunk = torch.cat((chunk, left))
    has = (ids != seq.PAD).sum(1) > 2
    peptide = torch.zeros(len(ids), model.sizes.peptide_hidden, device=bases.device)
    if has.any():
        peptide[has] = model.peptide.mean(ids[has])
    facts = f.facts(bases, is_open)[chunk]
    facts[:, 1] = (has & ~had[chunk]).float()
    return model.margin(length, vectors[chunk], peptide, facts), chunk, had
