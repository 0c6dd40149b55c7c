// Windows of tokens: the sum of a table's rows for each, and rows side by side.
//
// Shapes: table [window * vocabulary, hidden], bias [hidden] float32, x [tokens, columns], out [tokens,
// hidden] or [tokens, window * columns], row-major. Idea: block (sequence, share), a warp a token; sums are
// float32, over the window in its order, so that a token's bits depend on its sequence alone. Limits: none on
// shapes; rows that are not a multiple of 16 bytes take one value a thread. Source: a convolution over
// one-hot tokens is a sum of rows of its weight.

// The tokens of the window around `token` that are inside its sequence of `length`: places [first, end).
__device__ __forceinline__ int first_place(int token, int window) { return max(0, window / 2 - token); }
__device__ __forceinline__ int end_place(int token, int window, int length) {
    return min(window, length - token + window / 2);
}

extern "C" __global__ void embed_window(const T *table, const float *bias, const u16 *input_ids,
                                        const int *cu_seqlens, int hidden, int window, int vocabulary,
                                        T *out) {
    Span s = span_of(cu_seqlens, blockIdx.x);
    int lane = threadIdx.x & 31, warps = blockDim.x / 32;
    for (int token = blockIdx.y * warps + threadIdx.x / 32; token < s.length; token += gridDim.y * warps) {
        int first = first_place(token, window), end = end_place(token, window, s.length);
        const u16 *ids = input_ids + s.start + token - window / 2;
        T *to = out + (u64)(s.start + token) * hidden;
        if (hidden % VEC == 0) {
            for (int c = lane * VEC; c < hidden; c += 32 * VEC) {
                float sum[VEC];
#pragma unroll
                for (int i = 0; i < VEC; i++) sum[i] = bias[c + i];
                for (int place = first; place < end; place++) {
                    float v[VEC];
                    load_vector(table + ((u64)place * vocabulary + ids[place]) * hidden + c, v);
#pragma unroll
                    for (int i = 0; i < VEC; i++) sum[i] += v[i];
                }
                store_vector(to + c, sum);
            }
        } else {
            for (int c = lane; c < hidden; c += 32) {
                float sum = bias[c];
                for (int place = first; place < end; place++) {
                    sum += to_float(table[((u64)place * vocabulary + ids[place]) * hidden + c]);
                }
                to[c] = from_float(sum);
            }
        }
    }
}

extern "C" __global__ void unfold(const T *x, const int *cu_seqlens, int columns, int window, T *out) {
    Span s = span_of(cu_seqlens, blockIdx.x);
    int lane = threadIdx.x & 31, warps = blockDim.x / 32;
    for (int token = blockIdx.y * warps + threadIdx.x / 32; token < s.length; token += gridDim.y * warps) {
        int first = first_place(token, window), end = end_place(token, window, s.length);
        T *to = out + (u64)(s.start + token) * window * columns;
        // Rows inside the sequence lie side by side in x, too: one stretch of it.
        const T *from = x + ((long long)(s.start + token) - window / 2) * columns;
        int begin = first * columns, stop = end * columns, all = window * columns;
        if (columns % VEC == 0) {
            const uint4 none = make_uint4(0, 0, 0, 0);
            for (int c = lane * VEC; c < all; c += 32 * VEC) {
                bool inside = c >= begin && c < stop;
                *(uint4 *)(to + c) = inside ? *(const uint4 *)(from + c) : none;
            }
        } else {
            for (int c = lane; c < all; c += 32) to[c] = c >= begin && c < stop ? from[c] : (T)0;
        }
    }
}
