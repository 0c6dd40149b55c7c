// Rotary positions on queries and keys, in place (Su et al. 2021, in the halves form of fair-esm and
// HuggingFace).
//
// Shapes: qkv [tokens, 3 hidden]; table [positions, width / 2] of (cos, sin) float32, made on the host in
// float64. Idea: block (sequence, share), a thread a pair. Limits: even head width, positions in the table.
// On 9.0 the product that makes qkv rotates (product.cu), elsewhere in 16 bits attention does: float32 needs
// this.

extern "C" __global__ void rotary(T *qkv, const int *cu_seqlens, const float2 *table, int heads, int width) {
    Span s = span_of(cu_seqlens, blockIdx.x);
    int half = width / 2, pairs = 2 * heads * half;
    for (int row = blockIdx.y; row < s.length; row += gridDim.y) {
        T *at = qkv + (u64)(s.start + row) * 3 * heads * width;
        for (int i = threadIdx.x; i < pairs; i += blockDim.x) {
            int head = i / half, c = i % half;
            float2 angle = table[(u64)row * half + c];
            T *low = at + head * width + c, *high = low + half;
            float a = to_float(*low), b = to_float(*high);
            *low = from_float(a * angle.x - b * angle.y);
            *high = from_float(b * angle.x + a * angle.y);
        }
    }
}
