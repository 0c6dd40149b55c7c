// Shared by all products of a warpgroup (wgmma, compute capability 9.0), as PTX: 16-bit operands, float32
// sums in a thread's array `d`. Source: PTX ISA 8.x.

#if DTYPE != 2
#define WGMMA_KIND "f32.f16.f16"
#else
#define WGMMA_KIND "f32.bf16.bf16"
#endif

#define SUMS_4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define SUMS_8(i) SUMS_4(i), SUMS_4(i + 4)
#define SUMS_32(i) SUMS_8(i), SUMS_8(i + 8), SUMS_8(i + 16), SUMS_8(i + 24)

__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void wgmma_commit() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
// Until at most LEFT of the groups committed still run.
template <int LEFT> __device__ __forceinline__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(LEFT) : "memory");
}
