#include "src/gdml_potential.hpp"

#include <algorithm>
#include <string>

#include "src/error.hpp"
#include "src/interrupt.hpp"
#include "src/parallel.hpp"

namespace atomcore {
namespace {

constexpr std::size_t kTogether = 64;  // structures that are evaluated at a time

void refuse(const Request& request) {
  if (request.spread) throw Error(ErrorCode::invalid_value, "a GDML model in a file has no variance and so no spread");
  if (request.extrapolation || request.grade)
    throw Error(ErrorCode::invalid_value, "a GDML model has no features of atoms, and so no extrapolation of them");
}

}  // namespace

GdmlPotential::GdmlPotential(const MolecularGdmlRecord& record)
    : molecule_(record.numbers, record.gdml.lattice), model_(record.gdml) {}

// Structures that have passed the check.
void GdmlPotential::evaluate(span<const Structure> structures, const Request& request, Evaluation* results,
                             GdmlModel::Workspace& work) const {
  const std::size_t n = structures.size(), size = 3 * molecule_.size();
  std::vector<double> positions, energies(n), gradients(request.derivatives ? n * size : 0), strains(9 * n);
  for (const Structure& structure : structures)
    positions.insert(positions.end(), structure.positions.begin(), structure.positions.end());
  model_.evaluate(positions.data(), n, energies.data(), request.derivatives ? gradients.data() : nullptr,
                  request.derivatives ? strains.data() : nullptr, work);
  for (std::size_t s = 0; s < n; ++s) {
    Values& mean = results[s].mean;
    mean.energy = energies[s];
    if (request.derivatives) {
      mean.gradient.assign(&gradients[s * size], &gradients[s * size] + size);
      std::copy_n(&strains[9 * s], 9, mean.strain_gradient.begin());
    }
    check_finite(results[s]);
  }
}

Evaluation GdmlPotential::compute(const Structure& structure, const Request& request, int /*n_threads*/) const {
  refuse(request);
  molecule_.check(structure);
  Evaluation result{};
  GdmlModel::Workspace work;
  evaluate({&structure, 1}, request, &result, work);
  return result;
}

// Structures that stand behind one another go through the kernels together; where one is refused, alone.
std::vector<Evaluation> GdmlPotential::compute(span<const Structure> structures, const Request& request,
                                               int n_threads) const {
  std::vector<Evaluation> results(structures.size());
  Interruptible user;
  parallel_for(static_cast<std::int64_t>(structures.size()), n_threads, 1, [&](std::int64_t begin, std::int64_t end) {
    GdmlModel::Workspace work;
    const auto last = static_cast<std::size_t>(end);
    for (std::size_t from = static_cast<std::size_t>(begin), to; from < last; from = to) {
      to = std::min(from + kTogether, last);
      user.check();
      try {
        refuse(request);
        for (std::size_t s = from; s < to; ++s) molecule_.check(structures[s]);
        evaluate({&structures[from], to - from}, request, &results[from], work);
      } catch (const Error&) {
        for (std::size_t s = from; s < to; ++s)
          results[s] = of_structure(s, [&] { return compute(structures[s], request, 1); });
      }
    }
  });
  return results;
}

}  // namespace atomcore
