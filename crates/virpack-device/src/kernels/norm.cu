// Layer norm: each row to mean 0 and variance 1, then * weight + bias.
//
// Shapes: x and out [rows, hidden]; weight and bias [hidden] float32. Idea: a warp holds its row in
// registers, so that x is read once and out written once, and the variance is of (x - mean), two passes over
// registers. In float32 out is rows of pairs of float16 (pairs.cuh) if `pairs`: a product reads them next.
// Limits: `layer_norm_<n>` takes hidden = 32 * VEC * n at most and a multiple of VEC;
// `layer_norm_any` the rest, by reading the row three times.

__device__ __forceinline__ float warp_sum(float v) {
#pragma unroll
    for (int step = 16; step; step /= 2) v += __shfl_xor_sync(FULL, v, step);
    return v;
}

template <int N>
__device__ __forceinline__ void layer_norm(const T *x, const float *weight, const float *bias, float eps,
                                           T *out, int rows, int hidden, int pairs) {
    int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x & 31;
    if (row >= rows) return;
    x += (u64)row * hidden;
    out += (u64)row * hidden;
    float v[N][VEC];
    float sum = 0.0f;
#pragma unroll
    for (int n = 0; n < N; n++) {
        int c = (n * 32 + lane) * VEC;
        if (c < hidden) load_vector(x + c, v[n]);
    }
#pragma unroll
    for (int n = 0; n < N; n++) {
        if ((n * 32 + lane) * VEC < hidden) {
#pragma unroll
            for (int i = 0; i < VEC; i++) sum += v[n][i];
        }
    }
    float mean = warp_sum(sum) / hidden;
    float squares = 0.0f;
#pragma unroll
    for (int n = 0; n < N; n++) {
        if ((n * 32 + lane) * VEC < hidden) {
#pragma unroll
            for (int i = 0; i < VEC; i++) {
                v[n][i] -= mean;
                squares = fmaf(v[n][i], v[n][i], squares);
            }
        }
    }
    float scale = 1.0f / sqrtf(warp_sum(squares) / hidden + eps);
#pragma unroll
    for (int n = 0; n < N; n++) {
        int c = (n * 32 + lane) * VEC;
        if (c < hidden) {
            float4 w[VEC / 4], b[VEC / 4];
#pragma unroll
            for (int i = 0; i < VEC / 4; i++) {
                w[i] = *(const float4 *)(weight + c + 4 * i);
                b[i] = *(const float4 *)(bias + c + 4 * i);
            }
#pragma unroll
            for (int i = 0; i < VEC / 4; i++) {
                v[n][4 * i] = fmaf(v[n][4 * i] * scale, w[i].x, b[i].x);
                v[n][4 * i + 1] = fmaf(v[n][4 * i + 1] * scale, w[i].y, b[i].y);
                v[n][4 * i + 2] = fmaf(v[n][4 * i + 2] * scale, w[i].z, b[i].z);
                v[n][4 * i + 3] = fmaf(v[n][4 * i + 3] * scale, w[i].w, b[i].w);
            }
#if DTYPE == 0
            if (pairs) store_pairs((u16 *)out, c, hidden, v[n]);
            else
#endif
                store_vector(out + c, v[n]);
        }
    }
}

#define LAYER_NORM(N)                                                                                        \
    extern "C" __global__ void layer_norm_##N(const T *x, const float *weight, const float *bias, float eps, \
                                              T *out, int rows, int hidden, int pairs) {                     \
        layer_norm<N>(x, weight, bias, eps, out, rows, hidden, pairs);                                       \
    }
LAYER_NORM(1)
LAYER_NORM(2)
LAYER_NORM(3)
LAYER_NORM(4)
LAYER_NORM(5)
LAYER_NORM(8)
LAYER_NORM(10)
LAYER_NORM(20)

extern "C" __global__ void layer_norm_any(const T *x, const float *weight, const float *bias, float eps,
                                          T *out, int rows, int hidden, int) {
    int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x & 31;
    if (row >= rows) return;
    x += (u64)row * hidden;
    out += (u64)row * hidden;
    float sum = 0.0f, squares = 0.0f;
    for (int c = lane; c < hidden; c += 32) sum += to_float(x[c]);
    float mean = warp_sum(sum) / hidden;
    for (int c = lane; c < hidden; c += 32) {
        float v = to_float(x[c]) - mean;
        squares = fmaf(v, v, squares);
    }
    float scale = 1.0f / sqrtf(warp_sum(squares) / hidden + eps);
    for (int c = lane; c < hidden; c += 32)
        out[c] = from_float(fmaf((to_float(x[c]) - mean) * scale, weight[c], bias[c]));
}

#if DTYPE != 0
// A layer norm folded into the linear layer after it, so that a product of x itself gives the norm's and the
// layer's result as folded x / deviation + bias: rows of `folded` are weight * norm_weight less their mean,
// which takes x's mean out; the bias gets weight norm_bias added, in place.
//
// Shapes: weight and folded [outputs, inputs], norm_weight and norm_bias [inputs], bias [outputs], all
// float32 but `folded`. Idea: a warp a row. Rounding leaves a row a sum, which x's mean would be multiplied
// by: values are moved to their other neighbour in the dtype, one in a few dozen, until less than a last
// digit is left.
extern "C" __global__ void fold(const float *weight, const float *norm_weight, const float *norm_bias,
                                float *bias, T *folded, int outputs, int inputs) {
    int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x & 31;
    if (row >= outputs) return;
    weight += (u64)row * inputs;
    folded += (u64)row * inputs;
    float sum = 0.0f, dot = 0.0f;
    for (int c = lane; c < inputs; c += 32) {
        sum = fmaf(weight[c], norm_weight[c], sum);
        dot = fmaf(weight[c], norm_bias[c], dot);
    }
    const float mean = warp_sum(sum) / inputs;
    dot = warp_sum(dot);
    if (lane == 0) bias[row] += dot;
    double left = 0.0;
    for (int c = lane; c < inputs; c += 32) {
        T rounded = from_float(fmaf(weight[c], norm_weight[c], -mean));
        folded[c] = rounded;
        left += to_float(rounded);
    }
#pragma unroll
    for (int step = 16; step; step /= 2) left += __shfl_xor_sync(FULL, left, step);
    for (int from = 0; from < inputs; from += 32) {
        const int c = from + lane;
        T other = 0;
        double gain = 0.0;
        if (c < inputs) {
            T rounded = folded[c];
            float value = to_float(rounded), error = value - fmaf(weight[c], norm_weight[c], -mean);
            // A value that was rounded in the direction of the sum's error.
            if (error * left > 0.0 && value != 0.0f) {
                other = value > 0.0f == error > 0.0f ? rounded - 1 : rounded + 1;
                gain = fabs((double)value - to_float(other));
            }
        }
        double moved = gain;
#pragma unroll
        for (int step = 1; step < 32; step *= 2) {
            double before = __shfl_up_sync(FULL, moved, step);
            if (lane >= step) moved += before;
        }
        bool moves = moved <= fabs(left);
        if (moves && gain > 0.0) folded[c] = other;
        // The total change of the lanes up to the last one that moves.
        const int movers = __popc(__ballot_sync(FULL, moves));
        double done = __shfl_sync(FULL, moved, max(movers - 1, 0));
        if (movers) left -= left > 0.0 ? done : -done;
    }
}
#endif
