#!/usr/bin/env python3
"""Every published size beside packed ESM-2 under torch.compile, in turns on one GPU: the table of BENCHMARKS.md.

    python3 dev/sizes.py --virpack PATH --peer ../shared/peers/esm2_gpu.py [--sizes 8M,...] [--loads orf,prot,reads] [--seconds 3]

For each size the peer (its method `compiled`: FlashAttention-3 and bfloat16 where fa3_fwd is installed, else float16) compiles
once and takes every load, three times; then `virpack bench` takes the same loads, in float16 and, with --bf16, in bfloat16, in three rounds.
Prints the median rates in thousand tokens a second, their ratio, and virpack's share of the rate of its own bare products, which
is "unsteady" where the card's clock changed too much meanwhile, twice. --compile-only fills PyTorch's
cache of compiled code, so that the run after it spends its time on measuring. --no-peer SIZES leaves the peer out.
"""
import argparse, gc, json, statistics, subprocess, sys, types
import numpy as np, torch

# Layers, hidden size, heads; sequences of the load `orf` for two thirds of a second of the peer on an H200, or for full batches.
SIZES = {"8M": (6, 320, 20, 13000), "35M": (12, 480, 20, 10000), "150M": (30, 640, 20, 4000),
         "650M": (33, 1280, 20, 1300), "3B": (36, 2560, 40, 1200), "15B": (48, 5120, 40, 250)}
BUDGET = 32768
ROUNDS = 3


def load_peer(path):
    """The peer's module, without the call that ends its script."""
    module = types.ModuleType("peer")
    exec(compile(open(path).read().removesuffix("main()\n"), path, "exec"), module.__dict__)
    return module


@torch.no_grad()
def peer_rates(peer, size, loads, compile_only):
    """Tokens a second of each load."""
    layers, hidden, heads, count = SIZES[size]
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    with torch.device("cuda"):
        model = peer.esm.model.esm2.ESM2(num_layers=layers, embed_dim=hidden, attention_heads=heads, alphabet="ESM-1b",
                                         token_dropout=True).eval()
    attend, dtype = (peer.fa2, torch.float16) if peer.fa3 is None else (peer.fa3_, torch.bfloat16)
    model = model.to(dtype)
    compiled = torch.compile(peer.Packed(model, attend), dynamic=True)
    width = hidden // heads
    angles = torch.arange(1024).float()[:, None] / (10000 ** (torch.arange(0, width, 2).float() / width))
    angles = torch.cat([angles, angles], -1).cuda()
    tables, rates = (angles.cos(), angles.sin()), {}
    for load in loads:
        records = peer.sequences(load, count // 2 if load == "prot" else count, rng)
        batches = list(peer.batches(records, BUDGET, model.alphabet))
        peer.run_packed(compiled, batches[:3], tables)
        if not compile_only:
            seconds = [peer.clock(lambda: peer.run_packed(compiled, batches, tables)) for _ in range(ROUNDS)]
            rates[load] = sum(len(s) + 2 for _, s in records) / statistics.median(seconds)
    return rates


def virpack_rate(o, size, load, dtype):
    """Tokens a second of the model, the median of the rounds, and its share of its bare products: None if unsteady twice."""
    command = [o.virpack, "bench", "--shape", size, "--load", load, "--dtype", dtype, "--json",
               "--seconds", str(o.seconds / ROUNDS), "--rounds", str(ROUNDS)]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, timeout=180)
        if done.returncode != 0:
            sys.exit(f"sizes: {' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
        report = json.loads(done.stdout)
        if not report["unsteady"]:
            break
    return statistics.median(each["tokens_per_second"] for each in report["rounds"]), report["share"]


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--virpack"); a.add_argument("--peer", required=True)
    a.add_argument("--sizes", default=",".join(SIZES)); a.add_argument("--loads", default="orf,prot,reads")
    a.add_argument("--seconds", type=float, default=3); a.add_argument("--bf16", action="store_true")
    a.add_argument("--compile-only", action="store_true"); a.add_argument("--no-peer", default="")
    o = a.parse_args()
    peer, loads = load_peer(o.peer), o.loads.split(",")
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, {'FlashAttention-3, bfloat16' if peer.fa3 else 'FlashAttention-2, float16'}")
    for size in o.sizes.split(","):
        rates = {} if size in o.no_peer.split(",") else peer_rates(peer, size, loads, o.compile_only)
        # The peer's weights are let go before virpack asks how much memory is free.
        torch._dynamo.reset()
        gc.collect()
        torch.cuda.empty_cache()
        for load in [] if o.compile_only else loads:
            cells = [f"{rates[load] / 1e3:,.1f}" if load in rates else "-"]
            for dtype in ("f16", "bf16") if o.bf16 else ("f16",):
                own, share = virpack_rate(o, size, load, dtype)
                ratio = f"{own / rates[load]:.2f} x" if load in rates else "-"
                cells += [f"{own / 1e3:,.1f}", ratio, "unsteady" if share is None else f"{share:.1%}"]
            print("|", " | ".join([size, load, *cells]), "|", flush=True)


if __name__ == "__main__":
    main()
