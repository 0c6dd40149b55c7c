"""What training draws: windows of chunks by weight, changed a little, made-up sequences, proteins."""
import numpy as np
import torch

import reading as f
import sequences as seq
import shards

CHUNK = 500
OTHERS_BASE = 3
MUTATED = 0.05  # at most, of a chunk's bases
# Of a recoded chunk at least so many codons are drawn anew, each codon's and the chunk's leaning to G and C as normal deviates of these widths.
RECODED_LEAST, CODON_TASTE, GC_TASTE = 0.3, 0.7, 0.7
MADE_UP = 0.03  # of a batch
# Windows about a chunk that a teacher scores, in bases from the chunk, and how far from them a student's begin at most.
SHIFTS = -150, 0, 150
JITTER = 75
FOLDS = 4
# Of the chunks drawn, the share whose TGG become TGA, as tryptophan is written where the genetic code is 4: all, organelles.
CODE_4 = 0.02, 0.30


def folds(key):
    """The fold of each virus or genome: a hash of its number."""
    return (key.astype(np.uint64) * np.uint64(2654435761) >> np.uint64(8)) % np.uint64(FOLDS)


class Data:
    """Everything that training draws from, on the device."""

    def __init__(self, folder, device, rng, development=False, without=(), only=None, small=False, more=None, fold=None, code_4=False):
        """`more`: group: by what its share of the draws is multiplied; `fold`: the one that is not drawn from;
        `code_4`: whether some chunks are written in genetic code 4.
        """
        chunks, facts = shards.load(folder, CHUNK), shards.facts(folder)
        self.device, self.rng, self.facts = device, rng, facts
        if development:
            chunks["split"][chunks["split"] == shards.DEVELOPMENT] = shards.TRAIN
        gone = [n for n, name in enumerate(facts["groups"]) if name in without or (only is not None and n >= only)]
        chunks["split"][(chunks["split"] == shards.TRAIN) & np.isin(chunks["group"], gone)] = shards.PROPHAGE
        train = np.flatnonzero(chunks["split"] == shards.TRAIN)
        weights = shards.weights(chunks, facts)[train]
        if small:
            kept = np.random.default_rng(0).choice(len(train), min(300, len(train)), replace=False)
            train, weights = train[kept], weights[kept]
        # Chunks side by side in one record are one stretch, from which any window is drawn.
        order = np.lexsort((chunks["start"][train], chunks["record"][train]))
        train, weights = train[order], weights[order]
        record, start = (chunks[name][train].astype(np.int64) for name in ("record", "start"))
        breaks = np.flatnonzero((np.diff(record) != 0) | (np.diff(start) != CHUNK)) + 1
        stretch = np.searchsorted(breaks, np.arange(len(train)), side="right")
        edges = np.concatenate(([0], breaks, [len(train)])) * CHUNK
        self.bases = torch.from_numpy(chunks["bases"][train].reshape(-1)).to(device)
        self.first, self.last = (torch.from_numpy(edges[stretch + i]).to(device) for i in (0, 1))
        self.record, self.place = record, start
        group, viral, fold_of = chunks["group"][train], chunks["viral"][train], folds(chunks["key"][train])
        if fold is not None:
            weights[fold_of == fold] = 0
        self.fold, self.drawn = fold_of, (weights, group, viral)
        self.soft, self.mutated = None, MUTATED
        organelle = facts["groups"].index("organelle")
        self.code_4 = code_4 and torch.from_numpy(np.where(group == organelle, CODE_4[1], CODE_4[0])).to(device)
        self.viral = torch.from_numpy(chunks["viral"][train].astype(np.float32)).to(device)
        self.group = torch.from_numpy(chunks["group"][train].astype(np.int64)).to(device)
        self.weigh(more or {})
        codon, residue = torch.arange(64, device=device), torch.from_numpy(seq.CODON).to(device).long()
        self.bits = torch.stack((codon // 16, codon // 4 % 4, codon % 4), 1)
        self.same = torch.where(residue[:, None] == residue, 0.0, -torch.inf)
        proteins = shards.proteins(folder)
        self.residues = torch.from_numpy(proteins["residues"]).to(device)
        lengths = proteins["lengths"].astype(np.int64)
        self.ends = torch.from_numpy(np.cumsum(lengths)).to(device)
        self.starts = self.ends - torch.from_numpy(lengths).to(device)
        self.protein_viral = torch.from_numpy(proteins["viral"].astype(np.float32)).to(device)
        # Long proteins more often, but not in proportion: phages and viruses to a half.
        share = np.sqrt(np.minimum(lengths, 1_000))
        for label in (0, 1):
            own = proteins["viral"] == label
            share[own] /= 2 * share[own].sum()
        self.shares = torch.from_numpy(np.cumsum(share)).to(device)
        self.held = {}
        for length in (500, 300):
            own = shards.load(folder, length)
            for split in (shards.VALIDATION, shards.DEVELOPMENT):
                chosen = np.flatnonzero(own["split"] == split)
                if small:
                    chosen = chosen[:: max(1, len(chosen) // 300)]
                self.held[length, split] = own["bases"][chosen], own["viral"][chosen].astype(int), own["group"][chosen]

    def __len__(self):
        return len(self.first)

    def weigh(self, more):
        """Groups are drawn so many times as often as their shares say; both classes count a half."""
        weights, group, viral = (column.copy() for column in self.drawn)
        for name, times in more.items():
            weights[group == self.facts["groups"].index(name)] *= times
        for label in (0, 1):
            weights[viral == label] *= 0.5 / weights[viral == label].sum()
        self.probabilities = weights
        self.weights = torch.from_numpy(np.cumsum(weights)).to(self.device)

    def draw(self, cumulative, count):
        u = torch.rand(count, device=self.device, generator=self.rng, dtype=torch.float64) * cumulative[-1]
        return torch.searchsorted(cumulative, u).clamp(max=len(cumulative) - 1)

    def uniform(self, *shape):
        return torch.rand(*shape, device=self.device, generator=self.rng)

    def window(self, chosen, shift, length):
        """Where windows of `length` bases begin, `shift` away from the middle of chunks, within their stretches."""
        start = chosen * CHUNK + shift + (CHUNK - length) // 2
        return torch.minimum(torch.maximum(start, self.first[chosen]), self.last[chosen] - length)

    def at(self, start, length):
        return self.bases[start[:, None] + torch.arange(length, device=self.device)]

    def chunks(self, count, length):
        """Random windows of `length` bases about chunks, of either strand, some bases changed.

        Bases, viral, group, and what a teacher says (`self.soft`: length: probabilities `[chunks, shifts]`), or the label.
        """
        chosen = self.draw(self.weights, count)
        viral = self.viral[chosen]
        if self.soft is None:
            # A window about the chunk, at most half a chunk away from it, within its stretch.
            soft, shift = viral, ((self.uniform(count) - 0.5) * CHUNK).long()
        else:
            number = (self.uniform(count) * len(SHIFTS)).long()
            soft = self.soft[length][chosen, number]
            shift = torch.tensor(SHIFTS, device=self.device)[number] + ((self.uniform(count) - 0.5) * 2 * JITTER).long()
        bases = self.at(self.window(chosen, shift, length), length)
        bases = torch.where(self.uniform(count, 1) < 0.5, bases, (bases ^ 2).flip(1))
        if self.code_4 is not False:
            tgg = (bases[:, :-2] == 0) & (bases[:, 1:-1] == 3) & (bases[:, 2:] == 3)
            tgg &= (self.uniform(count) < self.code_4[chosen])[:, None]
            bases[:, 2:] = torch.where(tgg, 2, bases[:, 2:])
        # Of half the chunks up to `mutated` of the bases become others.
        rate = (self.uniform(count, 1) - 0.5).clamp(min=0) * 2 * self.mutated
        other = (bases + 1 + (self.uniform(count, length) * OTHERS_BASE).to(torch.uint8)) & 3
        bases = torch.where(self.uniform(count, length) < rate, other, bases)
        return bases, viral, self.group[chosen], soft

    def recoded(self, bases):
        """The same chunks, of those with an open frame the codons drawn again, each among those of its residue, by the chunk's own taste."""
        count, length = bases.shape
        is_open = f.open_frames(f.six(bases)[1])
        frame = (is_open * self.uniform(*is_open.shape)).argmax(1)
        bases = torch.where((frame > 2)[:, None], (bases ^ 2).flip(1), bases)
        codons = (length - 2) // 3
        places = (frame % 3)[:, None] + torch.arange(3 * codons, device=self.device)
        triples = bases.gather(1, places).view(count, codons, 3).long()
        codon = triples[..., 0] * 16 + triples[..., 1] * 4 + triples[..., 2]
        gc = (self.bits & 1).float().sum(1) * GC_TASTE
        deviate = lambda *shape: torch.randn(*shape, device=self.device, generator=self.rng)  # noqa: E731
        taste = deviate(count, 64) * CODON_TASTE + deviate(count, 1) * gc
        # The highest of a logit and a Gumbel deviate is a draw by the logits.
        drawn = taste[:, None] + self.same[codon] - (-self.uniform(count, codons, 64).clamp(min=1e-6).log()).log()
        anew = self.uniform(count, codons) < RECODED_LEAST + (1 - RECODED_LEAST) * self.uniform(count, 1)
        codon = torch.where(anew & is_open.any(1, keepdim=True), drawn.argmax(2), codon)
        return bases.scatter(1, places, self.bits[codon].flatten(1).to(bases.dtype))

    def made_up(self, bases):
        """Of each sequence one that nothing alive has, with the same bases: shuffled, read backwards, or a part of it repeated."""
        count, length = bases.shape
        places = torch.arange(length, device=self.device).expand(count, -1)
        shuffled = self.uniform(count, length).argsort(1)
        period = (2 + self.uniform(count, 1) ** 2 * 60).long()
        kind = self.uniform(count, 1)
        places = torch.where(kind < 0.4, length - 1 - places, torch.where(kind < 0.7, shuffled, places % period))
        return bases.gather(1, places)

    def proteins(self, count, window):
        """Random windows of proteins as residues `[count, window]`, padded, and whether they are viral."""
        chosen = self.draw(self.shares, count)
        first, last = self.starts[chosen], self.ends[chosen]
        room = (last - first - window).clamp(min=0) + 1
        start = first + (self.uniform(count) * room).long()
        places = start[:, None] + torch.arange(window, device=self.device)
        ids = self.residues[places.clamp(max=len(self.residues) - 1)].long()
        return ids.masked_fill(places >= last[:, None], seq.PAD), self.protein_viral[chosen]
