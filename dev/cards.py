"""One file through the cards of a machine: how much faster several are than one, and whether the bytes are the same.

    python3 dev/cards.py --virpack virpack --scratch DIR [--sizes 8M 650M 3B] [--seconds 20] [--load orf] [--cards 1 2 4 8]
                         [--processes] [--models DIR] [virpack's own options ...]

Each size is a model with random weights of the published shape (random_models.py), each row a run of `virpack embed` from a
file of made-up proteins to an .npy file with its table and its parts, on the first N of the cards that nvidia-smi lists. All
rows of a size read the same file, which takes one card --seconds for each card of the last row. `--processes` adds a row of
as many processes as cards, each with its parts of a plan (`virpack plan`, `embed --plan --part I/N`). Prints, tab-separated:
size, cards, tokens/s from the first record to the last row, the ratio to one card and to half as many, the least busy share
of a card, seconds, and whether the rows are those of one card. Ends with 1 where they are not. DIR should lie in memory
(/dev/shm) or on a disk that takes 1 GB/s. Needs torch, transformers and numpy.
"""
import argparse, hashlib, json, os, re, shutil, subprocess, sys
import random_models

# Tokens/s of one H200 in float16 (BENCHMARKS.md), for the length of the file.
RATES = {"8M": 20e6, "35M": 5.3e6, "150M": 1.5e6, "650M": 440e3, "3B": 110e3}
TOKENS = {"orf": 167.3, "prot": 290.0}


def cards_here():
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout
    return sum(line.startswith("GPU ") for line in listed.splitlines())


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def embed(o, model, fasta, cards):
    """One run: tokens/s, the least busy share, seconds, the SHA-256 of rows and table."""
    out = os.path.join(o.scratch, "cards.npy")
    devices = "cuda:" + ",".join(str(card) for card in range(cards))
    done = subprocess.run([o.virpack, "embed", fasta, "--model", model, "-o", out, "--force", "--device", devices, *o.more],
                          capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"virpack embed on {devices} ended with {done.returncode}: {done.stderr}")
    run = json.load(open(out + ".run.json"))
    busy = min(device["busy"] for device in run["devices"])
    return run["rates"]["tokens_per_second"], busy, run["seconds"]["all"], digest(out) + digest(out + ".records.tsv")


def processes(o, model, fasta, cards, tokens):
    """A plan's parts by a process for each card: tokens/s of all while they make parts, and each card's mean use as nvidia-smi has it."""
    plan = os.path.join(o.scratch, "cards.plan")
    shutil.rmtree(plan, ignore_errors=True)
    # Few and long parts, as each begins and ends with an idle card.
    subprocess.run([o.virpack, "plan", fasta, "--model", model, "-o", plan, "--part-tokens", str(int(tokens / (2 * cards)) + 1000)],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    command = lambda card: [o.virpack, "embed", "--plan", plan, "--part", f"{card + 1}/{cards}", "--device", f"cuda:{card}"]
    running = [subprocess.Popen(command(card), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for card in range(cards)]
    use = subprocess.Popen(["nvidia-smi", "--query-gpu=index,utilization.gpu", "--format=csv,noheader,nounits", "-lms", "250"],
                           stdout=subprocess.PIPE, text=True)
    rate = 0.0
    for process in running:
        _, said = process.communicate()
        # "part 1 of 4: 25,000 rows, 4,175,000 tokens in 9.5 s: cards.plan/..."
        made = re.findall(r"([\d,]+) tokens in ([\d.,]+) s:", said)
        if process.returncode != 0 or not made:
            sys.exit(f"a process of the plan ended with {process.returncode}: {said}")
        number = lambda text: float(text.replace(",", ""))
        rate += sum(number(tokens) for tokens, _ in made) / sum(number(seconds) for _, seconds in made)
    use.terminate()
    samples = {}
    for line in use.communicate()[0].splitlines():
        card, percent = line.split(",")
        samples.setdefault(int(card), []).append(int(percent))
    # From the first to the last time that the card was seen at work: loading is not counted.
    def mean(percents):
        at_work = [i for i, percent in enumerate(percents) if percent >= 50]
        return sum(percents[at_work[0]:at_work[-1] + 1]) / 100 / (at_work[-1] + 1 - at_work[0]) if at_work else 0.0
    return rate, [mean(samples.get(card, [])) for card in range(cards)]


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--virpack", required=True); a.add_argument("--scratch", required=True)
    a.add_argument("--sizes", nargs="+", default=["8M", "650M", "3B"]); a.add_argument("--load", default="orf", choices=TOKENS)
    a.add_argument("--seconds", type=float, default=20.0); a.add_argument("--cards", nargs="+", type=int, default=[1, 2, 4, 8])
    a.add_argument("--processes", action="store_true")
    a.add_argument("--models", help="where models are made [default: DIR of --scratch]")
    o, o.more = a.parse_known_args()
    os.makedirs(o.scratch, exist_ok=True)
    os.makedirs(o.models or o.scratch, exist_ok=True)
    o.cards = [cards for cards in o.cards if cards <= cards_here()]
    if not o.cards:
        sys.exit("nvidia-smi lists no card")
    print("size\tcards\ttokens/s\tof one\tof half\tbusy\tseconds\tbytes", flush=True)
    alike = True
    for size in o.sizes:
        model = random_models.esm2(size, o.models or o.scratch)
        tokens = RATES[size] * o.seconds * max(o.cards)
        random_models.proteins(o.scratch, o.load, int(tokens / TOKENS[o.load]))
        fasta = os.path.join(o.scratch, f"{o.load}.fasta")
        rates, first = {}, None
        for cards in o.cards:
            rates[cards], busy, seconds, sha256 = embed(o, model, fasta, cards)
            first = first or sha256
            alike &= sha256 == first
            of = lambda n: f"{rates[cards] / rates[n]:.3f} x" if n in rates and n != cards else "-"
            same = "the first" if cards == o.cards[0] else "the same" if sha256 == first else "DIFFER"
            print(f"{size}\t{cards}\t{rates[cards]:,.0f}\t{of(1)}\t{of(cards // 2)}\t{busy:.1%}\t{seconds:.1f}\t{same}", flush=True)
        if o.processes:
            alone, _ = processes(o, model, fasta, 1, tokens)
            rate, use = processes(o, model, fasta, max(o.cards), tokens)
            use = ", ".join(f"{share:.1%}" for share in use)
            print(f"{size}\t{max(o.cards)} processes\t{rate:,.0f}\t{rate / alone:.3f} x\t-\t{use}\t-\tas parts of a plan", flush=True)
    sys.exit(0 if alike else 1)


if __name__ == "__main__":
    main()
