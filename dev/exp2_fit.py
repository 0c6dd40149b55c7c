"""Fits 2^r on [-1/2, 1/2] for softmax in bfloat16 (crates/virpack-device/src/cpu/math.rs): 1 at 0, and the least maximum
relative error.

Weighted least squares on Chebyshev nodes, reweighted towards the largest errors. Prints the largest relative error of the
float32 coefficients and the coefficients, highest power first. Needs numpy.
"""
import numpy as np

DEGREE, NODES = 4, 20_001

r = np.cos(np.linspace(0, np.pi, NODES)) / 2
powers = np.vander(r, DEGREE + 1, increasing=True)[:, 1:] / 2**r[:, None]
target = 1 - 2**-r
weight = np.ones(NODES)
for _ in range(400):
    fit, *_ = np.linalg.lstsq(powers * np.sqrt(weight)[:, None], target * np.sqrt(weight), rcond=None)
    error = np.abs(powers @ fit - target)
    weight *= error / error.max() + 1e-3
    weight /= weight.mean()
fit = fit.astype(np.float32)
print("largest relative error", np.abs(powers @ fit.astype(float) - target).max())
for c in fit[::-1]:
    print(f"{c:.9e}")
