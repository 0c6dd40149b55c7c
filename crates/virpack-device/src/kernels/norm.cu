// Layer norm: each row to mean 0 and variance 1, then * weight + bias.
//
// Shapes: x and out [rows, hidden]; weight and bias [hidden] float32. Idea: a warp holds its row in registers, so
// that x is read once and out written once, and the variance is of (x - mean), two passes over registers.
// Limits: `layer_norm_<n>` takes hidden = 32 * VEC * n at most and a multiple of VEC; `layer_norm_any` the rest, by
// reading the row three times.

__device__ __forceinline__ float warp_sum(float v) {
#pragma unroll
    for (int step = 16; step; step /= 2) v += __shfl_xor_sync(FULL, v, step);
    return v;
}

template <int N>
__device__ __forceinline__ void layer_norm(const T *x, const float *weight, const float *bias, float eps, T *out,
                                           int rows, int hidden) {
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
            store_vector(out + c, v[n]);
        }
    }
}

#define LAYER_NORM(N)                                                                                          \
    extern "C" __global__ void layer_norm_##N(const T *x, const float *weight, const float *bias, float eps,   \
                                              T *out, int rows, int hidden) {                                  \
        layer_norm<N>(x, weight, bias, eps, out, rows, hidden);                                                \
    }
LAYER_NORM(1)
LAYER_NORM(2)
LAYER_NORM(3)
LAYER_NORM(4)
LAYER_NORM(5)
LAYER_NORM(8)
LAYER_NORM(10)
LAYER_NORM(20)

extern "C" __global__ void layer_norm_any(const T *x, const float *weight, const float *bias, float eps, T *out,
                                          int rows, int hidden) {
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
