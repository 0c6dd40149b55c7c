"""Models of nucleotides, packed on a device, against what PyTorch gave for them.

    python3 dev/golden.py --virpack target/release/virpack --published ../shared/golden/dnabert_tiny_12h \
        --tiny fixtures/dnabert_tiny [--device cuda]

Prints the largest difference of a value for each model, pooling and precision; exits with 1 where float32's is above 2e-5.
Needs numpy.
"""
import argparse, json, os, subprocess, sys
import numpy as np

TOLERANCE = 2e-5


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--virpack", required=True); a.add_argument("--published", required=True); a.add_argument("--tiny", required=True)
    a.add_argument("--scratch", default="/tmp"); a.add_argument("--device", default="cuda")
    o = a.parse_args()
    published = json.load(open(os.path.join(o.published, "golden.json")))
    tiny = json.load(open(os.path.join(o.tiny, "golden.json")))
    cases = [("published, 12 heads", o.published, published, {"mean": "mean", "cls": "first_token"})]
    for heads in 8, 12:
        own = [g for g in tiny if g["heads"] == heads]
        cases.append((f"tiny, {heads} heads", os.path.join(o.tiny, str(heads)), own, {"mean": "mean", "cls": "cls", "max": "max"}))
    fasta, out = (os.path.join(o.scratch, f"golden.{ending}") for ending in ("fasta", "npy"))
    worst = 0.0
    for name, model, golden, keys in cases:
        open(fasta, "w").write("".join(f">{i}\n{g['sequence']}\n" for i, g in enumerate(golden)))
        for dtype in ("f32", "f16") if o.device.startswith("cuda") else ("f32",):
            for pool, key in keys.items():
                command = [o.virpack, "embed", fasta, "-o", out, "--force", "-q", "--max-length", "100000", "--model", model]
                subprocess.run([*command, "--pool", pool, "--dtype", dtype, "--device", o.device], check=True)
                difference = np.abs(np.load(out) - np.array([g[key] for g in golden])).max()
                worst = max(worst, difference if dtype == "f32" else 0.0)
                print(f"{name}, {dtype}, {pool}: {difference:.1e}", flush=True)
    sys.exit(int(worst > TOLERANCE))


main()
