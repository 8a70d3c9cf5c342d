// Layer 2: a neighbour list that follows one moving structure.
#pragma once

#include <cstdint>
#include <vector>

#include "atomcore/span.hpp"
#include "src/kernels.hpp"
#include "src/pair_kernels.hpp"

namespace atomcore {

// The search reaches `skin` beyond the cutoff, and its list serves as long as no pair can have come within the cutoff
// that is not on it. That stays exact while the cell changes and while atoms jump by lattice vectors. With r the
// positions and h the cell at the time of the search, r' and h' those of now, F = h^-1 h' and d = r' - r F modulo h',
// a pair that is not on the list is now at least s (cutoff + skin) - 2 max|d| apart, s the least singular value of F.
class VerletList {
 public:
  VerletList(double cutoff, double skin);  // Angstrom; skin >= 0

  // Brings the list up to positions [N, 3], cell [9] and pbc [3]. Returns whether the pairs were searched anew. Throws
  // what check_neighbor_input throws, and then searches at the next call.
  bool update(span<const double> positions, span<const double> cell, span<const std::uint8_t> pbc, int n_threads);

  // All pairs within the cutoff and some beyond, rows sorted by (neighbor, shift), with shifts for the present
  // positions.
  const cpu::NeighborList& list() const { return list_; }
  std::int64_t n_atoms() const { return static_cast<std::int64_t>(list_.row_ptr.size()) - 1; }

  // The pairs within the cutoff, with the present vectors: row_ptr [N + 1], and all of neighbor, shift, vector and
  // distance, with room for as many pairs as list() has. Exactly what a search for the cutoff finds.
  void near(std::int64_t* row_ptr, const cpu::RowArrays& pairs, int n_threads) const;

 private:
  bool still_holds(span<const double> positions, span<const double> cell, span<const std::uint8_t> pbc);
  bool follow_atoms(span<const double> positions, const double* dual, const double* cell, double allowance);
  void correct_shifts();
  void search(span<const double> positions, span<const double> cell, span<const std::uint8_t> pbc, int n_threads);
  void remember(span<const double> positions, span<const double> cell);

  double cutoff_, skin_;
  bool built_ = false;
  cpu::NeighborList list_;
  // At the time of the search:
  std::vector<double> built_positions_;
  double built_cell_[9] = {}, built_dual_[9] = {};
  std::uint8_t built_pbc_[3] = {};
  // Now:
  std::vector<double> positions_;  // [N, 4]
  double cell_[9] = {};
  std::vector<std::int32_t> turns_, next_turns_;  // [N, 3] lattice vectors by which atoms have jumped since the search
};

}  // namespace atomcore
