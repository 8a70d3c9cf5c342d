#include "src/gdml.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "src/coincident.hpp"
#include "src/error.hpp"
#include "src/isa.hpp"

namespace atomcore::cpu {
namespace {

// The inverse of a matrix [3, 3]; its transpose has the same rule.
void invert(const double* m, double* inverse) {
  const auto cofactor = [m](int r, int c) {
    const int r1 = (r + 1) % 3, r2 = (r + 2) % 3, c1 = (c + 1) % 3, c2 = (c + 2) % 3;
    return m[3 * r1 + c1] * m[3 * r2 + c2] - m[3 * r1 + c2] * m[3 * r2 + c1];
  };
  const double determinant = m[0] * cofactor(0, 0) + m[1] * cofactor(0, 1) + m[2] * cofactor(0, 2);
  if (!(std::abs(determinant) > 0.0) || !std::isfinite(determinant))
    throw Error(ErrorCode::invalid_value, "lattice has the volume " + std::to_string(determinant) +
                                              "; accepted: three independent vectors, as rows");
  for (int r = 0; r < 3; ++r)
    for (int c = 0; c < 3; ++c) inverse[3 * r + c] = cofactor(c, r) / determinant;
}

// The image of a difference that rounding of its fractional coordinates gives.
void wrap(const double* lattice, const double* inverse, double* d) {
  double shift[3];
  for (int c = 0; c < 3; ++c)
    shift[c] = std::nearbyint(d[0] * inverse[c] + d[1] * inverse[3 + c] + d[2] * inverse[6 + c]);
  for (int c = 0; c < 3; ++c) d[c] -= shift[0] * lattice[c] + shift[1] * lattice[3 + c] + shift[2] * lattice[6 + c];
}

std::size_t pair_of(std::size_t a, std::size_t b) { return a > b ? a * (a - 1) / 2 + b : b * (b - 1) / 2 + a; }

}  // namespace

InverseDistances::InverseDistances(std::size_t n_atoms, span<const double> lattice)
    : n_atoms_(n_atoms), periodic_(!lattice.empty()), lattice_{}, inverse_{} {
  if (!periodic_) return;
  std::copy(lattice.begin(), lattice.end(), lattice_);
  invert(lattice_, inverse_);
}

void InverseDistances::evaluate(const double* positions, double* x, double* C) const {
  for (std::size_t a = 1, k = 0; a < n_atoms_; ++a)
    for (std::size_t b = 0; b < a; ++b, ++k) {
      double d[3];
      for (std::size_t c = 0; c < 3; ++c) d[c] = positions[3 * a + c] - positions[3 * b + c];
      if (periodic_) wrap(lattice_, inverse_, d);
      const double square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
      if (!(square >= kCoincident * kCoincident) || !std::isfinite(square))
        throw Error(ErrorCode::invalid_value,
                    "positions of the atoms " + std::to_string(b) + " and " + std::to_string(a) + " are " +
                        std::to_string(std::sqrt(square)) +
                        " A apart; accepted: finite positions, no two of them closer than 1e-6 A");
      x[k] = 1.0 / std::sqrt(square);
      const double cube = x[k] / square;
      for (std::size_t c = 0; c < 3; ++c) C[3 * k + c] = d[c] * cube;
    }
}

void push_forward(std::size_t n_atoms, const double* C, const double* u, double* Ju) {
  for (std::size_t a = 1, k = 0; a < n_atoms; ++a)
    for (std::size_t b = 0; b < a; ++b, ++k) {
      double sum = 0.0;
      for (std::size_t c = 0; c < 3; ++c) sum += C[3 * k + c] * (u[3 * b + c] - u[3 * a + c]);
      Ju[k] = sum;
    }
}

void pull_back(std::size_t n_atoms, const double* C, const double* g, double* JTg) {
  std::fill(JTg, JTg + 3 * n_atoms, 0.0);
  for (std::size_t a = 1, k = 0; a < n_atoms; ++a)
    for (std::size_t b = 0; b < a; ++b, ++k)
      for (std::size_t c = 0; c < 3; ++c) {
        JTg[3 * b + c] += g[k] * C[3 * k + c];
        JTg[3 * a + c] -= g[k] * C[3 * k + c];
      }
}

// d = C / |C|^(3/2), since |C| = 1 / |d|^2; a strain moves it by strain . d, and dx/dd = -C.
void pull_back_strain(std::size_t n_atoms, const double* C, const double* g, double* strain_gradient) {
  std::fill(strain_gradient, strain_gradient + 9, 0.0);
  for (std::size_t k = 0; k < n_atoms * (n_atoms - 1) / 2; ++k) {
    const double* const v = C + 3 * k;
    const double length = std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]),
                 factor = g[k] / (length * std::sqrt(length));
    for (std::size_t r = 0; r < 3; ++r)
      for (std::size_t c = 0; c < 3; ++c) strain_gradient[3 * r + c] -= factor * v[r] * v[c];
  }
}

std::vector<std::int32_t> permuted_pairs(span<const std::int64_t> permutations, std::size_t n_atoms) {
  const std::size_t n_pairs = n_atoms * (n_atoms - 1) / 2;
  std::vector<std::int32_t> permuted;
  permuted.reserve(permutations.size() / n_atoms * n_pairs);
  std::vector<bool> seen;
  for (std::size_t p = 0; p * n_atoms < permutations.size(); ++p) {
    const std::int64_t* const of = permutations.data() + p * n_atoms;
    seen.assign(n_atoms, false);
    for (std::size_t a = 0; a < n_atoms; ++a) {
      const bool valid = of[a] >= 0 && of[a] < static_cast<std::int64_t>(n_atoms);
      if (!valid || seen[static_cast<std::size_t>(of[a])])
        throw Error(ErrorCode::invalid_value,
                    "permutations[" + std::to_string(p) + ", " + std::to_string(a) + "] is " + std::to_string(of[a]) +
                        "; accepted: in each row, every number from 0 to " + std::to_string(n_atoms - 1) + " once");
      seen[static_cast<std::size_t>(of[a])] = true;
    }
    for (std::size_t a = 1; a < n_atoms; ++a)
      for (std::size_t b = 0; b < a; ++b)
        permuted.push_back(
            static_cast<std::int32_t>(pair_of(static_cast<std::size_t>(of[a]), static_cast<std::size_t>(of[b]))));
  }
  return permuted;
}

// |x - Pi_p z| is |Pi_p^-1 x - z|: a point permuted the other way meets the centres as they are.
void PermutedExpansion::evaluate(const double* x, std::size_t n, double* values, double* gradients,
                                 Workspace& work) const {
  const std::size_t D = expansion_.n_features(), P = D == 0 ? 1 : permuted_.size() / D;
  constexpr std::size_t kPoints = 8 * kTilePoints;
  const std::size_t block = std::max<std::size_t>(1, kPoints / P);
  const std::size_t most = std::min(block, n) * P;
  work.points.resize(most * D);
  work.values.resize(most);
  work.gradients.resize(gradients == nullptr ? 0 : most * D);
  for (std::size_t first = 0; first < n; first += block) {
    const std::size_t count = std::min(block, n - first);
    for (std::size_t i = 0; i < count; ++i)
      for (std::size_t p = 0; p < P; ++p)
        for (std::size_t k = 0; k < D; ++k)
          work.points[(i * P + p) * D + static_cast<std::size_t>(permuted_[p * D + k])] = x[(first + i) * D + k];
    expansion_.evaluate(work.points.data(), count * P, work.values.data(),
                        gradients == nullptr ? nullptr : work.gradients.data(), work.expansion);
    for (std::size_t i = 0; i < count; ++i) {
      values[first + i] = 0.0;
      for (std::size_t p = 0; p < P; ++p) values[first + i] += work.values[i * P + p];
      if (gradients == nullptr) continue;
      double* const sum = gradients + (first + i) * D;
      std::fill(sum, sum + D, 0.0);
      for (std::size_t p = 0; p < P; ++p)
        for (std::size_t k = 0; k < D; ++k)
          sum[k] += work.gradients[(i * P + p) * D + static_cast<std::size_t>(permuted_[p * D + k])];
    }
  }
}

}  // namespace atomcore::cpu
