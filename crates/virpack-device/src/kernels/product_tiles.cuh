// What the products of compute capability 9.0 share (product.cu, product_pairs.cu): how tiles are shared out among clusters of
// two blocks, the ring's barriers, and the rotation of a thread's sums.

struct Tile { int row, column; };

// What all roles of a kernel know. A cluster's tile has twice HEIGHT rows, HEIGHT a block, and BREADTH outputs; a step has DEPTH inputs;
// TOGETHER row tiles take all outputs before the next ones.
template <int HEIGHT, int BREADTH, int DEPTH, int TOGETHER> struct Tiles {
    u32 memory, rank;
    int first, clusters, row_tiles, column_tiles, tiles, steps, outputs;

    __device__ __forceinline__ Tiles(const void *shared, int rows, int inputs, int outputs) : outputs(outputs) {
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

// The ring's barriers, those of full steps and then those of empty ones, eight bytes each; for all threads of the cluster.
template <int COUNT> __device__ __forceinline__ void ring_begin(u32 barriers) {
    if (threadIdx.x == 0) {
        for (int s = 0; s < COUNT; s++) {
            barrier_begin(barriers + s * 8, 1);
            barrier_begin(barriers + (COUNT + s) * 8, 4);  // two warpgroups of two blocks
        }
        barriers_ready();
    }
    cluster_sync();
}

__device__ __forceinline__ void turn_pair(float &low, float &high, float cosine, float sine) {
    float a = low, b = high;
    low = a * cosine - b * sine;
    high = b * cosine + a * sine;
}

// A thread's four sums of a block of eight columns with those half a head further, by its rows' (cos, sin) of two columns each.
__device__ __forceinline__ void turn_block(float *low, float *high, float4 upper, float4 lower) {
    turn_pair(low[0], high[0], upper.x, upper.y);
    turn_pair(low[1], high[1], upper.z, upper.w);
    turn_pair(low[2], high[2], lower.x, lower.y);
    turn_pair(low[3], high[3], lower.z, lower.w);
}
