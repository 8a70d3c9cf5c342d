#include "src/neighbor_size.hpp"

#include <algorithm>
#include <cstdio>
#include <limits>

#include "math/cell.hpp"
#include "src/error.hpp"
#include "src/memory.hpp"

namespace atomcore {
namespace {

constexpr double kAlwaysThere = 1e8;  // bytes; asking what there is takes longer than making a smaller list

double extent_along(span<const double> positions, const double* unit) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (std::size_t i = 0; i < positions.size(); i += 3) {
    const double x = math::dot(&positions[i], unit);
    low = std::min(low, x);
    high = std::max(high, x);
  }
  return positions.empty() ? 0.0 : high - low;
}

}  // namespace

double estimate_pairs(span<const double> positions, const Lattice& lattice, double cutoff) {
  // edge of a cube as large as the unit ball
  constexpr double kBall[4] = {1.0, 2.0, 1.772453850905516, 1.611991954016470};
  const auto n = static_cast<double>(positions.size() / 3);
  const double* const edge = kBall + (lattice.periodic[0] + lattice.periodic[1] + lattice.periodic[2]);
  double own = 1.0, all = n;  // what an atom sees: its own images; all atoms, spread evenly
  for (int k = 0; k < 3; ++k) {
    const double images = *edge * cutoff / lattice.heights[k];
    own *= lattice.periodic[k] ? std::max(1.0, images) : 1.0;
    all *= lattice.periodic[k] ? images : std::min(1.0, cutoff / extent_along(positions, lattice.vectors + 3 * k));
  }
  return n * std::max(own, all);
}

void check_pair_count(double pairs, double memory, double bytes_per_pair) {
  if (pairs <= kMaximumPairs && pairs * bytes_per_pair <= memory) return;
  char text[320];
  std::snprintf(text, sizeof text,
                "cutoff and cell give a neighbor list of about %.3g pairs (%.3g GB); at most %.0f pairs are supported "
                "and %.3g GB of memory can be had here: use a smaller cutoff or fewer atoms at a time",
                pairs, pairs * bytes_per_pair * 1e-9, kMaximumPairs, memory * 1e-9);
  throw Error(ErrorCode::out_of_memory, text);
}

void check_pair_count_here(double pairs, double bytes_per_pair) {
  if (!(pairs * bytes_per_pair <= kAlwaysThere)) check_pair_count(pairs, usable_memory(), bytes_per_pair);
}

}  // namespace atomcore
