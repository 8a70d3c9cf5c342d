#include "src/small_search.hpp"

#include <algorithm>
#include <limits>

#include "src/interrupt.hpp"
#include "src/parallel.hpp"

namespace atomcore::cpu {
namespace {

constexpr std::int64_t kMostAtoms = 64;
constexpr std::int64_t kGrain = 64;  // structures worth a thread

// The coordinates of one structure, axis by axis, and a pack out of reach behind them.
struct Coordinates {
  double values[3][kMostAtoms + kMostLanes];

  OpenStructure load(const Batch& batch, std::int64_t s) {
    const std::int64_t first = batch.structure_ptr[s], n = batch.structure_ptr[s + 1] - first;
    const double* const positions = batch.positions.data() + 3 * first;
    for (int k = 0; k < 3; ++k) {
      for (std::int64_t i = 0; i < n; ++i) values[k][i] = positions[3 * i + k];
      std::fill_n(values[k] + n, kMostLanes, std::numeric_limits<double>::infinity());
    }
    return {values[0], values[1], values[2], n, first};
  }
};

template <typename Body>
void for_structures(const Batch& batch, int n_threads, const Body& body) {
  Interruptible user;
  parallel_for(batch.n_structures(), n_threads, kGrain, [&](std::int64_t begin, std::int64_t end) {
    Coordinates coordinates;
    for (std::int64_t s = begin; s < end; ++s) {
      if ((s - begin) % kGrain == 0) user.check();
      body(coordinates.load(batch, s));
    }
  });
}

}  // namespace

bool is_small(const Batch& batch) {
  for (std::int64_t s = 0; s < batch.n_structures(); ++s) {
    const std::uint8_t* const pbc = batch.pbc.data() + 3 * s;
    if (batch.structure_ptr[s + 1] - batch.structure_ptr[s] > kMostAtoms || (pbc[0] | pbc[1] | pbc[2]) != 0)
      return false;
  }
  return true;
}

void count_small(const Batch& batch, double squared_cutoff, int n_threads, std::int64_t* n) {
  for_structures(batch, n_threads, [&](const OpenStructure& atoms) {
    pair_kernels().count_open(atoms, squared_cutoff, n + atoms.first);
  });
}

void write_small(const Batch& batch, double squared_cutoff, int n_threads, const std::int64_t* row_ptr,
                 const RowArrays& list) {
  for_structures(batch, n_threads, [&](const OpenStructure& atoms) {
    pair_kernels().write_open(atoms, squared_cutoff, row_ptr + atoms.first, list);
  });
}

}  // namespace atomcore::cpu
