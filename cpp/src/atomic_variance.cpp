#include "src/atomic_variance.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "math/cell.hpp"
#include "src/error.hpp"
#include "src/memory.hpp"

namespace atomcore {
namespace {

constexpr double kAlwaysThere = 1e8;  // bytes

void check_memory(std::size_t points, std::size_t columns, std::size_t variables) {
  const double bytes =
      8.0 * static_cast<double>(points) * static_cast<double>(columns) * static_cast<double>(variables);
  if (bytes <= kAlwaysThere || bytes <= usable_memory()) return;
  char text[200];
  std::snprintf(
      text, sizeof text,
      "the spread of forces of %zu atoms needs %.3g GB where %.3g GB can be had here: ask for fewer atoms, or "
      "for the spread of the energy alone",
      points, bytes * 1e-9, usable_memory() * 1e-9);
  throw Error(ErrorCode::out_of_memory, text);
}

}  // namespace

AtomicVariance::AtomicVariance(const AtomicKernelRecord& model)
    : plan_(model.plan),
      prepared_(plan_.view()),
      columns_(model.variance->columns.begin(), model.variance->columns.end()),
      variance_(model.variance) {
  for (const KernelElementRecord& element : model.elements) {
    Element own{std::vector<double>(columns_.size()), std::vector<double>(columns_.size())};
    for (std::size_t k = 0; k < columns_.size(); ++k) {
      const auto found =
          std::lower_bound(element.columns.begin(), element.columns.end(), static_cast<std::int64_t>(columns_[k]));
      if (found == element.columns.end() || *found != static_cast<std::int64_t>(columns_[k])) continue;
      own.mean[k] = element.mean[static_cast<std::size_t>(found - element.columns.begin())];
      own.scale[k] = element.scale[static_cast<std::size_t>(found - element.columns.begin())];
    }
    elements_.push_back(std::move(own));
  }
}

// Appends one atom to the points and, where derivatives are asked for, to their Jacobian in positions and strain.
void AtomicVariance::add_point(const Surroundings& near, std::size_t atom, cpu::FeatureRows<double>& rows,
                               bool derivatives, PointSet& set) const {
  std::vector<double> D, G(static_cast<std::size_t>(prepared_.n_features()));
  std::vector<std::int32_t> species;
  std::vector<std::size_t> neighbors;
  for_each_neighbor(near, atom, [&](std::size_t neighbor, const math::Vec3<double>& d, bool inside) {
    if (!inside) return;
    D.insert(D.end(), {d.x, d.y, d.z});
    species.push_back(near.species[neighbor]);
    neighbors.push_back(neighbor);
  });
  rows.load(D.data(), species.data(), species.size());
  rows.forward(G.data());
  const Element& element = elements_[static_cast<std::size_t>(near.species[atom])];
  const std::size_t K = columns_.size(), n = neighbors.size(), m = set.variables[0];
  for (std::size_t k = 0; k < K; ++k) set.x.push_back((G[columns_[k]] - element.mean[k]) * element.scale[k]);
  set.elements.push_back(near.species[atom]);
  if (!derivatives) return;
  std::vector<double> unit(K * G.size()), g_D(3 * K * n);  // one cotangent a column
  for (std::size_t k = 0; k < K; ++k) unit[k * G.size() + columns_[k]] = element.scale[k];
  rows.adjoint(unit.data(), K, G.size(), g_D.data());
  const std::size_t first = set.jacobian.size();
  set.jacobian.resize(first + K * m);
  for (std::size_t k = 0; k < K; ++k) {
    double* const row = set.jacobian.data() + first + k * m;
    double* const strain = row + m - 9;
    for (std::size_t e = 0; e < n; ++e)
      for (std::size_t b = 0; b < 3; ++b) {
        const double g = g_D[3 * (k * n + e) + b];
        row[3 * neighbors[e] + b] += g;
        row[3 * atom + b] -= g;
        for (std::size_t a = 0; a < 3; ++a) strain[3 * a + b] += D[3 * e + a] * g;
      }
  }
}

Values AtomicVariance::spread(const Surroundings& near, bool derivatives, int n_threads) const {
  const std::size_t n = near.species.size(), n_centres = near.n_centres();
  PointSet set;
  set.first = {0, n_centres};
  set.variables = {derivatives ? 3 * n + 9 : 0};
  check_memory(n_centres, columns_.size(), set.variables[0]);
  cpu::FeatureRows<double> rows(prepared_);
  for (std::size_t k = 0; k < n_centres; ++k) add_point(near, near.centre(k), rows, derivatives, set);
  const KernelVariance::Result found = variance_.of(set, n_threads);
  Values spread{};
  spread.energy = std::sqrt(found.energy);
  spread.energies.resize(n);
  for (std::size_t k = 0; k < n_centres; ++k) spread.energies[near.centre(k)] = std::sqrt(found.energies[k]);
  if (!derivatives) return spread;
  for (std::size_t v = 0; v < 3 * n; ++v) spread.gradient.push_back(std::sqrt(found.variables[v]));
  for (std::size_t v = 0; v < 9; ++v) spread.strain_gradient[v] = std::sqrt(found.variables[3 * n + v]);
  return spread;
}

}  // namespace atomcore
