// Shared by the products of compute capability 9.0 (product.cu, product_pairs.cu): how tiles are distributed
// among clusters of two blocks, the ring's barriers, and the rotation of a thread's sums.

struct Tile {
    int row, column;
};

// The facts that all roles of a kernel share. A cluster's tile has twice HEIGHT rows, HEIGHT a block, and
// BREADTH outputs; a step has DEPTH inputs; TOGETHER row tiles take all outputs before the next ones.
template <int HEIGHT, int BREADTH, int DEPTH, int TOGETHER> struct Tiles {
    u32 memory, rank;
    int first, clusters, row_tiles, column_tiles, tiles, steps, outputs;

    __device__ __forceinline__ Tiles(const void *shared, int rows, int inputs, int outputs)
        : outputs(outputs) {
        memory = shared_address(shared);
        rank = cluster_rank();
        first = blockIdx.x / 2;
        clusters = gridDim.x / 2;
        row_tiles = rows / (2 * HEIGHT);
        column_tiles = (outputs + BREADTH - 1) / BREADTH;
        tiles = row_tiles * column_tiles;
        steps = (inputs + DEPTH - 1) / DEPTH;
    }

    __device__ __forceinline__ Tile at(int t) const {
        int begin = t / (TOGETHER * column_tiles) * TOGETHER, size = min(TOGETHER, row_tiles - begin);
        int in = t - begin * column_tiles;
        return Tile{(begin + in % size) * 2 * HEIGHT, in / size * BREADTH};
    }
};

// The ring's barriers, those of full steps and then those of empty ones, eight bytes each; for all threads of
// the cluster.
template <int COUNT> __device__ __forceinline__ void init_ring(u32 barriers) {
    if (threadIdx.x == 0) {
        for (int s = 0; s < COUNT; s++) {
            barrier_init(barriers + s * 8, 1);
            barrier_init(barriers + (COUNT + s) * 8, 4);  // two warpgroups of two blocks
        }
        fence_barrier_init();
    }
    cluster_sync();
}

#if WIDTH
// Rotary positions on queries and keys whose outputs are ordered so that the two values of a rotation are
// neighbours (rotary.rs): a thread has both, whatever the width. Blocks are of eight columns, in which a
// thread has one pair in each of its two rows.
#define BLOCKS (WIDTH / 8)  // of a head

// The block of a head that the `i`th of a tile of BREADTH columns is; tiles may begin inside a head.
template <int BREADTH> __device__ __forceinline__ int block_of_head(int tile_column, int i) {
    return BREADTH % WIDTH == 0 ? i : (tile_column / 8 + i) % BLOCKS;
}

__device__ __forceinline__ void rotate_pair(float *pair, float2 angle) {
    float a = pair[0], b = pair[1];
    pair[0] = a * angle.x - b * angle.y;
    pair[1] = b * angle.x + a * angle.y;
}

// Rotates the blocks i, i + BLOCKS, ... of a thread's sums, as far as they are among the first `left`
// columns; `upper` and `lower` are its rows' (cos, sin).
template <int N>
__device__ __forceinline__ void rotate_blocks(float (&d)[N], int i, float2 upper, float2 lower, int left) {
#pragma unroll
    for (int j = i; j < N / 4; j += BLOCKS) {
        if (8 * j < left) {
            rotate_pair(d + 4 * j, upper);
            rotate_pair(d + 4 * j + 2, lower);
        }
    }
}
#endif
