"""Tokens a second of Hugging Face's ESM-2 on the CPU, as a user runs it: records sorted by length, in padded batches of up to
4,096 tokens, mean embeddings; random weights of a published shape. dev/cpu_threads.sh calls it.

    python3 dev/cpu_threads.py SHAPE LOAD DTYPE THREADS SECONDS
"""

import random
import sys
import time

import torch
from transformers import EsmConfig, EsmModel

SHAPES = {"8M": (6, 320), "35M": (12, 480), "150M": (30, 640), "650M": (33, 1280)}
BUDGET = 4096


def lengths(load, tokens):
    """Residues of records of some `tokens` tokens: open frames of 500-base chunks, or proteins spread as in UniProt."""
    rng, drawn = random.Random(7), []
    while sum(drawn) + 2 * len(drawn) < tokens:
        drawn.append(165 if load == "orf" else max(30, min(1022, int(rng.lognormvariate(5.5, 0.65)))))
    return sorted(drawn)


def batches(load, tokens):
    batch = []
    for length in lengths(load, tokens):
        if batch and (length + 2) * (len(batch) + 1) > BUDGET:
            yield batch
            batch = []
        batch.append(length)
    yield batch


def run(model, batch):
    """One padded batch: tokens without padding."""
    width = max(batch) + 2
    ids = torch.randint(4, 24, (len(batch), width))
    mask = torch.zeros(len(batch), width, dtype=torch.long)
    for row, length in enumerate(batch):
        ids[row, 0], ids[row, length + 1], ids[row, length + 2 :] = 0, 2, 1
        mask[row, : length + 2] = 1
    hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
    for row, length in enumerate(batch):
        hidden[row, 1 : length + 1].float().mean(0)
    return sum(batch) + 2 * len(batch)


def main():
    shape, load, dtype, threads, seconds = sys.argv[1:]
    torch.set_num_threads(int(threads))
    layers, hidden = SHAPES[shape]
    config = EsmConfig(
        vocab_size=33, mask_token_id=32, pad_token_id=1, hidden_size=hidden, num_hidden_layers=layers,
        num_attention_heads=20, intermediate_size=4 * hidden, position_embedding_type="rotary", token_dropout=True,
        max_position_embeddings=1026,
    )
    model = EsmModel(config, add_pooling_layer=False).eval().to(getattr(torch, dtype))
    with torch.inference_mode():
        work = list(batches(load, 20 * BUDGET))
        random.Random(1).shuffle(work)
        run(model, work[0])
        begun, tokens, done = time.perf_counter(), 0, 0
        while time.perf_counter() - begun < float(seconds):
            tokens += run(model, work[done % len(work)])
            done += 1
        print(f"{tokens / (time.perf_counter() - begun):,.0f}")


main()
