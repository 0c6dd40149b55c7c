// The matrix units and the asynchronous copies of sm_80 and up, as PTX: 16-bit operands, float32 sums. sm_75
// has only float16, products of half the depth, and copies through registers.

__device__ __forceinline__ void load_matrices(u32 (&r)[4], const T *p) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(p))
                 : "memory");
}

__device__ __forceinline__ void load_matrices_transposed(u32 (&r)[4], const T *p) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(p))
                 : "memory");
}

#if DTYPE == 1
#define MMA "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
#else
#define MMA "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
#endif

#if __CUDA_ARCH__ < 800
// c [16, 8] += a [16, 8] * b [8, 8].
__device__ __forceinline__ void mma_half(float (&c)[4], u32 a0, u32 a1, u32 b) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a0), "r"(a1), "r"(b));
}
#endif

// c [16, 8] += a [16, 16] * b [16, 8].
__device__ __forceinline__ void mma(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
#if __CUDA_ARCH__ < 800
    mma_half(c, a[0], a[1], b0);
    mma_half(c, a[2], a[3], b1);
#else
    asm volatile(MMA "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}

// 16 bytes to shared memory, without waiting from sm_80 up; zeros where not `present`.
__device__ __forceinline__ void copy_async(T *to, const T *from, bool present) {
#if __CUDA_ARCH__ < 800
    *(uint4 *)to = present ? *(const uint4 *)from : make_uint4(0, 0, 0, 0);
#else
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
                 "r"(present ? 16 : 0)
                 : "memory");
#endif
}
// The same for two places, read together.
__device__ __forceinline__ void copy_two_async(T *to, const T *from, T *to_second, const T *from_second,
                                               bool present) {
#if __CUDA_ARCH__ < 800
    const uint4 none = make_uint4(0, 0, 0, 0);
    uint4 first = present ? *(const uint4 *)from : none;
    uint4 second = present ? *(const uint4 *)from_second : none;
    *(uint4 *)to = first;
    *(uint4 *)to_second = second;
#else
    copy_async(to, from, present);
    copy_async(to_second, from_second, present);
#endif
}
__device__ __forceinline__ void commit_copies() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
// The copies are visible to this thread; others see them after a barrier.
template <int LEFT> __device__ __forceinline__ void wait_copies() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
#endif
}
