// Rows as int8 with a scale of their own, the rows of weights likewise, and back.
//
// Shapes: x [rows, columns], 16-bit floats; a row of bytes takes as much memory, [columns int8 | the row's
// scale, float32 | nothing], so that a row can take its own place. weight [outputs, inputs] float32. Compiled
// with -DLANES threads a row, whole warps, in blocks of -DTHREADS, and -DVECTORS of eight columns that a
// thread holds of its row.
//
// Idea: a row's largest value becomes 127, so an outlier costs all others their digits. Blocks of -DBLOCK
// columns (16, 32 or 64) are turned by a Hadamard matrix before, which spreads it over its block. The matrix
// is its own inverse and symmetric: the product of turned rows and turned weights equals that of the rows and
// weights themselves. Sources: QuIP# and QuaRot (Tseng et al., Ashkboos et al. 2024).
//
// A row that holds NaN or infinity has such a scale, which appears in everything computed from the row.
// Limits: columns a multiple of BLOCK, at most 8 * LANES * VECTORS.

#define MAGIC 12582912.0f  // 1.5 * 2^23: a float of this size has units of 1, its last byte is an int8

static_assert(LANES == 32 || LANES == THREADS, "a row has a warp, or a block");

template <typename Join> __device__ __forceinline__ u32 joined(u32 v, Join join) {
#pragma unroll
    for (int step = 16; step; step /= 2) v = join(v, __shfl_xor_sync(FULL, v, step));
#if LANES > 32
    __shared__ u32 parts[LANES / 32];
    __syncthreads();
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
    __syncthreads();
    v = parts[0];
#pragma unroll
    for (int i = 1; i < LANES / 32; i++) v = join(v, parts[i]);
#endif
    return v;
}

__device__ __forceinline__ float sum_of(float v) {
    return __uint_as_float(joined(__float_as_uint(v), [](u32 a, u32 b) {
        return __float_as_uint(__uint_as_float(a) + __uint_as_float(b));
    }));
}

// Of numbers without sign, by their bits: NaN is the largest.
__device__ __forceinline__ float largest_of(u32 v) {
    return __uint_as_float(joined(v, [](u32 a, u32 b) { return a > b ? a : b; }));
}

__device__ __forceinline__ u32 last_bytes(float a, float b, float c, float d) {
    u32 low = __byte_perm(__float_as_uint(a), __float_as_uint(b), 0x0040);
    u32 high = __byte_perm(__float_as_uint(c), __float_as_uint(d), 0x0040);
    return __byte_perm(low, high, 0x5410);
}

// A thread's columns of its row: eight of each vector, of which neighbours in the row are neighbours here.
struct Row {
    float v[VECTORS][8];
};

template <typename Each> __device__ __forceinline__ void for_vectors(int columns, Each each) {
    const int lane = threadIdx.x % LANES;
#pragma unroll
    for (int n = 0; n < VECTORS; n++) {
        const int c = (n * LANES + lane) * 8;
        if (c < columns) each(n, c);
    }
}

// Every block times the Hadamard matrix of ones and minus ones; its inverse is the same over BLOCK.
__device__ __forceinline__ void turn(Row &row) {
#pragma unroll
    for (int n = 0; n < VECTORS; n++) {
        float(&v)[8] = row.v[n];
#pragma unroll
        for (int step = 1; step < 8; step *= 2)
#pragma unroll
            for (int i = 0; i < 8; i++)
                if ((i & step) == 0) {
                    const float sum = v[i] + v[i + step];
                    v[i + step] = v[i] - v[i + step], v[i] = sum;
                }
#pragma unroll
        for (int step = 1; step < BLOCK / 8; step *= 2) {
            const float sign = threadIdx.x & step ? -1.0f : 1.0f;
#pragma unroll
            for (int i = 0; i < 8; i++) v[i] = fmaf(v[i], sign, __shfl_xor_sync(FULL, v[i], step));
        }
    }
}

__device__ __forceinline__ float largest(const Row &row) {
    u32 bits = 0;
#pragma unroll
    for (int n = 0; n < VECTORS; n++)
#pragma unroll
        for (int i = 0; i < 8; i++) bits = max(bits, __float_as_uint(row.v[n][i]) & 0x7fffffffu);
    return largest_of(bits);
}

__device__ __forceinline__ void store_bytes(const Row &row, float factor, unsigned char *out, int columns) {
    for_vectors(columns, [&](int n, int c) {
        float v[8];
#pragma unroll
        for (int i = 0; i < 8; i++) v[i] = fmaf(row.v[n][i], factor, MAGIC);
        *(uint2 *)(out + c) =
            make_uint2(last_bytes(v[0], v[1], v[2], v[3]), last_bytes(v[4], v[5], v[6], v[7]));
    });
}

__device__ __forceinline__ int own_row() { return blockIdx.x * (THREADS / LANES) + threadIdx.x / LANES; }

// With -DNORMED=1 of rows of mean 0 and variance 1, times norm_weight [columns]. `out` may be x.
extern "C" __global__ void __launch_bounds__(THREADS)
    quantize_rows(const T *x, const float *norm_weight, float eps, unsigned char *out, int rows,
                  int columns) {
    if (own_row() >= rows) return;
    x += (u64)own_row() * columns;
    out += (u64)own_row() * columns * 2;
    Row row = {};
    for_vectors(columns, [&](int n, int c) { load_vector(x + c, row.v[n]); });
    float deviation = 1.0f;
#if NORMED
    float sum = 0.0f, squares = 0.0f;
#pragma unroll
    for (int n = 0; n < VECTORS; n++)
#pragma unroll
        for (int i = 0; i < 8; i++) sum += row.v[n][i];
    const float mean = sum_of(sum) / columns;
    for_vectors(columns, [&](int n, int c) {
        float w[8];
        *(float4 *)w = *(const float4 *)(norm_weight + c);
        *(float4 *)(w + 4) = *(const float4 *)(norm_weight + c + 4);
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const float v = row.v[n][i] - mean;
            squares = fmaf(v, v, squares);
            row.v[n][i] = v * w[i];
        }
    });
    deviation = sqrtf(sum_of(squares) / columns + eps);
#endif
    turn(row);
    const float most = largest(row);
    store_bytes(row, 127.0f / most, out, columns);
    if (threadIdx.x % LANES == 0) *(float *)(out + columns) = most / (127.0f * sqrtf(BLOCK) * deviation);
}

// A row of bytes to 16-bit floats.
extern "C" __global__ void __launch_bounds__(THREADS)
    expand_rows(const unsigned char *x, T *out, int rows, int columns) {
    if (own_row() >= rows) return;
    x += (u64)own_row() * columns * 2;
    out += (u64)own_row() * columns;
    const float scale = *(const float *)(x + columns) / sqrtf(BLOCK);
    Row row = {};
    for_vectors(columns, [&](int n, int c) {
#pragma unroll
        for (int i = 0; i < 8; i++) row.v[n][i] = (signed char)x[c + i] * scale;
    });
    turn(row);
    for_vectors(columns, [&](int n, int c) { store_vector(out + c, row.v[n]); });
}

// A weight's rows to `values` [outputs, inputs], their scales rounded up to bfloat16, and zeros that stand
// for a bias. Where there is a norm before, its bias's share, weight * norm_bias, is added to `bias`.
extern "C" __global__ void __launch_bounds__(THREADS)
    quantize_weight(const float *weight, const float *norm_bias, float *bias, unsigned char *values,
                    u16 *scales, u16 *zeros, int outputs, int inputs) {
    if (own_row() >= outputs) return;
    weight += (u64)own_row() * inputs;
    Row row = {};
    float share = 0.0f;
    for_vectors(inputs, [&](int n, int c) {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            row.v[n][i] = weight[c + i];
            if (norm_bias) share = fmaf(row.v[n][i], norm_bias[c + i], share);
        }
    });
    share = sum_of(share);
    turn(row);
    const u32 exact = __float_as_uint(largest(row) / (127.0f * sqrtf(BLOCK)));
    // NaN and infinity stay what they are.
    const u32 scale = exact < 0x7f7f0000u ? (exact + 0xffffu) & 0xffff0000u : exact;
    store_bytes(row, 1.0f / (sqrtf(BLOCK) * __uint_as_float(scale)), values + (u64)own_row() * inputs,
                inputs);
    if (threadIdx.x % LANES == 0) {
        scales[own_row()] = (u16)(scale >> 16);
        zeros[own_row()] = 0;
        if (norm_bias) bias[own_row()] += share;
    }
}
