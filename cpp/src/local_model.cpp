#include "src/local_model.hpp"

#include <algorithm>
#include <map>

#include "src/elements.hpp"
#include "src/error.hpp"
#include "src/neighbor_input.hpp"
#include "src/neighbor_search.hpp"
#include "src/streams.hpp"

namespace atomcore {
namespace {

constexpr std::size_t kListed = 10;                      // unknown elements that a message lists
constexpr std::size_t kTogether = std::size_t{1} << 14;  // atoms of small structures that are evaluated together

[[noreturn]] void invalid(const std::string& what) { throw Error(ErrorCode::invalid_value, what); }

std::string listed(const std::vector<std::int32_t>& numbers) {
  std::string text;
  for (const std::int32_t z : numbers) {
    text += (text.empty() ? "" : ", ") + std::to_string(z);
    if (z >= 1 && z <= kElementCount) text += std::string(" (") + kElementSymbols[z] + ")";
  }
  return text;
}

std::vector<bool> elements_of(span<const std::int32_t> species, std::size_t n_elements) {
  std::vector<bool> present(n_elements, false);
  for (const std::int32_t s : species)
    if (s >= 0) present[static_cast<std::size_t>(s)] = true;
  return present;
}

// Small structures behind one another.
struct Batch {
  std::vector<double> positions, cells;
  std::vector<std::uint8_t> pbc;
  std::vector<std::int64_t> structure_ptr{0};
  std::vector<std::int32_t> structure, species;

  void add(const Structure& item, const std::vector<std::int32_t>& its_species) {
    positions.insert(positions.end(), item.positions.begin(), item.positions.end());
    cells.insert(cells.end(), item.cell.begin(), item.cell.end());
    pbc.insert(pbc.end(), item.pbc.begin(), item.pbc.end());
    structure.insert(structure.end(), its_species.size(), static_cast<std::int32_t>(structure_ptr.size() - 1));
    species.insert(species.end(), its_species.begin(), its_species.end());
    structure_ptr.push_back(static_cast<std::int64_t>(species.size()));
  }
};

}  // namespace

template <typename Head, typename Record>
LocalModel::Parts<Head> LocalModel::parts_of(const Record& record) {
  for (const auto& element : record.elements) numbers_.push_back(element.number);
  return std::make_unique<const ModelParts<Head>>(record);
}

LocalModel::LocalModel(const NetworkRecord& record, Precision precision) : cutoff_(record.plan.cutoff()) {
  if (precision == Precision::float32)
    parts_ = parts_of<ElementNetworks<float>>(record);
  else
    parts_ = parts_of<ElementNetworks<double>>(record);
}

LocalModel::LocalModel(const AtomicKernelRecord& record)
    : cutoff_(record.plan.cutoff()), parts_(parts_of<ElementKernels>(record)) {
  if (record.variance) variance_ = std::make_unique<const AtomicVariance>(record);
}

std::vector<std::int32_t> LocalModel::species_of(span<const std::int32_t> numbers) const {
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

std::size_t LocalModel::members() const {
  return std::visit([](const auto& parts) { return parts->members(); }, parts_);
}

bool LocalModel::ranges_known() const {
  return std::visit([](const auto& parts) { return parts->ranges_known(); }, parts_);
}

bool LocalModel::graded() const {
  return std::visit([](const auto& parts) { return parts->graded(); }, parts_);
}

void LocalModel::check(const Request& request) const {
  if ((request.atomic_virials || request.member_gradients) && !request.derivatives)
    invalid("virials of atoms and gradients of members come with derivatives only");
  if (request.grade && !graded())
    invalid("the model has no grades of extrapolation; they come with training of one network an element");
  if (request.spread && !abilities().spread)
    invalid(std::holds_alternative<Parts<ElementKernels>>(parts_)
                ? "the model was saved without its variance and so has no spread; save it with variance=True for that"
                : "the model has one network an element and so no spread; train an ensemble for that");
  if (request.extrapolation && !ranges_known())
    invalid("the model file does not say what ranges the features had in training, and so not what lies outside");
}

Evaluation LocalModel::compute(const Structure& structure, const cpu::NeighborList& list, const Request& request,
                               int n_threads) const {
  check(request);
  check_size("positions", structure.positions.size(), 3 * structure.numbers.size());
  check_size("row_ptr", list.row_ptr.size(), structure.numbers.size() + 1);
  const std::vector<std::int32_t> species = species_of(structure.numbers);
  const std::vector<std::int32_t> all_of_one(species.size(), 0);
  return compute_near({structure.positions, structure.cell, all_of_one, species, &list, cpu::exact_square(cutoff_)},
                      request, n_threads);
}

// Nothing is told of the spread of gradients: those of ghost atoms are parts of what another process adds up.
Evaluation LocalModel::compute(const HostNeighbors& host, const Request& request, int n_threads) const {
  check(request);
  const HostAtoms atoms = check_host_neighbors(host, numbers_.size());
  const std::vector<std::int32_t> all_of_one(atoms.species.size(), 0);
  const std::vector<double> no_cell(9, 0.0);
  Evaluation result = compute_near(
      {host.positions, no_cell, all_of_one, atoms.species, nullptr, cpu::exact_square(cutoff_), &host, atoms.centres},
      request, n_threads);
  result.spread.gradient.clear();
  return result;
}

Evaluation LocalModel::compute_near(const Surroundings& near, const Request& request, int n_threads) const {
  Request of_members = request;
  of_members.spread = request.spread && !variance_;
  Extrapolation extrapolation;
  MemberValues values = std::visit(
      [&](const auto& parts) {
        const auto part = parts->part(elements_of(near.species, numbers_.size()));
        return evaluate(*part, near, of_members, extrapolation, n_threads);
      },
      parts_);
  Evaluation result = evaluation_of(std::move(values), members(), of_members, std::move(extrapolation));
  if (request.spread && variance_)
    result.spread = variance_->spread(near, request.derivatives && !near.host, n_threads);
  return result;
}

Evaluation LocalModel::compute(const Structure& structure, const Request& request, int n_threads) const {
  const std::vector<std::int64_t> structure_ptr{0, static_cast<std::int64_t>(structure.numbers.size())};
  check_neighbor_input(structure.positions, structure.cell, structure.pbc, structure_ptr, cutoff_);
  return compute(
      structure,
      cpu::neighbor_list(structure.positions, structure.cell, structure.pbc, structure_ptr, cutoff_, n_threads),
      request, n_threads);
}

// Small structures of the same elements, so that one part of the model serves them all.
std::vector<Evaluation> LocalModel::compute_together(span<const Structure> structures, const Request& request,
                                                     int n_threads) const {
  Batch batch;
  for (const Structure& structure : structures) batch.add(structure, species_of(structure.numbers));
  check_neighbor_input(batch.positions, batch.cells, batch.pbc, batch.structure_ptr, cutoff_);
  const cpu::NeighborList list =
      cpu::neighbor_list(batch.positions, batch.cells, batch.pbc, batch.structure_ptr, cutoff_, n_threads);
  const Surroundings near{batch.positions, batch.cells, batch.structure,
                          batch.species,   &list,       cpu::exact_square(cutoff_)};
  std::vector<MemberValues> values(structures.size());
  std::vector<Extrapolation> extrapolations(structures.size());
  std::visit(
      [&](const auto& parts) {
        const auto part = parts->part(elements_of(batch.species, numbers_.size()));
        evaluate_small(*part, near, batch.structure_ptr, request, {values.data(), values.size()},
                       {extrapolations.data(), extrapolations.size()}, n_threads);
      },
      parts_);
  std::vector<Evaluation> results;
  for (std::size_t s = 0; s < values.size(); ++s)
    results.push_back(evaluation_of(std::move(values[s]), members(), request, std::move(extrapolations[s])));
  return results;
}

std::vector<Evaluation> LocalModel::compute(span<const Structure> structures, const Request& request,
                                            int n_threads) const {
  check(request);
  std::vector<Evaluation> results(structures.size());
  const auto alone = [&](std::size_t i) {
    results[i] = of_structure(i, [&] { return compute(structures[i], request, n_threads); });
  };
  std::map<std::vector<bool>, std::vector<std::size_t>> small;  // structures by their elements
  for (std::size_t i = 0; i < structures.size(); ++i) {
    const Structure& item = structures[i];
    const auto known = [&](std::int32_t z) { return std::find(numbers_.begin(), numbers_.end(), z) != numbers_.end(); };
    const bool together = item.numbers.size() < kLargeStructure && !(request.spread && variance_);
    if (together && item.positions.size() == 3 * item.numbers.size() &&
        std::all_of(item.numbers.begin(), item.numbers.end(), known))
      small[elements_of(species_of(item.numbers), numbers_.size())].push_back(i);
    else
      alone(i);
  }
  for (const auto& [elements, members_of] : small)
    for (std::size_t from = 0, to = 0; from < members_of.size(); from = to) {
      std::vector<Structure> together;
      for (std::size_t n = 0; to < members_of.size() && n < kTogether; ++to) {
        together.push_back(structures[members_of[to]]);
        n += together.back().numbers.size();
      }
      try {
        std::vector<Evaluation> found = compute_together({together.data(), together.size()}, request, n_threads);
        for (std::size_t k = from; k < to; ++k) results[members_of[k]] = std::move(found[k - from]);
      } catch (const Error&) {  // say it of the structure that is to blame
        for (std::size_t k = from; k < to; ++k) alone(members_of[k]);
      }
    }
  return results;
}

}  // namespace atomcore
