// Many-body expansions in model files: the model of a term stands in the file as it would in one of its own.
#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "src/model_kinds.hpp"

namespace atomcore {
namespace {

constexpr std::size_t kMostMolecules = 16;  // of a term

std::vector<ComponentRecord> read_components(const Json& metadata) {
  std::vector<ComponentRecord> components;
  for (const Json& entry : array_member(metadata, "components", kMetadata)) {
    ComponentRecord component{string_member(entry, "name", "a component"), read_numbers(entry, "atoms"), {}};
    const std::string where = "component '" + component.name + "'";
    for (const Json& mass : array_member(entry, "masses", where)) {
      if (!mass.is_number() || !(mass.get<double>() > 0.0)) corrupt(where + " has a mass that is not positive");
      component.masses.push_back(mass.get<double>());
    }
    if (component.numbers.empty() || component.masses.size() != component.numbers.size())
      corrupt(where + " must have atoms, and a mass for each");
    components.push_back(std::move(component));
  }
  return components;
}

double bound(const Json& criterion, const std::string& key, double otherwise) {
  return member(criterion, key, "'criterion'").is_null() ? otherwise : number_member(criterion, key, "'criterion'");
}

TupleCriterion read_criterion(const Json& term, const std::string& where) {
  constexpr double kNone = std::numeric_limits<double>::infinity();
  const Json& criterion = member(term, "criterion", where);
  if (criterion.is_null()) return {TupleMeasure::none, -kNone, kNone, 0.0};
  // in the order of TupleMeasure, from 1
  constexpr std::array names{"centre_distance_sum", "largest_atom_distance"};
  const auto measure = known_name(string_member(criterion, "measure", "'criterion'"), names, "measure");
  const TupleCriterion found{static_cast<TupleMeasure>(measure + 1), bound(criterion, "lower", -kNone),
                             bound(criterion, "cutoff", kNone), number_member(criterion, "width", "'criterion'")};
  if (!(found.cutoff > 0.0) || !(found.cutoff > found.lower) || !(found.width >= 0.0))
    corrupt("the criterion of " + where + " has bounds that leave nothing between them, or a negative width");
  return found;
}

std::vector<std::int32_t> read_molecules(const Json& term, const std::vector<ComponentRecord>& components,
                                         const std::string& where) {
  std::vector<std::int32_t> found;
  for (const Json& name : array_member(term, "components", where)) {
    const auto same = [&](const ComponentRecord& c) { return name.is_string() && c.name == name.get<std::string>(); };
    const auto place = std::find_if(components.begin(), components.end(), same);
    if (place == components.end()) corrupt(where + " names a component that the file does not have");
    found.push_back(static_cast<std::int32_t>(place - components.begin()));
  }
  if (found.empty() || found.size() > kMostMolecules) corrupt(where + " must name 1 to 16 components");
  return found;
}

// GDML models know their atoms, which must be those of the components.
void check_atoms(const ManyBodyTermRecord& term, const std::vector<ComponentRecord>& components,
                 const std::string& where) {
  const auto* const gdml = std::get_if<MolecularGdmlRecord>(&term.model->content);
  if (gdml == nullptr) return;
  std::vector<std::int32_t> numbers;
  for (const std::int32_t c : term.components) {
    const auto& own = components[static_cast<std::size_t>(c)].numbers;
    numbers.insert(numbers.end(), own.begin(), own.end());
  }
  if (gdml->numbers != numbers) corrupt(where + " has a model of other atoms than its components");
  if (!gdml->gdml.lattice.empty()) corrupt(where + " has a model of a periodic cell");
}

}  // namespace

ManyBodyRecord read_many_body(const Json& metadata, const TensorReader& tensors) {
  ManyBodyRecord record{read_components(metadata), {}};
  std::size_t t = 0;
  for (const Json& entry : array_member(metadata, "terms", kMetadata)) {
    const std::string where = "term " + std::to_string(t);
    ManyBodyTermRecord term{read_molecules(entry, record.components, where), read_criterion(entry, where), nullptr};
    const Json& model = member(entry, "model", where);
    if (string_member(model, "kind", where) == "many_body") corrupt(where + " is itself a many-body expansion");
    term.model =
        std::make_shared<const ModelRecord>(read_model(model, tensors.within("terms." + std::to_string(t) + ".")));
    check_atoms(term, record.components, where);
    record.terms.push_back(std::move(term));
    ++t;
  }
  if (record.terms.empty()) corrupt("'terms' is empty");
  return record;
}

}  // namespace atomcore
