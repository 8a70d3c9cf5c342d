#include "src/many_body_potential.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "src/error.hpp"

namespace atomcore {
namespace {

// A model of atoms anywhere as one of a few molecules by themselves.
class FreeModel final : public TupleModel {
 public:
  FreeModel(std::unique_ptr<const Model> model, std::vector<std::int32_t> numbers)
      : model_(std::move(model)), numbers_(std::move(numbers)) {}

  std::size_t n_atoms() const override { return numbers_.size(); }
  void evaluate(const double* positions, std::size_t n, double* energies, double* gradients) const override {
    constexpr double kNoCell[9] = {};
    constexpr std::uint8_t kOpen[3] = {};
    const std::size_t stride = 3 * numbers_.size();
    std::vector<Structure> structures;
    for (std::size_t s = 0; s < n; ++s)
      structures.push_back({{positions + s * stride, stride}, {kNoCell, 9}, {kOpen, 3}, numbers_});
    const auto found = model_->compute(structures, {gradients != nullptr, false, false}, 1);
    for (std::size_t s = 0; s < n; ++s) {
      energies[s] = found[s].mean.energy;
      if (gradients != nullptr) std::copy_n(found[s].mean.gradient.data(), stride, gradients + s * stride);
    }
  }

 private:
  std::unique_ptr<const Model> model_;
  std::vector<std::int32_t> numbers_;
};

std::shared_ptr<const TupleModel> tuple_model_of(const ManyBodyTermRecord& term,
                                                 const std::vector<ComponentRecord>& components) {
  if (const auto* gdml = std::get_if<MolecularGdmlRecord>(&term.model->content)) return make_tuple_model(gdml->gdml);
  std::vector<std::int32_t> numbers;
  for (const std::int32_t c : term.components) {
    const auto& own = components[static_cast<std::size_t>(c)].numbers;
    numbers.insert(numbers.end(), own.begin(), own.end());
  }
  return std::make_shared<const FreeModel>(make_model(*term.model, Precision::float64), std::move(numbers));
}

std::vector<ManyBodyTerm> terms_of(const ManyBodyRecord& record) {
  std::vector<ManyBodyTerm> terms;
  for (const ManyBodyTermRecord& term : record.terms)
    terms.push_back({term.components, term.criterion, tuple_model_of(term, record.components)});
  return terms;
}

}  // namespace

ManyBodyPotential::ManyBodyPotential(const ManyBodyRecord& record) : model_(record.components, terms_of(record)) {}

Evaluation ManyBodyPotential::compute(const Structure& structure, const Request& request, int n_threads) const {
  if (request.spread) throw Error(ErrorCode::invalid_value, "a many-body expansion has no variance and so no spread");
  if (request.extrapolation)
    throw Error(ErrorCode::invalid_value, "a many-body expansion has no ranges of features, and so no extrapolation");
  std::vector<std::int64_t> ptr, atom;
  std::vector<std::int32_t> component;
  model_.consecutive(structure.numbers, ptr, atom, component);
  ManyBodyValues values = model_.compute(structure.positions, structure.cell.data(), structure.pbc.data(),
                                         structure.numbers, {ptr, atom, component}, {}, request.derivatives, n_threads);
  Evaluation result{};
  result.mean.energy = std::accumulate(values.terms.begin(), values.terms.end(), 0.0);
  result.mean.energies = std::move(values.energies);
  result.mean.gradient = std::move(values.gradient);
  result.mean.strain_gradient = values.strain_gradient;
  check_finite(result);
  return result;
}

std::vector<Evaluation> ManyBodyPotential::compute(span<const Structure> structures, const Request& request,
                                                   int n_threads) const {
  std::vector<Evaluation> results;
  for (std::size_t s = 0; s < structures.size(); ++s)
    results.push_back(of_structure(s, [&] { return compute(structures[s], request, n_threads); }));
  return results;
}

}  // namespace atomcore
