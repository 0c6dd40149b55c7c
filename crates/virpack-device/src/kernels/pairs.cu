// float32 rows to rows of pairs of float16 (pairs.cuh) and back.
//
// Shapes: x [rows, columns] float32, pairs [rows, 2 columns] float16. Idea: four values a thread. Limits:
// columns a multiple of 4.

extern "C" __global__ void split(const float *x, u16 *pairs, u64 count, int columns) {
    u64 i = ((u64)blockIdx.x * blockDim.x + threadIdx.x) * 4;
    if (i >= count) return;
    float v[4];
    *(float4 *)v = *(const float4 *)(x + i);
    store_pairs(pairs + i / columns * 2 * columns, i % columns, columns, v);
}

extern "C" __global__ void join(const u16 *pairs, float *x, u64 count, int columns) {
    u64 i = ((u64)blockIdx.x * blockDim.x + threadIdx.x) * 4;
    if (i >= count) return;
    const u16 *from = pairs + i / columns * 2 * columns + i % columns;
    uint2 high = *(const uint2 *)from, low = *(const uint2 *)(from + columns);
    float4 v;
    from_pairs(Pairs{high.x, low.x}, v.x, v.y);
    from_pairs(Pairs{high.y, low.y}, v.z, v.w);
    *(float4 *)(x + i) = v;
}
