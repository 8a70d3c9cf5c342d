#include "src/structure_kernel.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "src/error.hpp"
#include "src/interrupt.hpp"
#include "src/neighbor_input.hpp"
#include "src/parallel.hpp"

namespace atomcore {
namespace {

[[noreturn]] void invalid(const std::string& what) { throw Error(ErrorCode::invalid_value, what); }

}  // namespace

StructureKernel::StructureKernel(const StructureKernelRecord& record) : record_(record), sum_(record.sum) {
  if (!record.molecule.empty()) molecule_ = std::make_unique<const Molecule>(record.molecule, std::vector<double>());
  if (record.variance) variance_ = std::make_unique<const KernelVariance>(record.variance);
}

void StructureKernel::check(const Structure& structure) const {
  if (molecule_) return molecule_->check(structure);
  const std::size_t n = structure.numbers.size();
  check_size("positions", structure.positions.size(), 3 * n);
  check_positions(structure.positions);
  if (std::any_of(structure.pbc.begin(), structure.pbc.end(), [](auto p) { return p != 0; }))
    invalid("pbc: the model is of molecules; accepted: pbc false, the molecule in one piece");
  if (n > record_.descriptor.n_atoms || (record_.fixed_size && n != record_.descriptor.n_atoms))
    invalid("numbers: the structure has " + std::to_string(n) +
            " atoms; accepted: " + (record_.fixed_size ? "" : "at most ") + std::to_string(record_.descriptor.n_atoms));
}

double StructureKernel::reference_of(span<const std::int32_t> numbers) const {
  double sum = record_.constant;
  for (const std::int32_t number : numbers) {
    const auto found = std::find(record_.numbers.begin(), record_.numbers.end(), number);
    if (found == record_.numbers.end())
      invalid("numbers: the model does not know the elements of " + composition(numbers) + "; it knows " +
              composition(record_.numbers));
    sum += record_.reference[static_cast<std::size_t>(found - record_.numbers.begin())];
  }
  return sum;
}

Evaluation StructureKernel::compute(const Structure& structure, const Request& request, int n_threads) const {
  if (request.spread && !variance_)
    invalid("the model was saved without its variance and so has no spread; save it with variance=True for that");
  if (request.extrapolation || request.grade)
    invalid("a model of whole structures has no features of atoms, and so no extrapolation of them");
  check(structure);
  const std::size_t n = structure.numbers.size(), width = record_.columns.size();
  Evaluation result{};
  result.mean.energy = reference_of(structure.numbers);
  const StructureDescriptor descriptor(record_.descriptor, structure.numbers, structure.positions);
  std::vector<double> x(width), g_x(width), g(descriptor.values().size());
  for (std::size_t k = 0; k < width; ++k)
    x[k] = (descriptor.values()[static_cast<std::size_t>(record_.columns[k])] - record_.mean[k]) * record_.scale[k];
  cpu::KernelExpansion::Workspace work;
  double value;
  sum_.evaluate(x.data(), 1, &value, request.derivatives ? g_x.data() : nullptr, work);
  result.mean.energy += value;
  if (request.derivatives) {
    for (std::size_t k = 0; k < width; ++k) g[static_cast<std::size_t>(record_.columns[k])] = g_x[k] * record_.scale[k];
    result.mean.gradient.resize(3 * n);
    descriptor.adjoint(g.data(), result.mean.gradient.data());
    for (std::size_t k = 0; k < 9 * n; ++k)  // of a molecule, whose gradients sum to zero
      result.mean.strain_gradient[k % 9] +=
          structure.positions[3 * (k / 9) + k % 9 / 3] * result.mean.gradient[3 * (k / 9) + k % 3];
  }
  check_finite(result);
  if (request.spread) result.spread = spread(descriptor, n, request.derivatives, n_threads);
  return result;
}

Values StructureKernel::spread(const StructureDescriptor& descriptor, std::size_t n_atoms, bool derivatives,
                               int n_threads) const {
  const std::size_t K = record_.variance->columns.size(), m = derivatives ? 3 * n_atoms : 0;
  PointSet set;
  set.elements = {0};
  set.first = {0, 1};
  set.variables = {m};
  set.jacobian.resize(K * m);
  std::vector<double> unit(descriptor.values().size());
  for (std::size_t k = 0; k < K; ++k) {
    const std::int64_t column = record_.variance->columns[k];
    const auto own = std::lower_bound(record_.columns.begin(), record_.columns.end(), column) - record_.columns.begin();
    const double scale = record_.scale[static_cast<std::size_t>(own)];
    double& one = unit[static_cast<std::size_t>(column)];
    set.x.push_back(
        (descriptor.values()[static_cast<std::size_t>(column)] - record_.mean[static_cast<std::size_t>(own)]) * scale);
    if (!derivatives) continue;
    one = scale;
    descriptor.adjoint(unit.data(), set.jacobian.data() + k * m);
    one = 0.0;
  }
  const KernelVariance::Result found = variance_->of(set, n_threads);
  Values spread{};
  spread.energy = std::sqrt(found.energy);
  for (const double x : found.variables) spread.gradient.push_back(std::sqrt(x));
  return spread;
}

std::vector<Evaluation> StructureKernel::compute(span<const Structure> structures, const Request& request,
                                                 int n_threads) const {
  std::vector<Evaluation> results(structures.size());
  Interruptible user;
  parallel_for(static_cast<std::int64_t>(structures.size()), n_threads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto s = static_cast<std::size_t>(begin); s < static_cast<std::size_t>(end); ++s) {
      user.check();
      results[s] = of_structure(s, [&] { return compute(structures[s], request, 1); });
    }
  });
  return results;
}

}  // namespace atomcore
