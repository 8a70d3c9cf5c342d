#include "src/potential.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include "src/elements.hpp"
#include "src/error.hpp"
#include "src/kernels.hpp"
#include "src/neighbor_input.hpp"
#include "src/parallel.hpp"

namespace atomcore {
namespace {

constexpr std::size_t kListed = 10;             // unknown elements that a message lists
constexpr double kCoincident = 1e-6;            // Angstrom
constexpr std::int64_t kStrainBlock = 1 << 12;  // edges a partial sum takes, whatever the number of threads

[[noreturn]] void invalid(const std::string& what) { throw Error(ErrorCode::invalid_value, what); }

std::string listed(const std::vector<std::int32_t>& numbers) {
  std::string text;
  for (const std::int32_t z : numbers) {
    text += (text.empty() ? "" : ", ") + std::to_string(z);
    if (z >= 1 && z <= kElementCount) text += std::string(" (") + kElementSymbols[z] + ")";
  }
  return text;
}

void check_coincident(const cpu::NeighborList& list, const std::vector<double>& D) {
  for (std::size_t i = 0; i + 1 < list.row_ptr.size(); ++i)
    for (auto e = static_cast<std::size_t>(list.row_ptr[i]); e < static_cast<std::size_t>(list.row_ptr[i + 1]); ++e) {
      const double* d = &D[3 * e];
      const double squared = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
      if (squared < kCoincident * kCoincident)
        invalid("positions: atoms " + std::to_string(i) + " and " + std::to_string(list.neighbor[e]) +
                " are at the same place (less than 1e-6 Angstrom apart)");
    }
}

// A model can overflow, far from anything it has seen: that is an error, and never a number that spreads.
void check_finite(const Evaluation& result) {
  const auto finite = [](double x) { return std::isfinite(x); };
  if (!finite(result.energy) || !std::all_of(result.gradient.begin(), result.gradient.end(), finite))
    throw Error(ErrorCode::overflow, "the model's energy or forces are not finite for this structure");
}

// The same numbers in another precision; moved where it is the same one.
template <typename To, typename From>
std::vector<To> converted(std::vector<From>&& values) {
  if constexpr (std::is_same_v<To, From>)
    return std::move(values);
  else
    return std::vector<To>(values.begin(), values.end());
}

// dE/dstrain = sum over edges of D (x) g_D. Blocks of fixed size keep the order of the sum.
template <typename T>
std::array<double, 9> strain_gradient(const std::vector<T>& D, const std::vector<T>& g_D, int n_threads) {
  const auto n_edges = static_cast<std::int64_t>(D.size() / 3);
  const std::int64_t n_blocks = (n_edges + kStrainBlock - 1) / kStrainBlock;
  std::vector<std::array<double, 9>> partial(static_cast<std::size_t>(n_blocks), std::array<double, 9>{});
  parallel_for(n_blocks, n_threads, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block) {
      auto& sum = partial[static_cast<std::size_t>(block)];
      for (auto e = static_cast<std::size_t>(block * kStrainBlock);
           e < static_cast<std::size_t>(std::min(n_edges, (block + 1) * kStrainBlock)); ++e)
        for (std::size_t a = 0; a < 3; ++a)
          for (std::size_t b = 0; b < 3; ++b)
            sum[3 * a + b] += static_cast<double>(D[3 * e + a]) * static_cast<double>(g_D[3 * e + b]);
    }
  });
  std::array<double, 9> total{};
  for (const auto& sum : partial)
    for (std::size_t k = 0; k < 9; ++k) total[k] += sum[k];
  return total;
}

}  // namespace

Potential::Potential(const ModelRecord& model, Precision precision)
    : metadata_(model.metadata),
      plan_(model.plan),
      networks_(precision == Precision::float32 ? Networks(ElementNetworks<float>(model))
                                                : Networks(ElementNetworks<double>(model))) {
  for (const ElementRecord& element : model.elements) numbers_.push_back(element.number);
}

std::vector<std::int32_t> Potential::species_of(span<const std::int32_t> numbers) const {
  std::vector<std::int32_t> species, unknown;
  species.reserve(numbers.size());
  for (const std::int32_t number : numbers) {
    const auto found = std::find(numbers_.begin(), numbers_.end(), number);
    species.push_back(static_cast<std::int32_t>(found - numbers_.begin()));
    if (found == numbers_.end() && unknown.size() < kListed &&
        std::find(unknown.begin(), unknown.end(), number) == unknown.end())
      unknown.push_back(number);
  }
  if (!unknown.empty())
    invalid("numbers: the model does not know the atomic number(s) " + listed(unknown) + "; it knows " +
            listed(numbers_));
  return species;
}

template <typename T>
Evaluation Potential::evaluate(const ElementNetworks<T>& networks, const Structure& structure, bool derivatives,
                               int n_threads) const {
  const std::size_t n_atoms = structure.numbers.size();
  const std::vector<std::int64_t> structure_ptr = {0, static_cast<std::int64_t>(n_atoms)};
  const std::vector<std::int32_t> species = species_of(structure.numbers);
  const double cutoff = plan_.cutoff();
  check_neighbor_input(structure.positions, structure.cell, structure.pbc, structure_ptr, cutoff);
  const cpu::NeighborList list =
      cpu::neighbor_list(structure.positions, structure.cell, structure.pbc, structure_ptr, cutoff, n_threads);
  std::vector<double> vectors(list.shift.size());
  cpu::edge_vectors<double>(structure.positions, structure.cell, structure_ptr, list.row_ptr, list.neighbor, list.shift,
                            vectors, n_threads);
  check_coincident(list, vectors);

  const std::vector<T> D = converted<T>(std::move(vectors));
  const Graph graph{list.row_ptr, list.neighbor, species};
  std::vector<T> G(n_atoms * static_cast<std::size_t>(plan_.n_features()));
  cpu::features<T>(plan_.view(), graph, D, G, n_threads);
  Evaluation result{};
  result.energies.resize(n_atoms);
  std::vector<T> g(derivatives ? G.size() : 0);
  networks.evaluate(species, G, result.energies, g, n_threads);
  for (const double energy : result.energies) result.energy += energy;

  if (derivatives) {
    std::vector<T> g_D(D.size());
    cpu::features_vjp<T>(plan_.view(), graph, D, g, g_D, n_threads);
    result.strain_gradient = strain_gradient(D, g_D, n_threads);
    result.gradient.resize(3 * n_atoms);
    std::array<double, 9> cell_gradient;  // at fixed positions; the strain gradient above covers it
    cpu::edge_scatter<double>(converted<double>(std::move(g_D)), structure_ptr, list.row_ptr, list.neighbor, list.shift,
                              result.gradient, {cell_gradient.data(), 9}, n_threads);
  }
  check_finite(result);
  return result;
}

Evaluation Potential::compute(const Structure& structure, bool derivatives, int n_threads) const {
  return std::visit([&](const auto& networks) { return evaluate(networks, structure, derivatives, n_threads); },
                    networks_);
}

}  // namespace atomcore
