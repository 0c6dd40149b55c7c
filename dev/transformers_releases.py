#!/usr/bin/env python3
"""Loads an ESM-2 with each release of transformers given, saves it in float32, float16 and bfloat16, and compares what
virpack embeds of each saved directory with what that release computes of it in float32.

    python dev/transformers_releases.py ../shared/models/esm2_t6_8M_finetuned target/release/virpack PYTHON...

PYTHON is the interpreter of an environment with torch, transformers, safetensors and numpy; one for each release. The
table of dev/integrity.md, section 4, is what this prints. It ends with 1 where a difference is above 2e-5.
"""

import json
import pathlib
import random
import subprocess
import sys
import tempfile

# A model loaded in 16 bits keeps its rotary frequencies in float32; one that is cast to them does not.
FORMS = ["float32", "float16", "bfloat16", "float16 cast", "bfloat16 cast"]
LIMIT = 2e-5


def sequences():
    """Proteins of 1 to 700 residues, all letters of the alphabet among them."""
    rng = random.Random(13)
    lengths = [1, 2, 7, 20, 55, 120, 333, 700]
    return ["".join(rng.choices("LAGVSERTIDPKQNFYMHWCXBUZO", k=length)) for length in lengths]


def worker(model, out):
    """Runs in each environment: saves the model and the embeddings that this release computes of what it saved."""
    import numpy
    import torch
    import transformers

    tokens = {letter: i for i, letter in enumerate("LAGVSERTIDPKQNFYMHWCXBUZO", 4)}
    facts = {"transformers": transformers.__version__, "torch": torch.__version__, "names": {}}
    for dtype in FORMS:
        folder = out / dtype
        precision, *cast = dtype.split()
        precision = getattr(torch, precision)
        loaded_in = torch.float32 if cast else precision
        saved = transformers.EsmForMaskedLM.from_pretrained(model, torch_dtype=loaded_in)
        if cast:
            saved = saved.to(precision)
        # Old releases write pytorch_model.bin unless told so.
        saved.save_pretrained(folder, safe_serialization=True)
        loaded = transformers.EsmModel.from_pretrained(folder, torch_dtype=torch.float32).eval()
        rows = []
        with torch.no_grad():
            for sequence in sequences():
                ids = torch.tensor([[0, *(tokens[letter] for letter in sequence), 2]])
                hidden = loaded(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0, 1:-1]
                rows.append(hidden.double().mean(0).float().numpy())
        numpy.save(out / f"{dtype}.npy", numpy.stack(rows))
        from safetensors import safe_open

        with safe_open(folder / "model.safetensors", "pt") as file:
            frequencies = [name for name in file.keys() if "inv_freq" in name]
            kinds = sorted({str(file.get_tensor(name).dtype).removeprefix("torch.") for name in frequencies})
        facts["names"][dtype] = [len(frequencies), frequencies[0] if frequencies else "none", ", ".join(kinds)]
    (out / "facts.json").write_text(json.dumps(facts))


def compare(python, model, virpack):
    """Prints this release's rows of the table; gives the largest difference."""
    # The driver's own environment may have no numpy: the comparison runs in the release's.
    script = "import numpy,sys;a,b=map(numpy.load,sys.argv[1:]);print(abs(a-b).max(),abs(a-b).max()/abs(a).max())"
    largest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder)
        subprocess.run([python, __file__, "--worker", model, out], check=True, stdout=subprocess.DEVNULL)
        facts = json.loads((out / "facts.json").read_text())
        fasta = out / "sequences.faa"
        fasta.write_text("".join(f">{i}\n{sequence}\n" for i, sequence in enumerate(sequences())))
        for dtype in FORMS:
            rows = out / f"virpack_{dtype}.npy"
            run = [virpack, "embed", fasta, "--model", out / dtype, "-o", rows, "--device", "cpu", "--quiet"]
            ended = subprocess.run(run, capture_output=True, text=True)
            if ended.returncode != 0:
                print(f"| {facts['transformers']} | {dtype} | failed: {ended.stderr.splitlines()[0]} |")
                largest = float("inf")
                continue
            told = subprocess.run(
                [python, "-c", script, out / f"{dtype}.npy", rows], check=True, capture_output=True, text=True
            )
            difference, relative = map(float, told.stdout.split())
            largest = max(largest, difference)
            count, name, kinds = facts["names"][dtype]
            versions = f"{facts['transformers']} (torch {facts['torch'].split('+')[0]})"
            print(f"| {versions} | {dtype} | `{name}` × {count}, {kinds} | {difference:.1e} | {relative:.1e} |", flush=True)
    return largest


def main():
    if sys.argv[1] == "--worker":
        return worker(sys.argv[2], pathlib.Path(sys.argv[3]))
    model, virpack, *pythons = sys.argv[1:]
    print("| release | saved as | rotary frequencies in the file | max-abs | of the largest value |\n| --- | --- | --- | ---: | ---: |")
    differences = [compare(python, model, virpack) for python in pythons]
    sys.exit(1 if max(differences) > LIMIT else 0)


main()
