// Layer 1: the search behind cpu::neighbor_list, for callers that own the memory of the list.
#pragma once

#include <cstdint>
#include <memory>

#include "src/cell_grid.hpp"
#include "src/neighbor_size.hpp"
#include "src/pair_kernels.hpp"

namespace atomcore::cpu {

// The least x with sqrt(x) >= cutoff: comparing squares with it decides exactly as comparing the distances would.
double exact_square(double cutoff);

// Finds what kernels.hpp says of neighbor_list. The arrays of the batch must outlive the search.
class NeighborSearch {
 public:
  NeighborSearch(const Batch& batch, double cutoff, int n_threads);
  ~NeighborSearch();

  // row_ptr [N + 1]. Throws Error(out_of_memory) for more pairs than can be counted, or than fit into memory with so
  // many bytes each: nobody can tell before how many pairs atoms in clusters have.
  void count(std::int64_t* row_ptr, double bytes_per_pair = kBytesPerPair) const;
  // Everything `list` points to, [row_ptr[N]] and more: the whole list, row by row. Needs the row_ptr of count().
  void write(const std::int64_t* row_ptr, const RowArrays& list) const;

 private:
  class Blocks;
  template <typename Body>
  void for_blocks(const Body& body) const;

  double cutoff_;
  double squared_cutoff_;  // distance < cutoff exactly where the square is less than this
  int n_threads_;
  Batch batch_;
  std::unique_ptr<const CellGrids> grids_;  // null for small structures
  std::unique_ptr<Blocks> first_;           // the workspace of the thread that has the first block
};

}  // namespace atomcore::cpu
