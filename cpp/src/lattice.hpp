// Layer 1: a cell made easy to search.
#pragma once

#include <cstdint>

namespace atomcore {

// A basis of the same periodic lattice with short vectors and wide faces (LLL reduced), completed along open axes.
// However skewed the cell of the user is, few images of this one lie within a cutoff.
struct Lattice {
  double vectors[9];            // reduced lattice vectors, and unit vectors along open axes
  double dual[9];               // dot(r, dual + 3k): coordinate of r along vector k
  double heights[3];            // distances between faces
  bool periodic[3];             // the same axes as in the cell of the user
  std::int64_t combination[9];  // vectors[k] = sum_l combination[3k + l] * (vector l of the user)
};

Lattice reduce_lattice(const double* cell, const std::uint8_t* pbc);

}  // namespace atomcore
