"""How far products in eight bits move ESM-2's mean embeddings: emulated in float32, recipe by recipe, against float32 itself.

    python3 dev/eight_bit.py --fasta RECORDS.fasta --records 1000 8M=MODEL_DIRECTORY 650M 3B

A size with a directory has the weights there (model.safetensors), one without random weights of its shape. Everything but the four
products of a layer is float32. A recipe names what qkv, output, up and down do, apart from layers that stay as they are (`ends`: the
first and the last; `half`: qkv of the second half):

    i8   int8, a scale a row and a scale a channel of the weight          e4   e4m3 likewise
    e4x  e4m3, inputs times a fixed 2^x, a scale a channel of the weight    f   as it is
    c8   i8, a channel of the weight clipped where that makes its error least
    t8   i8, both operands turned by Hadamard matrices of 64 columns

and what becomes of the layer norm before qkv and up: `plain` (its output is quantised), `fold` (weight and bias of the norm go into the
product, rows of mean 0 and variance 1 are quantised), `smooth` (half of each, as SmoothQuant, from the weights alone).
Prints the relative difference (L2 over L2; median, largest) and 1 - cosine (median, largest) over the records. Needs torch and numpy.
"""
import argparse, gzip, json, math, os, time
import numpy as np, torch, torch.nn.functional as F

ALPHABET = "<cls> <pad> <eos> <unk> L A G V S E R T I D P K Q N F Y M H W C X B U Z O . - <null_1> <mask>".split()
SHAPES = {"8M": (6, 320, 20), "35M": (12, 480, 20), "150M": (30, 640, 20), "650M": (33, 1280, 20), "3B": (36, 2560, 40)}
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
RECIPES = {
    "e4m3": ("e4 e4 e4 e4", "plain"),
    "e4m3 smooth": ("e4 e4 e4 e4", "smooth"),
    "e4m3, first and last layer float": ("e4 e4 e4 e4 ends", "plain"),
    "e4m3, output and down float": ("e4 f e4 f", "plain"),
    "int8": ("i8 i8 i8 i8", "plain"),
    "int8 fold": ("i8 i8 i8 i8", "fold"),
    "int8 smooth": ("i8 i8 i8 i8", "smooth"),
    "int8 smooth, first and last layer float": ("i8 i8 i8 i8 ends", "smooth"),
    "int8 smooth, down e4m3": ("i8 i8 i8 e4", "smooth"),
    "int8 smooth, down e4m3 fixed 2^0": ("i8 i8 i8 e40", "smooth"),
    "int8 smooth, down e4m3 fixed 2^1": ("i8 i8 i8 e41", "smooth"),
    "int8 smooth, down e4m3 fixed 2^3": ("i8 i8 i8 e43", "smooth"),
    "int8 smooth, output and down e4m3 fixed": ("i8 e43 i8 e41", "smooth"),
    "int8 smooth, clipped weights": ("c8 c8 c8 c8", "smooth"),
    "int8 fold, down e4m3 fixed 2^1": ("i8 i8 i8 e41", "fold"),
    "int8 smooth, clipped weights, down e4m3 fixed 2^1": ("c8 c8 c8 e41", "smooth"),
    "int8 smooth, clipped, down float": ("c8 c8 c8 f", "smooth"),
    "int8 smooth, first and last layer float, down e4m3": ("i8 i8 i8 e41 ends", "smooth"),
    "int8 turned": ("t8 t8 t8 t8", "plain"),
    "int8 turned, qkv of the second half float": ("t8 t8 t8 t8 half", "plain"),
    "int8 turned, qkv float": ("f t8 t8 t8", "plain"),
    "int8 smooth, down float": ("i8 i8 i8 f", "smooth"),
    "int8 smooth, output float": ("i8 f i8 i8", "smooth"),
}


def records(path, most):
    """Records spread evenly over the file, cut at 1,022 residues."""
    found = []
    for line in gzip.open(path, "rt") if path.endswith(".gz") else open(path):
        if line.startswith(">"):
            found.append("")
        else:
            found[-1] += line.strip()
    return [found[i * len(found) // most][:1022] for i in range(most)] if len(found) > most else [s[:1022] for s in found]


def safetensors(path):
    data = open(path, "rb").read()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    at = lambda t: np.frombuffer(data[8 + size:][t["data_offsets"][0]:t["data_offsets"][1]], np.float32).reshape(t["shape"])
    return {name.removeprefix("esm."): torch.from_numpy(at(t).copy()).to(DEVICE) for name, t in header.items() if t["dtype"] == "F32"}


class Model:
    """Products of a layer as (norm weight, norm bias, weight, bias)."""

    def __init__(self, size, directory):
        (self.layers, self.hidden, self.heads) = SHAPES[size]
        if directory:
            t = safetensors(os.path.join(directory, "model.safetensors"))
            get = lambda name, *_: t[name]
            stored = t.get("encoder.layer.0.attention.self.rotary_embeddings.inv_freq")
        else:
            torch.manual_seed(1)
            get = lambda name, *shape: (
                torch.randn(shape, device=DEVICE) * 0.02 if len(shape) == 2 or name.endswith("bias") else 1 + 0.1 * torch.randn(shape, device=DEVICE)
            )
            stored = None
        d, width = self.hidden, self.hidden // self.heads
        self.frequencies = stored if stored is not None else 1.0 / 10_000 ** (torch.arange(0, width, 2, device=DEVICE) / width)
        self.table = get("embeddings.word_embeddings.weight", 33, d)
        self.final = (get("encoder.emb_layer_norm_after.weight", d), get("encoder.emb_layer_norm_after.bias", d))
        self.products = []
        for i in range(self.layers):
            at = lambda part, *shape: get(f"encoder.layer.{i}.{part}", *shape)
            parts = [f"attention.self.{part}" for part in ("query", "key", "value")]
            qkv = torch.cat([at(p + ".weight", d, d) for p in parts]), torch.cat([at(p + ".bias", d) for p in parts])
            norm = lambda name: (at(name + ".weight", d), at(name + ".bias", d))
            linear = lambda name, outputs, inputs: (at(name + ".weight", outputs, inputs), at(name + ".bias", outputs))
            self.products.append([
                (*norm("attention.LayerNorm"), *qkv),
                (None, None, *linear("attention.output.dense", d, d)),
                (*norm("LayerNorm"), *linear("intermediate.dense", 4 * d, d)),
                (None, None, *linear("output.dense", d, 4 * d)),
            ])


def e4m3(x):
    x = x.clamp(-448, 448)
    step = torch.exp2(torch.floor(torch.log2(x.abs().clamp(min=2.0**-6))) - 3)
    return torch.round(x / step) * step


def quantized(x, kind):
    """What the values of rows are in eight bits, each with its row's scale."""
    largest = x.abs().amax(1, keepdim=True).clamp(min=1e-30)
    if kind == "i8":
        return torch.round(x * (127 / largest)) * (largest / 127)
    if kind == "c8":
        best, error = None, torch.full_like(largest, torch.inf)
        for share in (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65):
            scale = largest * (share / 127)
            rounded = torch.round(x / scale).clamp(-127, 127) * scale
            own = ((rounded - x) ** 2).sum(1, keepdim=True)
            best = rounded if best is None else torch.where(own < error, rounded, best)
            error = torch.minimum(error, own)
        return best
    return e4m3(x * (448 / largest)) * (largest / 448)


def turned(x):
    """Blocks of 64 columns times a Hadamard matrix: its own inverse."""
    matrix = torch.ones(1, 1, device=x.device)
    while len(matrix) < 64:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)]) / math.sqrt(2)
    return (x.reshape(len(x), -1, 64) @ matrix).reshape(x.shape)


class Layer:
    def __init__(self, product, kind, form):
        gamma, beta, weight, bias = product
        self.kind, self.normed = kind, gamma is not None
        if gamma is not None:
            bias = bias + weight @ beta
            folded = weight * gamma
            # Beta goes into the bias either way: what is quantised has mean 0.
            if form == "plain":
                scale = gamma.abs().clamp(min=1e-6)
            elif form == "smooth":
                scale = (gamma.abs() / weight.abs().amax(0).clamp(min=1e-9)).sqrt().clamp(min=1e-6)
            else:
                scale = torch.ones_like(gamma)
            scale = scale / scale.mean()
            self.scale, weight = scale, folded / scale
        if kind == "t8":
            weight = turned(weight)
        self.weight, self.bias = weight if kind == "f" else quantized(weight, {"t8": "i8"}.get(kind[:2], kind[:2])), bias

    def __call__(self, x):
        if self.normed:
            x = F.layer_norm(x, x.shape[1:]) * self.scale
        if self.kind == "t8":
            x = turned(x)
        if self.kind in ("i8", "c8", "t8", "e4"):
            x = quantized(x, "e4" if self.kind == "e4" else "i8")
        elif self.kind != "f":
            x = e4m3(x * 2.0 ** int(self.kind[2:])) / 2.0 ** int(self.kind[2:])
        return F.linear(x, self.weight, self.bias)


@torch.no_grad()
def embed(model, sequences, recipe, tokens=16_384):
    kinds, form = recipe
    kinds = kinds.split()
    ends, half = "ends" in kinds, "half" in kinds
    layers = []
    for i, products in enumerate(model.products):
        plain = ends and i in (0, model.layers - 1)
        own = ["f" if plain or (n == 0 and half and 2 * i >= model.layers) else kind for n, kind in enumerate(kinds[:4])]
        layers.append([Layer(p, kind, form) for p, kind in zip(products, own)])
    index = {letter: i for i, letter in enumerate(ALPHABET)}
    rows, batch, largest = [], [], [0.0] * 4

    def flush():
        lengths = [len(s) + 2 for s in batch]
        ids = torch.tensor([i for s in batch for i in [0] + [index.get(c, 3) for c in s] + [2]], device=DEVICE)
        x = model.table[ids] * 0.88
        for qkv, output, up, down in layers:
            parts = qkv(x).split(lengths)
            mixed = torch.cat([attend(model, part) for part in parts])
            x = x + output(mixed)
            h = F.gelu(up(x))
            for i, values in enumerate((mixed, h)):
                largest[i] = max(largest[i], values.abs().max().item())
            x = x + down(h)
        x = F.layer_norm(x, x.shape[1:], *model.final)
        rows.extend(part[1:-1].double().mean(0).cpu().numpy() for part in x.split(lengths))
        batch.clear()

    for s in sequences:
        if batch and sum(map(len, batch)) + 2 * len(batch) + len(s) > tokens:
            flush()
        batch.append(s)
    flush()
    return np.stack(rows), largest[:2]


def attend(model, qkv):
    n, width = len(qkv), model.hidden // model.heads
    q, k, v = qkv.view(n, 3, model.heads, width).permute(1, 2, 0, 3)
    angles = torch.arange(n, device=DEVICE)[:, None] * model.frequencies
    cos, sin = torch.cat([angles.cos()] * 2, 1), torch.cat([angles.sin()] * 2, 1)
    turn = lambda x: x * cos + torch.cat([-x[..., width // 2:], x[..., :width // 2]], -1) * sin
    weights = torch.softmax(turn(q) @ turn(k).transpose(1, 2) / math.sqrt(width), -1)
    return (weights @ v).transpose(0, 1).reshape(n, -1)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("sizes", nargs="+"); a.add_argument("--fasta", required=True)
    a.add_argument("--records", type=int, default=1000); a.add_argument("--only", default="")
    o = a.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    sequences = records(o.fasta, o.records)
    for size in o.sizes:
        name, _, directory = size.partition("=")
        model = Model(name, directory)
        reference, largest = embed(model, sequences, ("f f f f", "plain"))
        print(f"{name}, {len(sequences)} records; largest value of attention {largest[0]:.1f}, of GELU {largest[1]:.1f}")
        norm = lambda x: np.linalg.norm(x, axis=1)
        for recipe in RECIPES:
            if o.only not in recipe:
                continue
            begin = time.time()
            found, _ = embed(model, sequences, RECIPES[recipe])
            relative = norm(found - reference) / norm(reference)
            away = 1 - (found * reference).sum(1) / norm(found) / norm(reference)
            print(f"  {recipe:42} relative {np.median(relative):.2e} {relative.max():.2e}   1 - cosine {np.median(away):.1e} {away.max():.1e}"
                  f"   {time.time() - begin:.0f} s", flush=True)


main()
