#include "src/lattice.hpp"

#include <cmath>
#include <utility>

#include "math/cell.hpp"

namespace atomcore {
namespace {

struct Basis {
  double vectors[3][3];
  std::int64_t combination[3][3];
};

void recompute(Basis& basis, int k, const double (&original)[3][3]) {
  // From the exact integers, so that rounding does not add up over the steps of the reduction.
  for (int x = 0; x < 3; ++x) {
    basis.vectors[k][x] = 0.0;
    for (int l = 0; l < 3; ++l) basis.vectors[k][x] += static_cast<double>(basis.combination[k][l]) * original[l][x];
  }
}

// Gram-Schmidt: star[k] is vectors[k] less its components along the earlier ones, mu their coefficients.
void orthogonalise(const Basis& basis, int n, double (&star)[3][3], double (&mu)[3][3]) {
  for (int k = 0; k < n; ++k) {
    for (int x = 0; x < 3; ++x) star[k][x] = basis.vectors[k][x];
    for (int l = 0; l < k; ++l) {
      mu[k][l] = math::dot(basis.vectors[k], star[l]) / math::dot(star[l], star[l]);
      for (int x = 0; x < 3; ++x) star[k][x] -= mu[k][l] * star[l][x];
    }
  }
}

// Lenstra, Lenstra and Lovasz in three dimensions.
void lll(Basis& basis, int n, const double (&original)[3][3]) {
  constexpr double kLovasz = 0.75, kMaximumCoefficient = 1e15;  // beyond it vectors are parallel to rounding
  double star[3][3], mu[3][3];
  int k = 1;
  for (int step = 0; k < n && step < 1000; ++step) {  // some 50 steps at most; the bound guards against round-off
    for (int l = k - 1; l >= 0; --l) {
      orthogonalise(basis, n, star, mu);
      const double q = std::nearbyint(mu[k][l]);
      if (std::abs(mu[k][l]) <= 0.5 + 1e-9 || std::abs(q) > kMaximumCoefficient) continue;  // a tie stays as it is
      for (int m = 0; m < 3; ++m) basis.combination[k][m] -= static_cast<std::int64_t>(q) * basis.combination[l][m];
      recompute(basis, k, original);
    }
    orthogonalise(basis, n, star, mu);
    const double previous = math::dot(star[k - 1], star[k - 1]);
    if (math::dot(star[k], star[k]) >= (kLovasz - mu[k][k - 1] * mu[k][k - 1]) * previous) {
      ++k;
    } else {
      std::swap(basis.vectors[k], basis.vectors[k - 1]);
      std::swap(basis.combination[k], basis.combination[k - 1]);
      k = k > 1 ? k - 1 : 1;
    }
  }
}

}  // namespace

Lattice reduce_lattice(const double* cell, const std::uint8_t* pbc) {
  Lattice lattice{};
  Basis basis{};
  double original[3][3] = {};
  int axes[3], n = 0;
  for (int k = 0; k < 3; ++k) {
    lattice.periodic[k] = pbc[k] != 0;
    if (!lattice.periodic[k]) continue;
    for (int x = 0; x < 3; ++x) basis.vectors[n][x] = original[n][x] = cell[3 * k + x];
    basis.combination[n][n] = 1;
    axes[n++] = k;
  }
  if (n == 0) {
    for (int k = 0; k < 3; ++k) lattice.vectors[4 * k] = lattice.dual[4 * k] = lattice.heights[k] = 1.0;
    return lattice;
  }
  lll(basis, n, original);
  double reduced[9] = {};
  for (int p = 0; p < n; ++p) {
    for (int x = 0; x < 3; ++x) reduced[3 * axes[p] + x] = basis.vectors[p][x];
    for (int l = 0; l < n; ++l) lattice.combination[3 * axes[p] + axes[l]] = basis.combination[p][l];
  }
  math::complete_cell(reduced, lattice.periodic, lattice.vectors);
  math::dual_vectors(lattice.vectors, lattice.dual);
  math::face_heights(lattice.dual, lattice.heights);
  return lattice;
}

}  // namespace atomcore
