"""Fits log2 Phi(-a) by a polynomial in -a, for GELU in 16 bits (crates/virpack-device/src/kernels/common.cuh):

    gelu(x) = max(x, 0) - |x| Phi(-|x|)

A linear program: the largest error of GELU, in shares of float16's own rounding error (half a unit in the last place), is
made as small as it can be; beyond x = -5.7, where float16 has only zeros, the logarithm stays below -25. An odd degree falls
without end. Prints degree, coefficients from the constant on, and what a check of 600,000 values in float32 finds. Needs
numpy and scipy.
"""
import numpy as np
from scipy.optimize import linprog
from scipy.special import log_ndtr, ndtr

END, NODES = 5.7, 4000


def rounding_error(y, bits, least):
    return np.maximum(2.0 ** (np.floor(np.log2(np.maximum(y, 1e-300))) - bits - 1), least)


def fit(degree):
    a = np.linspace(1e-4, END, NODES)
    target = log_ndtr(-a) / np.log(2)
    gelu = a * ndtr(-a)
    weight = gelu * np.log(2) / rounding_error(gelu, 10, 2.0 ** -25)
    powers = np.vander(-a, degree + 1, increasing=True)
    tail = np.vander(-np.linspace(END, 12, 200), degree + 1, increasing=True)
    error = -np.ones((NODES, 1))
    rows = [np.hstack([powers * weight[:, None], error]), np.hstack([-powers * weight[:, None], error]),
            np.hstack([tail, np.zeros((len(tail), 1))])]
    bounds = [weight * target, -weight * target, np.full(len(tail), -25.0)]
    free = [(None, None)] * (degree + 1) + [(0, None)]
    solved = linprog(np.r_[np.zeros(degree + 1), 1], A_ub=np.vstack(rows), b_ub=np.concatenate(bounds), bounds=free)
    return solved.x[:-1].astype(np.float32)


def check(c, bits, least):
    x = np.linspace(-30, 30, 600_001).astype(np.float32)
    n, p = -np.abs(x), np.float32(c[-1])
    for term in c[-2::-1]:
        p = (p * n + term).astype(np.float32)
    y = (n.astype(float) * np.exp2(p.astype(float)).astype(np.float32) + np.maximum(x, 0)).astype(np.float32)
    exact = x.astype(float) * ndtr(x.astype(float))
    error = np.abs(y - exact)
    share = error / rounding_error(np.abs(exact), bits, least)
    return f"{share.max():.2f} of the rounding error, {error.max():.1e} absolute"


for degree in 5, 7:
    c = fit(degree)
    print(degree, [float(v) for v in c])
    print("  float16:", check(c, 10, 2.0 ** -25), " bfloat16, results from 6e-5 on:", check(c, 7, 6e-5 / 256))
