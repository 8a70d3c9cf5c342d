// Layer 1: the atoms of a batch, sorted structure by structure into bins along the faces of the reduced lattice.
#pragma once

#include <cstdint>
#include <vector>

#include "atomcore/span.hpp"
#include "src/lattice.hpp"
#include "src/pool.hpp"

namespace atomcore::cpu {

constexpr std::size_t kPadding = 16;  // numbers that arrays are longer, so that whole packs can be read

// How far a distance computed from wrapped positions can be from the one computed from the original positions.
double rounding_slack(span<const double> positions, const double* cell, const Lattice& lattice, double cutoff);

// The arguments of a search over S structures.
struct Batch {
  span<const double> positions;  // [N, 3]
  span<const double> cells;      // [S, 3, 3]
  span<const std::uint8_t> pbc;  // [S, 3]
  span<const std::int64_t> structure_ptr;

  std::int64_t n_structures() const { return static_cast<std::int64_t>(structure_ptr.size()) - 1; }
  std::int64_t n_atoms() const { return static_cast<std::int64_t>(positions.size() / 3); }
};

// The bins of one structure.
struct CellGrid {
  Lattice lattice;
  double candidate_cutoff;  // cutoff plus all that rounding can do to a distance: the search looks this far
  std::int64_t n_bins[3];
  double reach[3];         // candidate_cutoff in units of bins
  std::int64_t first_bin;  // bin b holds the places bin_start[first_bin + b] to bin_start[first_bin + b + 1]
};

// Neighbouring centres that look for their neighbours together: the atoms of a run of bins along the last axis.
struct CentreBlock {
  std::int64_t structure;
  std::int64_t first, last;      // places
  std::int64_t low[3], high[3];  // bins, both ends belong to it
};

struct PlacedAtom {
  double position[3];  // as the user gave it: wrapped position + wrap . (cell of the user)
  std::int32_t wrap[3];
  std::int32_t atom;  // counted over the batch
};

// A place is an atom's position in the order of structures, then bins (the last axis runs fastest), then atoms.
class CellGrids {
 public:
  CellGrids(const Batch& batch, double cutoff, int n_threads);

  std::vector<CellGrid> grids;          // [S]
  PooledArray<double> x, y, z;          // [N] wrapped along periodic axes, and a pack
  PooledArray<PlacedAtom> atoms;        // [N]
  PooledArray<std::int32_t> bin_start;  // places
  std::vector<CentreBlock> blocks;

  struct Sorting;

 private:
  void sort_structure(const Batch& batch, std::int64_t s, double cutoff, Sorting& sorting);
};

}  // namespace atomcore::cpu
