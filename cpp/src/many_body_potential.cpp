#include "src/many_body_potential.hpp"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "src/error.hpp"

namespace atomcore {
namespace {

// Any model, of the atoms of a set by themselves.
class ModelOfTuples final : public TupleModel {
 public:
  ModelOfTuples(std::unique_ptr<const Model> model, std::vector<std::int32_t> numbers)
      : model_(std::move(model)), numbers_(std::move(numbers)) {}

  std::size_t n_atoms() const override { return numbers_.size(); }
  void evaluate(const double* positions, std::size_t n, double* energies, double* gradients) const override {
    static constexpr double kCell[9] = {};
    static constexpr std::uint8_t kOpen[3] = {};
    const std::size_t size = 3 * numbers_.size();
    std::vector<Structure> structures;
    for (std::size_t t = 0; t < n; ++t)
      structures.push_back({{positions + t * size, size}, {kCell, 9}, {kOpen, 3}, numbers_});
    const auto found = model_->compute(structures, {gradients != nullptr, false, false}, 1);
    for (std::size_t t = 0; t < n; ++t) {
      energies[t] = found[t].mean.energy;
      if (gradients) std::copy_n(found[t].mean.gradient.data(), size, gradients + t * size);
    }
  }

 private:
  std::unique_ptr<const Model> model_;
  std::vector<std::int32_t> numbers_;
};

std::vector<ManyBodyTerm> terms_of(const ManyBodyRecord& record, Precision precision) {
  std::vector<ManyBodyTerm> terms;
  for (const ManyBodyRecord::Term& term : record.terms) {
    std::vector<std::int32_t> numbers;
    for (const std::int32_t c : term.components) {
      const auto& own = record.components[static_cast<std::size_t>(c)].numbers;
      numbers.insert(numbers.end(), own.begin(), own.end());
    }
    const auto* const gdml = std::get_if<MolecularGdmlRecord>(&term.model->content);
    auto model = gdml && precision == Precision::float64
                     ? make_tuple_model(gdml->gdml)
                     : std::make_shared<const ModelOfTuples>(make_model(*term.model, precision), std::move(numbers));
    terms.push_back({term.components, term.criterion, std::move(model)});
  }
  return terms;
}

}  // namespace

ManyBodyPotential::ManyBodyPotential(const ManyBodyRecord& record, Precision precision)
    : model_(record.components, terms_of(record, precision)) {}

Evaluation ManyBodyPotential::compute(const Structure& structure, const Request& request, int n_threads) const {
  if (request.spread || request.extrapolation || request.grade)
    throw Error(ErrorCode::invalid_value, "a many-body expansion knows no spread and no extrapolation of features");
  std::vector<std::int64_t> ptr, atom;
  std::vector<std::int32_t> component;
  model_.consecutive(structure.numbers, ptr, atom, component);
  ManyBodyValues values = model_.compute(structure.positions, structure.cell.data(), structure.pbc.data(),
                                         structure.numbers, {ptr, atom, component}, {}, request.derivatives, n_threads);
  Evaluation result{};
  for (const double energy : values.terms) result.mean.energy += energy;
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
