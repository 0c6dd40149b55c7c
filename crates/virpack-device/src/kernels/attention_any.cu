// Varlen attention for any head width up to WIDEST (-DWIDEST) and any dtype: simple, in float32, the
// reference on the card.
//
// Shapes: qkv [tokens, 3 hidden], out [tokens, hidden], slopes [heads] or null. Idea: a warp a query; 32 keys
// at a time, a lane a key for the scores, a lane a dimension for the values; online softmax (Milakov &
// Gimelshein 2018). Limits: width at most WIDEST. The matrix units are not used; attention.cu is the fast
// kernel for 16 bits.

extern "C" __global__ void attention_any(const T *qkv, const Item *items, const float *slopes, T *out,
                                         int heads, int width, float scale) {
    extern __shared__ float queries[];
    Item item = items[blockIdx.x];
    int head = blockIdx.y, hidden = heads * width, lane = threadIdx.x & 31, warp = threadIdx.x / 32;
    float slope = slopes ? slopes[head] : 0.0f;
    float *query = queries + warp * width;
    const T *keys = qkv + (u64)item.start * 3 * hidden + hidden + head * width;
    for (int row = item.row + warp; row < item.row + item.rows; row += blockDim.x / 32) {
        const T *from = qkv + (u64)(item.start + row) * 3 * hidden + head * width;
        for (int c = lane; c < width; c += 32) query[c] = to_float(from[c]) * scale;
        __syncwarp();
        float sums[WIDEST / 32] = {};
        float highest = NEGATIVE_INFINITY, total = 0.0f;
        for (int base = 0; base < item.length; base += 32) {
            int key = base + lane;
            float score = NEGATIVE_INFINITY;
            if (key < item.length) {
                const T *k = keys + (u64)key * 3 * hidden;
                score = 0.0f;
                for (int c = 0; c < width; c++) score = fmaf(query[c], to_float(k[c]), score);
                score -= slope * (float)abs(row - key);
            }
            float top = score;
#pragma unroll
            for (int step = 16; step; step /= 2) top = fmaxf(top, __shfl_xor_sync(FULL, top, step));
            top = fmaxf(top, highest);
            float carry = expf(highest - top), weight = expf(score - top);
            highest = top;
            total = total * carry + weight;
#pragma unroll
            for (int i = 0; i < WIDEST / 32; i++) sums[i] *= carry;
            int count = min(32, item.length - base);
            for (int j = 0; j < count; j++) {
                float w = __shfl_sync(FULL, weight, j);
                const T *v = keys + hidden + (u64)(base + j) * 3 * hidden;
#pragma unroll
                for (int i = 0; i < WIDEST / 32; i++)
                    if (lane + 32 * i < width) sums[i] = fmaf(w, to_float(v[lane + 32 * i]), sums[i]);
            }
        }
#pragma unroll
        for (int step = 16; step; step /= 2) total += __shfl_xor_sync(FULL, total, step);
        T *to = out + (u64)(item.start + row) * hidden + head * width;
#pragma unroll
        for (int i = 0; i < WIDEST / 32; i++)
            if (lane + 32 * i < width) to[lane + 32 * i] = from_float(sums[i] / total);
        __syncwarp();
    }
}
