// Layer 1: the atoms of one structure sorted into bins along the faces of its reduced lattice.
#pragma once

#include <cstdint>
#include <vector>

#include "atomcore/span.hpp"
#include "src/lattice.hpp"

namespace atomcore {

struct CellGrid {
  Lattice lattice;
  double candidate_cutoff;  // cutoff plus all that rounding can do to a distance: the search looks this far
  std::int64_t n_bins[3];
  double reach[3];     // candidate_cutoff in units of bins
  double origin[3];    // open axes: smallest coordinate
  double per_unit[3];  // bins per unit of fractional coordinate (periodic) or length (open)

  // In the order of bins (the last axis runs fastest), within a bin in the order of atoms:
  std::vector<std::int64_t> bin_start;    // [bins + 1]
  std::vector<std::int64_t> atom;         // index within the structure
  std::vector<double> x, y, z;            // wrapped along periodic axes
  std::vector<std::int64_t> wrap_sorted;  // [3 n] as `wrap`
  // In the order of atoms:
  std::vector<double> bin_coordinate;  // [3 n] in units of bins, wrapped
  std::vector<double> wrapped;         // [3 n]
  std::vector<std::int64_t> wrap;      // [3 n] position = wrapped + wrap . (cell of the user)
};

// positions [n,3]; cell [9]; pbc [3]; all valid (neighbor_input.hpp).
CellGrid make_cell_grid(span<const double> positions, const double* cell, const std::uint8_t* pbc, double cutoff);

}  // namespace atomcore
