#include "src/neighbor_size.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "math/cell.hpp"
#include "src/error.hpp"

namespace atomcore {
namespace {

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

double estimate_pairs(span<const double> positions, const double* completed, const std::uint8_t* pbc, double cutoff) {
  constexpr double kBall[4] = {1.0, 2.0, 3.14159265358979323846, 4.18879020478639098462};  // unit ball in 0..3 dimensions
  const auto n = static_cast<double>(positions.size() / 3);
  int n_periodic = 0;
  double pairs = n * n;
  for (int k = 0; k < 3; ++k) {
    if (pbc[k]) {
      ++n_periodic;
      pairs *= cutoff;
    } else {
      pairs *= std::min(1.0, cutoff / extent_along(positions, completed + 3 * k));
    }
  }
  // Open axes are unit vectors at right angles to the rest: this is the length, area or volume of what repeats.
  return pairs * kBall[n_periodic] / std::abs(math::determinant(completed));
}

double physical_memory() {
  return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
}

void check_pair_count(double pairs, double memory) {
  if (pairs <= kMaximumPairs && pairs * kBytesPerPair <= memory) return;
  char text[320];
  std::snprintf(text, sizeof text,
                "cutoff and cell give a neighbor list of about %.3g pairs (%.3g GB); at most %.0f pairs are supported "
                "and this machine has %.3g GB: use a smaller cutoff or fewer atoms at a time",
                pairs, pairs * kBytesPerPair * 1e-9, kMaximumPairs, memory * 1e-9);
  throw Error(ErrorCode::out_of_memory, text);
}

}  // namespace atomcore
