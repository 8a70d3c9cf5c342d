#include <algorithm>
#include <array>
#include <limits>
#include <memory>

#include "src/model_kinds.hpp"
#include "src/molecule.hpp"

namespace atomcore {
namespace {

std::vector<ComponentRecord> read_components(const Json& metadata) {
  std::vector<ComponentRecord> components;
  for (const Json& item : array_member(metadata, "components", kMetadata)) {
    ComponentRecord component;
    component.name = string_member(item, "name", "a component");
    component.numbers = read_numbers(item, "atoms");
    for (const Json& mass : array_member(item, "masses", "a component")) {
      if (!mass.is_number() || !(mass.get<double>() > 0.0)) corrupt("'masses' of a component must be positive numbers");
      component.masses.push_back(mass.get<double>());
    }
    if (component.masses.size() != component.numbers.size()) corrupt("'masses' and 'atoms' of a component do not fit");
    components.push_back(std::move(component));
  }
  if (components.empty()) corrupt("'components' is empty");
  return components;
}

// A bound that is not there is infinite.
double bound(const Json& criterion, const std::string& key, double otherwise) {
  return criterion.contains(key) ? number_member(criterion, key, "'criterion'") : otherwise;
}

TupleCriterion read_criterion(const Json& term) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (!term.contains("criterion")) return {TupleMeasure::none, -infinity, infinity, 0.0};
  const Json& criterion = member(term, "criterion", "a term");
  constexpr std::array names{"none", "centre_distance_sum", "largest_atom_distance"};  // in the order of TupleMeasure
  const std::size_t measure = known_name(string_member(criterion, "measure", "'criterion'"), names, "measure");
  const TupleCriterion result{static_cast<TupleMeasure>(measure), bound(criterion, "lower", -infinity),
                              bound(criterion, "cutoff", infinity), bound(criterion, "width", 0.0)};
  if (!(result.cutoff > 0.0) || !(result.lower < result.cutoff) || !(result.width >= 0.0))
    corrupt("the bounds of a criterion make no sense");
  return result;
}

void check_atoms(const MolecularGdmlRecord& gdml, const std::vector<std::int32_t>& wanted,
                 const std::vector<ComponentRecord>& components) {
  std::vector<std::int32_t> numbers;
  for (const std::int32_t c : wanted) {
    const auto& own = components[static_cast<std::size_t>(c)].numbers;
    numbers.insert(numbers.end(), own.begin(), own.end());
  }
  if (gdml.numbers != numbers)
    corrupt("the model of a term is of " + composition(gdml.numbers) + " where its components are of " +
            composition(numbers) + ", or the atoms stand in another order");
  if (!gdml.gdml.lattice.empty()) corrupt("the model of a term is of a crystal; accepted: of molecules by themselves");
}

ManyBodyRecord::Term read_term(const Json& term, const TensorReader& tensors,
                               const std::vector<ComponentRecord>& components) {
  ManyBodyRecord::Term result{{}, read_criterion(term), nullptr};
  for (const std::string& name : strings_member(term, "components", "a term")) {
    const auto found = std::find_if(components.begin(), components.end(),
                                    [&](const ComponentRecord& component) { return component.name == name; });
    if (found == components.end()) corrupt("a term names the component '" + name + "', which is not there");
    result.components.push_back(static_cast<std::int32_t>(found - components.begin()));
  }
  const Json& model = member(term, "model", "a term");
  if (member(model, "kind", "the model of a term") == "many_body")
    corrupt("the model of a term is a many-body expansion itself");
  result.model = std::make_shared<const ModelRecord>(read_model(model, tensors));
  if (const auto* const gdml = std::get_if<MolecularGdmlRecord>(&result.model->content))
    check_atoms(*gdml, result.components, components);
  return result;
}

}  // namespace

ManyBodyRecord read_many_body(const Json& metadata, const TensorReader& tensors) {
  ManyBodyRecord record{read_components(metadata), {}};
  const Json& terms = array_member(metadata, "terms", kMetadata);
  for (std::size_t t = 0; t < terms.size(); ++t)
    record.terms.push_back(read_term(terms[t], tensors.within("terms." + std::to_string(t) + "."), record.components));
  if (record.terms.empty()) corrupt("'terms' is empty");
  return record;
}

}  // namespace atomcore
