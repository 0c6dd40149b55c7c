// float32 values as pairs of float16, for the tensor cores: high = x rounded to float16, low = (x - high) *
// 2^11 rounded. A product of pairs is high high + (high low + low high) / 2^11, the lows' own product left
// out: errors of some 2^-23 of each term, as float32's own. A row of pairs of K values is [K highs | K lows],
// as many bytes as in float32.
//
// Scaled by 2^11 the low half is as precise as the high one down to |x| = 2^-14; below that the pair is off
// by at most 2^-36. Beyond float16's 65,504 the high half is infinite, and what is computed with it is
// reported as not finite. Source: Ootomo and Yokota 2022, Recovering single precision accuracy from Tensor
// Cores.

#define LOW_SCALE 2048.0f

// Pairs of two neighbours: two float16 each, the first value low.
struct Pairs {
    u32 high, low;
};

__device__ __forceinline__ void from_halves(u32 halves, float &first, float &second) {
    asm("{.reg .b16 a, b;\n"
        "mov.b32 {a, b}, %2;\n"
        "cvt.f32.f16 %0, a;\n"
        "cvt.f32.f16 %1, b;}"
        : "=f"(first), "=f"(second)
        : "r"(halves));
}

__device__ __forceinline__ Pairs to_pairs(float first, float second) {
    float a, b;
    Pairs r;
    r.high = two_halves(first, second);
    from_halves(r.high, a, b);
    r.low = two_halves((first - a) * LOW_SCALE, (second - b) * LOW_SCALE);
    return r;
}

__device__ __forceinline__ void from_pairs(Pairs pairs, float &first, float &second) {
    float a, b;
    from_halves(pairs.high, first, second);
    from_halves(pairs.low, a, b);
    first = fmaf(a, 1.0f / LOW_SCALE, first), second = fmaf(b, 1.0f / LOW_SCALE, second);
}

// Four values to column `c`, a multiple of four, of a row of `columns` pairs.
__device__ __forceinline__ void store_pairs(u16 *row, int c, int columns, const float (&v)[4]) {
    Pairs left = to_pairs(v[0], v[1]), right = to_pairs(v[2], v[3]);
    *(uint2 *)(row + c) = make_uint2(left.high, right.high);
    *(uint2 *)(row + columns + c) = make_uint2(left.low, right.low);
}
