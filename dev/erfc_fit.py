"""Fits ln(erfc(t)) / t on [0, 5] for the exact GELU (crates/virpack-device/src/cpu/math.rs).

Weighted least squares on Chebyshev nodes, the weight being the error a term causes in GELU; reweighted a
few times towards the largest errors. Prints the largest weighted error and the coefficients, lowest power
first. Needs numpy.
"""
import math

import numpy as np

DEGREE, END, NODES = 10, 5.0, 4000

nodes = np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)
t = (nodes + 1) / 2 * END
target = np.array([math.log(math.erfc(v)) for v in t])
gelu_weight = np.array([math.erfc(v) * (v + 0.3) for v in t]) + 1e-9
scale = END ** np.arange(1, DEGREE + 1)
powers = np.vander(t, DEGREE + 1, increasing=True)[:, 1:]
weight = gelu_weight.copy()
for _ in range(60):
    fit, *_ = np.linalg.lstsq(powers * weight[:, None] / scale, target * weight, rcond=None)
    fit = fit / scale
    error = np.abs(powers @ fit - target) * gelu_weight
    weight *= np.sqrt(1 + error / error.max())
print("largest weighted error", error.max())
for c in fit.astype(np.float32):
    print(f"{c:.9e}")
