"""The shards that data.py writes, read back."""
import json
import pathlib

import numpy as np

import sequences as seq
from sources import DEVELOPMENT, PROPHAGE, TEST, TRAIN, VALIDATION, WHOLE  # noqa: F401


def load(folder, length):
    """The chunks of one length: `bases` `[n, length]` (0-3), `group`, `viral`, `split`, `key`, `record`, `start`."""
    with np.load(pathlib.Path(folder) / f"chunks_{length}.npz") as file:
        chunks = {name: file[name] for name in file.files}
    chunks["bases"] = seq.unpack(chunks["bases"], length)
    return chunks


def proteins(folder):
    """`residues` (ESM-2 ids, one protein after another), `lengths`, `viral`, `phage`."""
    with np.load(pathlib.Path(folder) / "proteins.npz") as file:
        return {name: file[name] for name in file.files}


def facts(folder):
    return json.loads((pathlib.Path(folder) / "facts.json").read_text())


def weights(chunks, facts):
    """How often each training chunk is drawn; they add to 1, viruses and cells to a half each.

    Within a class each group has its share (no more than 10 times that of its chunks, so that a handful of viruses is
    not drawn without end); within a group a virus or genome counts by the square root of its chunks.
    """
    train = chunks["split"] == TRAIN
    out = np.zeros(len(train))
    for viral in (0, 1):
        of_class = train & (chunks["viral"] == viral)
        share = np.zeros(len(facts["groups"]))
        for group in np.unique(chunks["group"][of_class]):
            own = (chunks["group"] == group) & of_class
            share[group] = min(facts["weights"][group], 10 * own.sum() / of_class.sum())
        for group in np.flatnonzero(share):
            own = np.flatnonzero((chunks["group"] == group) & of_class)
            _, numbers, sizes = np.unique(chunks["key"][own], return_inverse=True, return_counts=True)
            by_key = 1 / np.sqrt(sizes[numbers])
            out[own] = 0.5 * share[group] / share.sum() * by_key / by_key.sum()
    return out
