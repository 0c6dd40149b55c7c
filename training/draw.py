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
# A residue that is substituted becomes one of its class so often, else any.
CLASSES, OF_CLASS = "AGPST C DENQ FWY HKR ILMV".split(), 0.6
WRITTEN_LEAST = 100  # residues of a protein that is written in codons
MADE_UP = 0.03  # of a batch
# Windows about a chunk that a teacher scores, in bases from the chunk, and how far from them a student's begin at most.
SHIFTS = -150, 0, 150
JITTER = 75
# Of the chunks drawn, the share whose TGG become TGA, as tryptophan is written where the genetic code is 4: all, organelles.
CODE_4 = 0.02, 0.30


class Data:
    """Everything that training draws from, on the device."""

    def __init__(self, folder, device, rng, development=False, without=(), only=None, small=False, more=None, code_4=False):
        """`more`: group: by what its share of the draws is multiplied; `code_4`: whether some chunks are written in genetic code 4."""
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
        group, viral = chunks["group"][train], chunks["viral"][train]
        self.drawn = weights, group, viral
        self.soft, self.mutated = None, MUTATED
        self.shifts = torch.tensor(SHIFTS, device=device)
        organelle = facts["groups"].index("organelle")
        self.code_4 = code_4 and torch.from_numpy(np.where(group == organelle, CODE_4[1], CODE_4[0])).to(device)
        self.viral = torch.from_numpy(chunks["viral"][train].astype(np.float32)).to(device)
        self.group = torch.from_numpy(chunks["group"][train].astype(np.int64)).to(device)
        self.weigh(more or {})
        self.lean({})
        codon, residue = torch.arange(64, device=device), torch.from_numpy(seq.CODON).to(device).long()
        self.bits, self.residue = torch.stack((codon // 16, codon // 4 % 4, codon % 4), 1), residue
        # Of each residue (and of a stop) its codons; of a letter that has none, all.
        self.codons = torch.where(torch.arange(len(seq.ALPHABET), device=device)[:, None] == residue, 0.0, -torch.inf)
        self.codons[~self.codons.isfinite().any(1)] = 0.0
        self.others = torch.zeros(len(seq.ALPHABET), len(seq.ALPHABET), device=device)
        every = [seq.ALPHABET.index(letter) for letter in "".join(CLASSES)]
        self.others[:, every] = (1 - OF_CLASS) / len(every)
        for letters in CLASSES:
            own = torch.tensor([seq.ALPHABET.index(letter) for letter in letters], device=device)
            self.others[own[:, None], own] += OF_CLASS / len(own)
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
        self.long_shares = torch.from_numpy(np.cumsum(share * (lengths >= WRITTEN_LEAST))).to(device)
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
            shift = self.shifts[number] + ((self.uniform(count) - 0.5) * 2 * JITTER).long()
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

    def lean(self, more):
        """Groups of which so many times as many chunks are recoded as of others; viruses as often as cells in all, about."""
        times = torch.tensor([more.get(name, 1.0) for name in self.facts["groups"]], device=self.device)
        drawn = torch.zeros(len(times), device=self.device).index_add_(0, self.group, torch.from_numpy(self.probabilities).float().to(self.device))
        viral = torch.tensor(self.facts["classes"], device=self.device) > 0
        share = [(times * drawn)[viral == label].sum() for label in (False, True)]
        self.leaning = (times * torch.where(viral, share[0] / share[1], 1.0)).log()

    def leaning_to(self, group, count):
        """Of chunks of these groups so many, drawn by their groups' leaning without one drawn twice."""
        return (self.leaning[group] - (-self.uniform(len(group)).clamp(min=1e-6).log()).log()).topk(count).indices

    def taste(self, count):
        """For each of so many chunks a leaning to some codons, and to G and C."""
        deviate = lambda *shape: torch.randn(*shape, device=self.device, generator=self.rng)  # noqa: E731
        return deviate(count, 64) * CODON_TASTE + deviate(count, 1) * (self.bits & 1).float().sum(1) * GC_TASTE

    def codons_of(self, residues):
        """For residues `[count, n]` a codon each, drawn by the chunk's own taste: the highest of a logit and a Gumbel deviate."""
        noise = -(-self.uniform(*residues.shape, 64).clamp(min=1e-6).log()).log()
        return (self.taste(len(residues))[:, None] + self.codons[residues] + noise).argmax(2)

    def substituted(self, residues, most):
        """Of half the chunks up to `most` of the residues become others, of their own class above all; stops stay."""
        rate = (self.uniform(len(residues), 1) - 0.5).clamp(min=0) * 2 * most
        cumulative = self.others[residues].cumsum(2)
        drawn = (cumulative < self.uniform(*residues.shape, 1) * cumulative[..., -1:]).sum(2).clamp(max=len(seq.ALPHABET) - 1)
        return torch.where((self.uniform(*residues.shape) < rate) & (residues != seq.STOP), drawn, residues)

    def recoded(self, bases, substituted=0.0):
        """The same chunks, of those with an open frame the codons drawn again, each among those of its residue, by the chunk's own taste.

        `substituted`: of some chunks at most so many of the residues become others first.
        """
        count, length = bases.shape
        is_open = f.open_frames(f.six(bases)[1])
        frame = (is_open * self.uniform(*is_open.shape)).argmax(1)
        bases = torch.where((frame > 2)[:, None], (bases ^ 2).flip(1), bases)
        codons = (length - 2) // 3
        places = (frame % 3)[:, None] + torch.arange(3 * codons, device=self.device)
        triples = bases.gather(1, places).view(count, codons, 3).long()
        codon = triples[..., 0] * 16 + triples[..., 1] * 4 + triples[..., 2]
        residues = self.residue[codon]
        wanted = self.substituted(residues, substituted)
        anew = self.uniform(count, codons) < RECODED_LEAST + (1 - RECODED_LEAST) * self.uniform(count, 1)
        anew = (anew | (wanted != residues)) & is_open.any(1, keepdim=True)
        codon = torch.where(anew, self.codons_of(wanted), codon)
        return bases.scatter(1, places, self.bits[codon].flatten(1).to(bases.dtype))

    def translated(self, count, length):
        """Chunks that a cell or a phage might have written these proteins in, between random bases, and whether they are viral."""
        chosen = self.draw(self.long_shares, count)
        first, last = self.starts[chosen], self.ends[chosen]
        codons = length // 3 + 1
        # A window in a long protein; a short one whole, anywhere in a window.
        start = first + (self.uniform(count) * (last - first - codons)).round().long()
        places = start[:, None] + torch.arange(codons, device=self.device)
        codon = self.codons_of(self.residues[places.clamp(0, len(self.residues) - 1)].long())
        random = (self.uniform(count, codons) * 64).long()
        inside = (places >= first[:, None]) & (places < last[:, None])
        bases = self.bits[torch.where(inside, codon, random)].flatten(1).to(self.bases.dtype)
        offset = (self.uniform(count, 1) * (bases.shape[1] - length + 1)).long()
        bases = bases.gather(1, offset + torch.arange(length, device=self.device))
        return torch.where(self.uniform(count, 1) < 0.5, bases, (bases ^ 2).flip(1)), self.protein_viral[chosen]

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
