// What the products of compute capability 9.0 need beyond bulk.cuh and wgmma.cuh, as PTX: clusters,
// registers by role, and the product of two tiles in shared memory. Source: PTX ISA 8.x (wgmma descriptors).

// ---- Clusters.

__device__ __forceinline__ u32 cluster_rank() {
    u32 r;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(r));
    return r;
}
__device__ __forceinline__ void cluster_sync() {
    asm volatile("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;" ::: "memory");
}
// Arrives at the same barrier of block `rank` of the cluster, for what the tensor cores have read. It does
// not order ordinary accesses of other blocks, which would take a fence of the entire card each time.
__device__ __forceinline__ void arrive_remote(u32 barrier, u32 rank) {
    asm volatile("{.reg .b32 there;\n"
                 "mapa.shared::cluster.u32 there, %0, %1;\n"
                 "mbarrier.arrive.shared::cluster.b64 _, [there];}" ::"r"(barrier),
                 "r"(rank)
                 : "memory");
}
// To the same address, and the same barrier, of every block of the cluster whose bit is set.
__device__ __forceinline__ void copy_box_multicast(u32 to, const TensorMap &map, int column, int row,
                                                   u32 barrier, u16 blocks) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster"
        " [%0], [%1, {%2, %3}], [%4], %5;" ::"r"(to),
        "l"(&map), "r"(column), "r"(row), "r"(barrier), "h"(blocks)
        : "memory");
}

// ---- Products of a warpgroup.

// A tile whose columns are the reduction, swizzled by its rows of LINE bytes. Adding 2 moves it by 16
// columns.
template <int LINE> __device__ __forceinline__ u64 tile_descriptor(u32 address) {
    static_assert(LINE == 128 || LINE == 64, "swizzled by 128 or 64 bytes");
    return (u64)(address >> 4 & 0x3fff) | 1ull << 16 | (u64)(8 * LINE >> 4) << 32 |
           (LINE == 128 ? 1ull : 2ull) << 62;
}

// Registers a thread, for all four warps of a warpgroup.
template <int COUNT> __device__ __forceinline__ void increase_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(COUNT));
}
template <int COUNT> __device__ __forceinline__ void decrease_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(COUNT));
}

#define TEN(a) "%" #a "0,%" #a "1,%" #a "2,%" #a "3,%" #a "4,%" #a "5,%" #a "6,%" #a "7,%" #a "8,%" #a "9,"

// d [64, 240] or [64, 256] = a [64, 16] * b [240 or 256, 16]^T (+ d where `add`). Row 16 warp + lane / 4 (+
// 8) and column 8 j + 2 (lane % 4) are d[4 j] (d[4 j + 2]), the next column the next value.
__device__ __forceinline__ void wgmma(float (&d)[128], u64 a, u64 b, u32 add) {
    asm volatile("{.reg .pred p;\n"
                 "setp.ne.b32 p, %130, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n256k16." WGMMA_KIND
                 " {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9," TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6) TEN(7) TEN(8)
                     TEN(9) TEN(10)
                         TEN(11) "%120,%121,%122,%123,%124,%125,%126,%127}, %128, %129, p, 1, 1, 0, 0;}"
                 : SUMS_32(0), SUMS_32(32), SUMS_32(64), SUMS_32(96)
                 : "l"(a), "l"(b), "r"(add));
}
__device__ __forceinline__ void wgmma(float (&d)[120], u64 a, u64 b, u32 add) {
    asm volatile("{.reg .pred p;\n"
                 "setp.ne.b32 p, %122, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n240k16." WGMMA_KIND " {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9," TEN(
                     1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6) TEN(7) TEN(8) TEN(9)
                     TEN(10) "%110,%111,%112,%113,%114,%115,%116,%117,%118,%119}, %120, %121, p, 1, 1, 0, 0;}"
                 : SUMS_32(0), SUMS_32(32), SUMS_32(64), SUMS_8(96), SUMS_8(104), SUMS_8(112)
                 : "l"(a), "l"(b), "r"(add));
}
