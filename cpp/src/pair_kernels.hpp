// Layer 1: the inner loops of the neighbour search, one table for every instruction set (src/isa/pairs.cpp).
#pragma once

#include <cstdint>

#include "src/isa.hpp"

namespace atomcore::cpu {

// An atom, or an image of one, that may be a neighbour.
struct Candidate {
  double position[4];     // of the atom as the user gave it, and 0
  std::int32_t turns[3];  // shift of an edge that ends here, less the turns that wrapped the edge's centre
  std::int32_t atom;      // counted over the batch
};

// A box along the Cartesian axes.
struct Box {
  double low[3], high[3];
};

// Where the neighbours of a block of centres may be: coordinates in units of the cutoff, in single precision.
struct Surroundings {
  const float *x, *y, *z;  // [count], and numbers too far away up to a whole pack
  std::int64_t count;
  float inner, outer;  // squares: below `inner` a pair is certainly near enough, above `outer` certainly not
};

// A centre and what its edges are measured with.
struct Centre {
  double position[4];     // as the user gave it, and 0
  double cell[3][4];      // lattice vectors as the user gave them, and 0
  std::int32_t turns[4];  // its own wrapping, and 0
  std::int64_t atom;      // counted over the batch
};

// Where the pairs of a row go; a null pointer for what nobody wants.
struct RowArrays {
  std::int64_t *centre, *neighbor;  // [n]
  std::int32_t* shift;              // [n, 3]
  double *vector, *distance;        // [n, 3], [n]
};

struct PairKernels {
  // Of the points (x, y, z)[n] moved by `shift` those no further than sqrt(square) from the box: their places in
  // ascending order. Returns how many; `places` has room for n and a pack.
  std::int64_t (*near_box)(const double* x, const double* y, const double* z, std::int64_t n, const double* shift,
                           const Box& box, double square, std::int64_t* places);
  // How many lie below `inner` around the point u; those between, in ascending order, go to `unsure`.
  std::int64_t (*count_near)(const Surroundings& around, const float* u, std::int32_t* unsure, std::int64_t* n_unsure);
  // All that do not lie above `outer`, in ascending order. Returns how many; `found` has room for count and a pack.
  std::int64_t (*find_near)(const Surroundings& around, const float* u, std::int32_t* found);
  // The edges from the centre to the candidates `found`[n], with the arithmetic of math::edge_vector.
  void (*write_row)(const Centre& centre, const Candidate* candidates, const std::int32_t* found, std::int64_t n,
                    const RowArrays& row);
};

constexpr int kMostLanes = 16;

namespace portable {
extern const PairKernels kPairKernels;
}
#if AC_X86
namespace avx2 {
extern const PairKernels kPairKernels;
}
namespace avx512 {
extern const PairKernels kPairKernels;
}
#endif

}  // namespace atomcore::cpu
