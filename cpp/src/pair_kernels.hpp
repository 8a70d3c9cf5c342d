// Layer 1: the inner loops of the neighbour search, one table for every instruction set (src/isa/pairs.cpp).
#pragma once

#include <cstdint>

#include "src/isa.hpp"

namespace atomcore::cpu {

constexpr int kMostLanes = 16;  // of a pack

// An atom, or an image of one, that may be a neighbour.
struct Candidate {
  double position[4];     // of the atom as the user gave it, and 0
  double translation[4];  // turns . (cell of the user), and 0
  std::int32_t turns[3];  // shift of an edge that ends here, less the turns that wrapped the edge's centre
  std::int32_t atom;      // counted over the batch
};

// What to collect: points no further than sqrt(square) from a box along the Cartesian axes.
struct Vicinity {
  double low[3], high[3];  // of the box
  double square;
  double origin[3], scale;  // points are wanted as (point - origin) * scale
};

// Room for what is collected, and a pack.
struct Collected {
  std::int64_t* place;
  double* u[3];
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

// A structure without periodicity: coordinates [n] and, behind them, a pack of infinities.
struct OpenStructure {
  const double *x, *y, *z;
  std::int64_t n, first;  // first: number of the first atom in the batch
};

// A graph whose edges are measured: rows of pairs that may be near enough.
struct PossiblePairs {
  const double* positions;       // [n_atoms, 4], the fourth does not matter
  const double* cell;            // [9]
  const std::int64_t* neighbor;  // [n]
  const std::int32_t* shift;     // [n, 3]
};

struct PairKernels {
  // Of the points (x, y, z)[n] moved by `shift` those in the vicinity: their places from `first` on, in ascending
  // order. Returns how many.
  std::int64_t (*collect)(const double* x, const double* y, const double* z, std::int64_t n, std::int64_t first,
                          const double* shift, const Vicinity& vicinity, const Collected& to);
  // How many lie below `inner` around the point u; those between, in ascending order, go to `unsure`.
  std::int64_t (*count_near)(const Surroundings& around, const float* u, std::int32_t* unsure, std::int64_t* n_unsure);
  // All that do not lie above `outer`, in ascending order. Returns how many; `found` has room for count and a pack.
  std::int64_t (*find_near)(const Surroundings& around, const float* u, std::int32_t* found);
  // The edges from the centre to the candidates `found`[n], with the arithmetic of math::edge_vector, all but their
  // lengths. The arrays have room for a pack beyond n, which is written over.
  void (*write_row)(const Centre& centre, const Candidate* candidates, const std::int32_t* found, std::int64_t n,
                    const RowArrays& row);
  // All pairs of an open structure: how many neighbours each atom has, to count[n]; and the rows, which start at
  // row_ptr[n]. With the arithmetic of math::edge_vector.
  void (*count_open)(const OpenStructure& atoms, double square, std::int64_t* count);
  void (*write_open)(const OpenStructure& atoms, double square, const std::int64_t* row_ptr, const RowArrays& list);
  // Those of the pairs [first, last) around an atom whose squared distance is less than `square`, with the arithmetic
  // of math::edge_vector; returns how many. As write_row, with room for every pair; without arrays it only counts.
  std::int64_t (*measure_row)(const PossiblePairs& pairs, std::int64_t atom, std::int64_t first, std::int64_t last,
                              double square, const RowArrays& row);
  // distance[n] = |vector[n, 3]|, both with room for a pack beyond.
  void (*measure_lengths)(const double* vector, double* distance, std::int64_t n);
  // Copies past the caches, to memory that is not read again soon. finish_streams() makes it visible to other threads.
  void (*stream)(void* to, const void* from, std::int64_t bytes);
  void (*finish_streams)();
};

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
inline const PairKernels& pair_kernels() { return AC_PICK(kPairKernels); }

}  // namespace atomcore::cpu
