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
  if (!finite(result.mean.energy) || !std::all_of(result.mean.gradient.begin(), result.mean.gradient.end(), finite))
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
std::array<double, 9> strain_gradient(span<const T> D, span<const T> g_D, int n_threads) {
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

// The structure as one graph in precision T.
template <typename T>
struct Neighborhoods {
  std::vector<std::int64_t> structure_ptr;
  std::vector<std::int32_t> species;
  cpu::NeighborList list;
  std::vector<T> D;
  Graph graph() const { return {list.row_ptr, list.neighbor, species}; }
};

template <typename T>
Neighborhoods<T> neighborhoods(const Structure& structure, std::vector<std::int32_t> species, double cutoff,
                               int n_threads) {
  Neighborhoods<T> near;
  near.structure_ptr = {0, static_cast<std::int64_t>(structure.numbers.size())};
  near.species = std::move(species);
  check_neighbor_input(structure.positions, structure.cell, structure.pbc, near.structure_ptr, cutoff);
  near.list =
      cpu::neighbor_list(structure.positions, structure.cell, structure.pbc, near.structure_ptr, cutoff, n_threads);
  std::vector<double> vectors(near.list.shift.size());
  cpu::edge_vectors<double>(structure.positions, structure.cell, near.structure_ptr, near.list.row_ptr,
                            near.list.neighbor, near.list.shift, vectors, n_threads);
  check_coincident(near.list, vectors);
  near.D = converted<T>(std::move(vectors));
  return near;
}

// dE/dr and dE/dstrain from dE/dD.
template <typename T>
void add_derivatives(const Neighborhoods<T>& near, span<const T> g_D, Values& values, int n_threads) {
  values.strain_gradient = strain_gradient<T>(near.D, g_D, n_threads);
  values.gradient.resize(3 * near.species.size());
  std::array<double, 9> cell_gradient;  // at fixed positions; the strain gradient above covers it
  const auto scatter = [&](span<const double> g) {
    cpu::edge_scatter<double>(g, near.structure_ptr, near.list.row_ptr, near.list.neighbor, near.list.shift,
                              values.gradient, {cell_gradient.data(), 9}, n_threads);
  };
  if constexpr (std::is_same_v<T, double>)
    scatter(g_D);
  else
    scatter(std::vector<double>(g_D.begin(), g_D.end()));
}

// The mean of n pieces of equal length.
template <typename T>
std::vector<T> mean_of(const std::vector<T>& values, std::size_t n) {
  const std::size_t size = values.size() / n;
  std::vector<T> mean(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(size));
  for (std::size_t m = 1; m < n; ++m)
    for (std::size_t i = 0; i < size; ++i) mean[i] += values[m * size + i];
  for (T& x : mean) x /= static_cast<T>(n);
  return mean;
}

// The sample standard deviation of one number, number(member), over members whose mean is near `mean`.
template <typename Number>
double deviation(std::size_t members, double mean, const Number& number) {
  double square = 0.0, sum = 0.0;
  for (std::size_t m = 0; m < members; ++m) {
    const double d = number(m) - mean;
    square += d * d, sum += d;
  }
  const auto n = static_cast<double>(members);
  return std::sqrt(std::max(square - sum * sum / n, 0.0) / (n - 1.0));
}

Values spread_of(const std::vector<Values>& members, const Values& mean) {
  const std::size_t n = members.size();
  Values spread{};
  spread.energy = deviation(n, mean.energy, [&](std::size_t m) { return members[m].energy; });
  for (std::size_t i = 0; i < mean.energies.size(); ++i)
    spread.energies.push_back(deviation(n, mean.energies[i], [&](std::size_t m) { return members[m].energies[i]; }));
  for (std::size_t i = 0; i < mean.gradient.size(); ++i)
    spread.gradient.push_back(deviation(n, mean.gradient[i], [&](std::size_t m) { return members[m].gradient[i]; }));
  for (std::size_t i = 0; i < 9; ++i)
    spread.strain_gradient[i] =
        deviation(n, mean.strain_gradient[i], [&](std::size_t m) { return members[m].strain_gradient[i]; });
  return spread;
}

double sum_of(const std::vector<double>& energies) {
  double sum = 0.0;
  for (const double energy : energies) sum += energy;
  return sum;
}

}  // namespace

Potential::Potential(const ModelRecord& model, Precision precision)
    : metadata_(model.metadata),
      plan_(model.plan),
      ranges_(model),
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
Evaluation Potential::evaluate(const ElementNetworks<T>& networks, const Structure& structure, const Request& request,
                               int n_threads) const {
  const std::size_t n_atoms = structure.numbers.size(), members = networks.members();
  const auto near = neighborhoods<T>(structure, species_of(structure.numbers), plan_.cutoff(), n_threads);
  std::vector<T> G(n_atoms * static_cast<std::size_t>(plan_.n_features()));
  cpu::features<T>(plan_.view(), near.graph(), near.D, G, n_threads);

  Evaluation result{};
  if (request.extrapolation) result.extrapolation = ranges_.check<T>(near.species, G);
  std::vector<double> energies(members * n_atoms);
  std::vector<T> g(request.derivatives ? members * G.size() : 0);
  networks.evaluate(near.species, G, energies, g, n_threads);
  std::vector<Values> each(request.spread ? members : 0);
  for (std::size_t m = 0; m < each.size(); ++m) {
    const auto first = energies.begin() + static_cast<std::ptrdiff_t>(m * n_atoms);
    each[m].energies.assign(first, first + static_cast<std::ptrdiff_t>(n_atoms));
    each[m].energy = sum_of(each[m].energies);
  }
  result.mean.energies = mean_of(energies, members);
  result.mean.energy = sum_of(result.mean.energies);
  if (request.derivatives) {
    // The adjoint is linear: the mean forces come from the mean cotangent, the same with and without the spread.
    std::vector<T> cotangents = members == 1 ? std::move(g) : mean_of(g, members);
    if (request.spread) cotangents.insert(cotangents.end(), g.begin(), g.end());
    std::vector<T> g_D((1 + each.size()) * near.D.size());
    cpu::features_vjp<T>(plan_.view(), near.graph(), near.D, cotangents, g_D, n_threads);
    for (std::size_t m = 0; m <= each.size(); ++m)
      add_derivatives<T>(near, {g_D.data() + m * near.D.size(), near.D.size()}, m == 0 ? result.mean : each[m - 1],
                         n_threads);
  }
  if (request.spread) result.spread = spread_of(each, result.mean);
  check_finite(result);
  return result;
}

Evaluation Potential::compute(const Structure& structure, const Request& request, int n_threads) const {
  if (request.spread && std::visit([](const auto& networks) { return networks.members(); }, networks_) < 2)
    invalid("the model has one network an element and so no spread; train an ensemble for that");
  return std::visit([&](const auto& networks) { return evaluate(networks, structure, request, n_threads); }, networks_);
}

}  // namespace atomcore
