// Embedding lookup and element-by-element operations.
//
// Shapes: table [vocabulary, hidden], x and y [rows, columns], row-major. Idea: 16 bytes a thread, in place
// where the trait allows it. Limits: none on shapes; rows that are not a multiple of 16 bytes take one value
// a thread. Token dropout: fair-esm's ESM2.forward (see `TokenDropout`).

// Block (sequence, share): counts the sequence's <mask> tokens, then writes its share of the rows.
extern "C" __global__ void embed(const T *table, const u16 *input_ids, const int *cu_seqlens, int hidden,
                                 int mask_token, float train_keep, T *out) {
    __shared__ int masked;
    Span s = span_of(cu_seqlens, blockIdx.x);
    float scale = 1.0f;
    if (mask_token >= 0) {
        if (threadIdx.x == 0) masked = 0;
        __syncthreads();
        int own = 0;
        for (int i = threadIdx.x; i < s.length; i += blockDim.x) own += input_ids[s.start + i] == mask_token;
        if (own) atomicAdd(&masked, own);
        __syncthreads();
        scale = train_keep / (1.0f - (float)masked / (float)s.length);
    }
    int lane = threadIdx.x & 31, warps = blockDim.x / 32;
    for (int row = blockIdx.y * warps + threadIdx.x / 32; row < s.length; row += gridDim.y * warps) {
        int id = input_ids[s.start + row];
        float factor = id == mask_token ? 0.0f : scale;
        const T *from = table + (u64)id * hidden;
        T *to = out + (u64)(s.start + row) * hidden;
        if (hidden % VEC == 0) {
            for (int c = lane * VEC; c < hidden; c += 32 * VEC) {
                float v[VEC];
                load_vector(from + c, v);
#pragma unroll
                for (int i = 0; i < VEC; i++) v[i] *= factor;
                store_vector(to + c, v);
            }
        } else {
            for (int c = lane; c < hidden; c += 32) to[c] = from_float(to_float(from[c]) * factor);
        }
    }
}

extern "C" __global__ void gelu_in_place(T *x, u64 count) {
    u64 i = ((u64)blockIdx.x * blockDim.x + threadIdx.x) * VEC;
    if (i + VEC <= count) {
        float v[VEC];
        load_vector(x + i, v);
#pragma unroll
        for (int j = 0; j < VEC; j++) v[j] = gelu(v[j]);
        store_vector(x + i, v);
    } else {
        for (; i < count; i++) x[i] = from_float(gelu(to_float(x[i])));
    }
}

extern "C" __global__ void add_in_place(T *x, const T *y, u64 count) {
    u64 i = ((u64)blockIdx.x * blockDim.x + threadIdx.x) * VEC;
    if (i + VEC <= count) {
        float a[VEC], b[VEC];
        load_vector(x + i, a);
        load_vector(y + i, b);
#pragma unroll
        for (int j = 0; j < VEC; j++) a[j] += b[j];
        store_vector(x + i, a);
    } else {
        for (; i < count; i++) x[i] = from_float(to_float(x[i]) + to_float(y[i]));
    }
}

// x [rows, 2 width] = [gate | value]; out [rows, width], in float32 as pairs of float16 (pairs.cuh) where
// `pairs` says so: then width is a multiple of 4.
extern "C" __global__ void gated_gelu(const T *x, T *out, u64 count, int width, int pairs) {
    u64 i = ((u64)blockIdx.x * blockDim.x + threadIdx.x) * VEC;
    if (width % VEC == 0) {
        if (i >= count) return;
        u64 row = i / width, column = i % width;
        float gate[VEC], value[VEC];
        load_vector(x + row * 2 * width + column, gate);
        load_vector(x + row * 2 * width + width + column, value);
#pragma unroll
        for (int j = 0; j < VEC; j++) value[j] *= gelu(gate[j]);
#if DTYPE == 0
        if (pairs) store_pairs((u16 *)out + row * 2 * width, column, width, value);
        else
#endif
            store_vector(out + i, value);
    } else {
        for (int j = 0; j < VEC && i < count; j++, i++) {
            const T *at = x + (i / width) * 2 * width + i % width;
            out[i] = from_float(gelu(to_float(at[0])) * to_float(at[width]));
        }
    }
}

// To float32, for `read`.
extern "C" __global__ void widen(const T *x, float *out, u64 count) {
    u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = to_float(x[i]);
}

// From float32, for uploads.
extern "C" __global__ void narrow(const float *x, T *out, u64 count) {
    u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = from_float(x[i]);
}

// Counts how many of `count` values differ in their bits; all NaN are equal.
extern "C" __global__ void differing(const T *x, const T *y, u64 count, u32 *found) {
    u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    bool differs = false;
    if (i < count) {
#if DTYPE == 0
        differs = __float_as_uint(x[i]) != __float_as_uint(y[i]);
#else
        differs = x[i] != y[i];
#endif
        float a = to_float(x[i]), b = to_float(y[i]);
        differs = differs && !(a != a && b != b);
    }
    int all = __syncthreads_count(differs);
    if (threadIdx.x == 0 && all) atomicAdd(found, (u32)all);
}
