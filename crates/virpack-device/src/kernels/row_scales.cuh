// The scale of a row of x in a layer norm, 1 / deviation, measured by warps of the kernel that needs it while
// its other warps multiply. 16-bit floats.

// A launch's rows to be normed. Rows are taken by counting up `taken[launch % 2]`, which begins at 0: a
// launch leaves the other one so for the next. A row's scale is two words written as one, (1 / deviation,
// launch), so that it tells whether it is ready.
struct Norm {
    const T *x;
    u64 *scales;  // [rows]
    u32 *taken;   // [2]
    u32 launch;
    float eps;
};

#define VECTORS 4  // of eight columns that a lane holds of a row at once

__device__ __forceinline__ u32 subtract(u32 x, u32 y) {
#if DTYPE == 1
    asm("sub.rn.f16x2 %0, %0, %1;" : "+r"(x) : "r"(y));
#else
    asm("sub.rn.bf16x2 %0, %0, %1;" : "+r"(x) : "r"(y));
#endif
    return x;
}

// Adds a pair's values to `sum` and their squares to `squares`.
__device__ __forceinline__ void add_pair(float &sum, float &squares, u32 pair) {
    float low, high;
    unpack(pair, low, high);
    sum += low + high;
    squares = fmaf(low, low, fmaf(high, high, squares));
}

__device__ __forceinline__ float sum_of_four_lanes(float x) {
    x += __shfl_xor_sync(FULL, x, 1);
    return x + __shfl_xor_sync(FULL, x, 2);
}

// A warp: computes the scales of eight rows at a time, four lanes a row, until there are none. By ordinary
// instructions: `mma` would wait for the products of the other warps each time. The variance is that of the
// differences from the mean of the row's first 32 columns, so that a large mean costs no digits.
__device__ __forceinline__ void compute_row_scales(const Norm &norm, int rows, int inputs) {
    const int lane = threadIdx.x & 31, first = (lane & 3) * VEC;
    auto take = [&] { return lane == 0 ? (int)atomicAdd(norm.taken + (norm.launch & 1), 8u) : 0; };
    int next = take();
    for (;;) {
        const int row = __shfl_sync(FULL, next, 0) + lane / 4;
        if (row >= rows) return;
        // Asked for here, so that it is there when these rows are done.
        next = take();
        const T *x = norm.x + (u64)row * inputs + first;
        float sum = 0.0f, squares = 0.0f;
        u32 shift = 0;
        for (int from = 0; from < inputs; from += 4 * VEC * VECTORS, x += 4 * VEC * VECTORS) {
            const int left = inputs - from - first;
            uint4 raw[VECTORS];
#pragma unroll
            for (int i = 0; i < VECTORS; i++)
                raw[i] = i * 4 * VEC < left ? *(const uint4 *)(x + i * 4 * VEC) : make_uint4(0, 0, 0, 0);
            if (from == 0) {
                float v[VEC], first_sum = 0.0f;
                unpack_vector(raw[0], v);
#pragma unroll
                for (int j = 0; j < VEC; j++) first_sum += v[j];
                first_sum = sum_of_four_lanes(first_sum) * (1.0f / (4 * VEC));
                shift = pack(first_sum, first_sum);
            }
#pragma unroll
            for (int i = 0; i < VECTORS; i++) {
                const u32 less = i * 4 * VEC < left ? shift : 0;
                add_pair(sum, squares, subtract(raw[i].x, less));
                add_pair(sum, squares, subtract(raw[i].y, less));
                add_pair(sum, squares, subtract(raw[i].z, less));
                add_pair(sum, squares, subtract(raw[i].w, less));
            }
        }
        const float share = 1.0f / inputs, mean = sum_of_four_lanes(sum) * share;
        const float square = sum_of_four_lanes(squares);
        const float scale = rsqrtf(fmaf(square, share, norm.eps - mean * mean));
        const u64 word = (u64)norm.launch << 32 | __float_as_uint(scale);
        if ((lane & 3) == 0)
            asm volatile("st.relaxed.gpu.global.b64 [%0], %1;" ::"l"(norm.scales + row), "l"(word)
                         : "memory");
    }
}

// The words of a thread's two rows, ready or not.
struct RowScales {
    u64 upper, lower;
};

__device__ __forceinline__ RowScales read_row_scales(const u64 *scales) {
    RowScales s;
    asm volatile("ld.relaxed.gpu.global.b64 %0, [%1];" : "=l"(s.upper) : "l"(scales) : "memory");
    asm volatile("ld.relaxed.gpu.global.b64 %0, [%1];" : "=l"(s.lower) : "l"(scales + 8) : "memory");
    return s;
}

__device__ __forceinline__ bool are_ready(const RowScales &s, u32 launch) {
    return (u32)(s.upper >> 32) == launch && (u32)(s.lower >> 32) == launch;
}
