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

// Of eight rows, a lane's row lane / 4: `sums` += (x x^T, below it a row of x's sums eight times), where `x`
// is any two pairs of its columns.
__device__ __forceinline__ void accumulate_row(float (&sums)[4], u32 x0, u32 x1) {
#if DTYPE == 1
    const u32 ones = 0x3c003c00;
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
#else
    const u32 ones = 0x3f803f80;
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
#endif
                 "{%0,%1,%2,%3}, {%4,%6,%5,%6}, {%4,%5}, {%0,%1,%2,%3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(x0), "r"(x1), "r"(ones));
}

__device__ __forceinline__ u32 subtract(u32 x, u32 y) {
#if DTYPE == 1
    asm("sub.rn.f16x2 %0, %0, %1;" : "+r"(x) : "r"(y));
#else
    asm("sub.rn.bf16x2 %0, %0, %1;" : "+r"(x) : "r"(y));
#endif
    return x;
}

// A warp: computes the scales of eight rows at a time, four lanes a row, until there are none. By the tensor
// cores, because the product is short of other instructions. The variance is that of the differences from the
// mean of the row's first 32 columns, so that a large mean costs no digits.
__device__ __forceinline__ void compute_row_scales(const Norm &norm, int rows, int inputs) {
    const int lane = threadIdx.x & 31, first = (lane & 3) * VEC;
    for (;;) {
        int row = 0;
        if (lane == 0) row = (int)atomicAdd(norm.taken + (norm.launch & 1), 8u);
        row = __shfl_sync(FULL, row, 0) + lane / 4;
        if (row >= rows) return;
        const T *x = norm.x + (u64)row * inputs + first;
        float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        u32 shift = 0;
        for (int from = 0; from < inputs; from += 4 * VEC * VECTORS, x += 4 * VEC * VECTORS) {
            const int left = inputs - from - first;
            uint4 raw[VECTORS];
#pragma unroll
            for (int i = 0; i < VECTORS; i++)
                raw[i] = i * 4 * VEC < left ? *(const uint4 *)(x + i * 4 * VEC) : make_uint4(0, 0, 0, 0);
            if (from == 0) {
                float v[VEC], sum = 0.0f;
                unpack_vector(raw[0], v);
#pragma unroll
                for (int j = 0; j < VEC; j++) sum += v[j];
                sum += __shfl_xor_sync(FULL, sum, 1);
                sum += __shfl_xor_sync(FULL, sum, 2);
                sum *= 1.0f / (4 * VEC);
                shift = pack(sum, sum);
            }
#pragma unroll
            for (int i = 0; i < VECTORS; i++) {
                const u32 less = i * 4 * VEC < left ? shift : 0;
                accumulate_row(sums, subtract(raw[i].x, less), subtract(raw[i].y, less));
                accumulate_row(sums, subtract(raw[i].z, less), subtract(raw[i].w, less));
            }
        }
        // One lane of a row's four has both of its sums.
        const bool odd = lane / 4 & 1;
        const float share = 1.0f / inputs, mean = (odd ? sums[3] : sums[2]) * share;
        const float scale = rsqrtf(fmaf(odd ? sums[1] : sums[0], share, norm.eps - mean * mean));
        const u64 word = (u64)norm.launch << 32 | __float_as_uint(scale);
        if ((lane & 3) == lane / 8)
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
