// Layer 1: the neighbour search where bins would cost more than they save: open structures of a few atoms, in which
// every pair is measured.
#pragma once

#include <cstdint>

#include "src/cell_grid.hpp"
#include "src/pair_kernels.hpp"

namespace atomcore::cpu {

// Whether all structures of a batch are open and small.
bool is_small(const Batch& batch);

// The two passes of NeighborSearch for such a batch: numbers of neighbours to n[atom], then the rows.
void count_small(const Batch& batch, double squared_cutoff, int n_threads, std::int64_t* n);
void write_small(const Batch& batch, double squared_cutoff, int n_threads, const std::int64_t* row_ptr,
                 const RowArrays& list);

}  // namespace atomcore::cpu
