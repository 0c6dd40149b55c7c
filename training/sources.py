"""The sequences of `training/extra`: which group each is of, and which whole groups are kept out of training.

Decided before any training and not changed since: `WHOLE` is looked at once, at the end; `DEVELOPMENT` served choices and is
trained on afterwards. What shares residue 9-mers or 21-mers with a held-out family goes from training, whatever its name.
"""
import collections
import random
import re

import numpy as np

import sequences as seq

TRAIN, VALIDATION, TEST, PROPHAGE, WHOLE, DEVELOPMENT = range(6)
SEED = 2026
Record = collections.namedtuple("Record", "group key name bases")

LENTIVIRUS = r"immunodeficiency|lentivirus|[Ii]nfectious_anemia|[Vv]isna|arthritis|Jembrana"
FUNGI_AND_ARCHAEA = (
    r"AFTOL|fung|Candida_|Saccharo|Aspergill|Pichia|Coccidioides|Phaeosphaeria|Fusarium|Lipomyces|Serpula|Uncinocarpus"
    r"|Chytri|Yarrowia|Neurospora|Cryptococc|Ustilago|Methano|archae|Sulfolob|Thermoco|Pyro|Haloarc|Thermoplas|Aeropyrum"
)
FAR = (
    r"Chlamydia|Planktothrix|Microcystis|Synechococcus|Prochlorococcus|Trichormus|Parasynechococcus|Sulfolobus|Saccharolobus"
    r"|Acidianus|Aeropyrum|Mycoplasm"
)
# File, pattern that the header must have, group, role, what its key is cut from the header by, most megabases. The first row
# that fits takes the record. A role of None: a share of the keys validates, the others train.
ROWS = [
    ("viral/coli_phages_96", "", "more phage", None, r"[^|]+\|(.*)", 99),
    ("viral/phages_misc", "", "more phage", None, r"(?:phist\|)?((?:gi\|\d+\|gb\|)?[A-Z]+_?\d+|MGV-GENOME-\d+)", 99),
    ("viral/mito_narnaviruses", "", "mitovirus and narnavirus", WHOLE, r"(.*)", 99),
    ("viral/glue_bornaviridae", "", "bornavirus", WHOLE, r"[^|]+\|(.*)", 99),
    ("viral/glue_hepadnaviridae", "", "hepadnavirus", WHOLE, r"[^|]+\|(.*)", 99),
    ("viral/glue_lentivirus", "", "lentivirus", WHOLE, r"[^|]+\|(.*)", 99),
    ("viral/glue_rvdb", LENTIVIRUS, "lentivirus", WHOLE, r"[^|]+\|(.*)", 99),
    ("viral/glue_rvdb", "", "retrovirus", None, r"[^|]+\|(.*)", 99),
    ("viral/glue_filoviridae", "", "animal virus", TRAIN, r"[^|]+\|(.*)", 99),
    ("viral/glue_flavivirus", "", "animal virus", None, r"[^|]+\|(.*)", 99),
    ("viral/glue_cress", "", "CRESS virus", DEVELOPMENT, r"[^|]+\|(.*)", 99),
    ("viral/mpa2_viral_genes", "", "viral gene", None, r"(g\d+)", 99),
    ("cellular/cherry_slices", FAR, "far prokaryote", WHOLE, r"(\w+)", 99),
    ("cellular/cherry_slices", "", "more bacteria", None, r"(\w+)", 99),
    ("cellular/mpa2_prok_genes", "", "prokaryote gene", None, r"([^|]+)", 24),
    ("cellular/mpa2_euk_mrna", "", "mRNA", None, r"(\w+)", 14),
    ("cellular/human_chr3_4_5", "", "more human", TRAIN, r"[^|]+\|(\w+)", 99),
    ("cellular/human_chr22_1Mb", "", "more human", TRAIN, r"(\w+)", 99),
    ("cellular/arabidopsis_1pct", "Chr[MC]", "organelle", TRAIN, r"[^|]+\|(\w+)", 99),
    ("cellular/arabidopsis_1pct", "", "plant", DEVELOPMENT, r"[^|]+\|(.*)", 99),
    ("cellular/fly_1pct", "", "fly", WHOLE, r"[^|]+\|(.*)", 99),
    ("cellular/fly_upstream2000", "", "fly", WHOLE, r"[^|]+\|(.*)", 3),
    ("cellular/organelles", "fungus_mt", "fungal mitochondrion", WHOLE, r".*_-_(\w+)", 99),
    ("cellular/organelles", "", "organelle", None, r".*_-_(\w+)", 99),
    ("cellular/transposons", r"^dm", "fly transposon", WHOLE, r"(.*)", 99),
    ("cellular/transposons", r"^at", "plant transposon", DEVELOPMENT, r"(.*)", 99),
    ("cellular/transposons", "", "transposon", None, r"(.*)", 99),
    ("cellular/rrna_lsu", FUNGI_AND_ARCHAEA, "rRNA of fungi and archaea", WHOLE, r"(.*)", 99),
    ("cellular/rrna_lsu", "", "rRNA", TRAIN, r"(.*)", 99),
]  # fmt: skip
VALIDATES = 0.12
MANY_VALIDATE = {"more phage": 0.35, "retrovirus": 0.25, "animal virus": 0.25, "more bacteria": 0.2}
# Residue 9-mers (one in 2) that a virus may share with a held-out family; the share of them that cells may with far prokaryotes.
FAMILY_KMERS, FAR_SHARE = 4, 0.03


def records(data, fasta):
    """Records and the role of each (None: to be drawn), files in order, keys in a fixed random order up to each row's size."""
    out = []
    for name in dict.fromkeys(row[0] for row in ROWS):
        rows = [row for row in ROWS if row[0] == name]
        own = list(fasta(data / f"training/extra/{name}.fa.gz"))
        random.Random(f"{SEED} {name}").shuffle(own)
        left = [row[5] * 1e6 for row in rows]
        for header, letters in own:
            n = next(i for i, row in enumerate(rows) if re.search(row[1], header))
            if left[n] > 0 and len(letters) >= 300:
                left[n] -= len(letters)
                _, _, group, role, pattern, _ = rows[n]
                found = re.match(pattern, header)
                key = f"{group}:{found[1] if found else header}"
                out.append((role, Record(group, key, header.split()[0], seq.encode(letters))))
    return out


def roles(extra, component, trained):
    """The role of each record: what its row says, or a draw of VALIDATION with its group's share.

    Records of a component that is held out whole, but of rows that are not, have none: they are neither trained on nor
    looked at. `trained`: components that are viruses of older training data; they do not validate.
    """
    strictest = {}
    for role, record in extra:
        here = component[record.key]
        if role is None:
            share = 0 if here in trained else MANY_VALIDATE.get(record.group, VALIDATES)
            role = VALIDATION if random.Random(f"{SEED} {here}").random() < share else TRAIN
        strictest[here] = max(strictest.get(here, TRAIN), role)
    of_record = [(strictest[component[record.key]], role, record) for role, record in extra]
    return [(PROPHAGE if where == WHOLE and role != WHOLE else where, record) for where, role, record in of_record]


def kmers_of(record, k, one_in):
    return np.concatenate([seq.residue_kmers(ids[0], k, one_in) for ids in seq.translations(record.bases[None])])


def relatives(records_of_role, viral, k, one_in):
    """Keys of training and validation that are kin of a held-out family: they go.

    `records_of_role`: (role, record) of everything; `viral`: class of a group.
    """
    held = {False: [], True: []}
    for role, record in records_of_role:
        if role == WHOLE and (viral(record.group) or record.group == "far prokaryote"):
            held[viral(record.group)].append(kmers_of(record, k, one_in))
    held = {kind: np.unique(np.concatenate(rows)) for kind, rows in held.items()}
    shared, total = collections.Counter(), collections.Counter()
    for role, record in records_of_role:
        if role in (TRAIN, VALIDATION, DEVELOPMENT) and (viral(record.group) or record.group == "prokaryote gene"):
            own = np.unique(kmers_of(record, k, one_in))
            shared[record.key] += int(seq.contained(held[viral(record.group)], own).sum())
            total[record.key] += len(own)
    return {
        key
        for key, count in shared.items()
        if count >= (FAMILY_KMERS if viral(key.partition(":")[0]) else max(FAMILY_KMERS, FAR_SHARE * total[key]))
    }
