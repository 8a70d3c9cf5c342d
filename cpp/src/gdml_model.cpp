#include "src/gdml_model.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "src/error.hpp"

namespace atomcore {
namespace {

void check_size(const char* name, std::size_t size, std::size_t expected) {
  if (size != expected)
    throw Error(ErrorCode::invalid_value,
                std::string(name) + " has " + std::to_string(size) + " numbers; accepted: " + std::to_string(expected));
}

void check_finite(const char* name, const std::vector<double>& values) {
  for (const double x : values)
    if (!std::isfinite(x))
      throw Error(ErrorCode::invalid_value,
                  std::string(name) + " holds " + std::to_string(x) + "; accepted: finite numbers");
}

const GdmlRecord& checked(const GdmlRecord& record) {
  if (record.n_atoms < 2)
    throw Error(ErrorCode::invalid_value, "n_atoms is " + std::to_string(record.n_atoms) +
                                              "; accepted: 2 and more, a model of inverse distances");
  if (!(record.sigma > 0.0) || !std::isfinite(record.sigma))
    throw Error(ErrorCode::invalid_value,
                "sigma is " + std::to_string(record.sigma) + "; accepted: positive finite numbers");
  const std::size_t D = record.n_atoms * (record.n_atoms - 1) / 2, M = record.descriptors.size() / D;
  check_size("descriptors", record.descriptors.size(), M * D);
  check_size("derivative_coefficients", record.derivative_coefficients.size(), M * D);
  if (!record.energy_coefficients.empty()) check_size("energy_coefficients", record.energy_coefficients.size(), M);
  if (!record.lattice.empty()) check_size("lattice", record.lattice.size(), 9);
  const std::size_t P = std::max<std::size_t>(1, record.permutations.size() / record.n_atoms);
  check_size("permutations", record.permutations.size(), P * record.n_atoms);
  check_finite("descriptors", record.descriptors);
  check_finite("derivative_coefficients", record.derivative_coefficients);
  check_finite("energy_coefficients", record.energy_coefficients);
  check_finite("scale or constant", {record.scale, record.constant});
  return record;
}

// Coefficients reach 1e11 and what they multiply cancels, so nothing is divided by sigma: that would round the centres.
cpu::KernelSum sum_of(const GdmlRecord& record) {
  return {math::KernelKind::matern52,
          {},
          record.n_atoms * (record.n_atoms - 1) / 2,
          record.descriptors,
          record.energy_coefficients,
          record.derivative_coefficients,
          record.sigma};
}

}  // namespace

GdmlModel::GdmlModel(const GdmlRecord& record)
    : distances_(checked(record).n_atoms, record.lattice),
      expansion_(sum_of(record), cpu::permuted_pairs(record.permutations, record.n_atoms)),
      scale_(record.scale),
      constant_(record.constant),
      periodic_(!record.lattice.empty()) {}

void GdmlModel::evaluate(const double* positions, std::size_t n, double* energies, double* gradients,
                         double* strain_gradients, Workspace& work) const {
  constexpr std::size_t kBlock = 8 * cpu::kTilePoints;
  const std::size_t N = n_atoms(), D = distances_.n_pairs(), most = std::min(n, kBlock);
  const bool derivatives = gradients != nullptr || strain_gradients != nullptr;
  work.x.resize(most * D);
  work.C.resize(most * 3 * D);
  work.values.resize(most);
  work.slopes.resize(derivatives ? most * D : 0);
  for (std::size_t first = 0; first < n; first += kBlock) {
    const std::size_t count = std::min(kBlock, n - first);
    for (std::size_t i = 0; i < count; ++i)
      distances_.evaluate(positions + (first + i) * 3 * N, work.x.data() + i * D, work.C.data() + i * 3 * D);
    expansion_.evaluate(work.x.data(), count, work.values.data(), derivatives ? work.slopes.data() : nullptr,
                        work.expansion);
    for (std::size_t i = 0; i < count; ++i) {
      energies[first + i] = constant_ + scale_ * work.values[i];
      if (!derivatives) continue;
      double* const slope = work.slopes.data() + i * D;
      const double* const C = work.C.data() + i * 3 * D;
      for (std::size_t k = 0; k < D; ++k) slope[k] *= scale_;
      if (gradients != nullptr) cpu::pull_back(N, C, slope, gradients + (first + i) * 3 * N);
      if (strain_gradients != nullptr) cpu::pull_back_strain(N, C, slope, strain_gradients + (first + i) * 9);
    }
  }
}

}  // namespace atomcore
