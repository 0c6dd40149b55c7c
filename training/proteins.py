"""Proteins of phages and of UniProt: what flags prophages, and what the peptide tower learns origins by."""
import re

import numpy as np

import sequences as seq
from sequences import fasta
from sources import TRAIN

# Residue 9-mers, one in 2 of them.
RESIDUE_K, RESIDUE_ONE_IN = 9, 2
# Proteins that share so many with held-out chunks are left out.
PROTEIN_KMERS = 3


def phage_proteins(data):
    out = []
    for header, letters in fasta(data / "training/phage_proteomes.faa.gz"):
        out.append(seq.RESIDUE[np.frombuffer(letters.rstrip(b"*"), np.uint8)])
    return out


def write_proteins(args, phages, shards, counts):
    """UniProt's and the phages' proteins without those close to held-out chunks, as ESM-2 ids one after another."""
    held = []
    for bases, _, which in shards.values():
        for part in np.array_split(bases[which != TRAIN], 40):
            held += [seq.residue_kmers(ids, RESIDUE_K, RESIDUE_ONE_IN) for ids in seq.translations(part)]
    held = np.unique(np.concatenate(held))
    uniprot = list(fasta(args.data / "proteins/uniprot_20k.fasta.gz"))
    viral = [1] * len(phages) + [int(bool(re.search("virus|phage|viridae", h.split("OS=")[-1]))) for h, _ in uniprot]
    proteins = phages + [seq.RESIDUE[np.frombuffer(letters, np.uint8)] for _, letters in uniprot]
    kept = []
    for i, protein in enumerate(proteins):
        name = "phage proteome" if i < len(phages) else "UniProt viral" if viral[i] else "UniProt cellular"
        if len(protein) < 30:
            counts["proteins", name, "shorter than 30"] += 1
        elif seq.contained(held, seq.residue_kmers(protein, RESIDUE_K, RESIDUE_ONE_IN)).sum() >= PROTEIN_KMERS:
            counts["proteins", name, "near held-out chunks"] += 1
        else:
            counts["proteins", name, "kept"] += 1
            kept.append(i)
    np.savez_compressed(
        args.out / "proteins.npz",
        residues=np.concatenate([proteins[i] for i in kept]),
        lengths=np.array([len(proteins[i]) for i in kept], np.uint32),
        viral=np.array([viral[i] for i in kept], np.uint8),
        phage=np.array([i < len(phages) for i in kept]),
    )
