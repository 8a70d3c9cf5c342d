#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "src/elements.hpp"
#include "src/model_kinds.hpp"

namespace atomcore {
namespace {

constexpr double kMostDegree = 64.0;               // of a polynomial kernel
constexpr double kMostAtoms = 10000;               // of a descriptor of the whole structure
constexpr std::int64_t kMostVariables = 30000000;  // coordinates of a structure

void check_positive(double x, const std::string& what) {
  if (!(x > 0.0)) corrupt(what + " must be positive");
}

void read_kernel(const Json& metadata, cpu::KernelSum& sum) {
  const Json& kernel = member(metadata, "kernel", kMetadata);
  const std::string& name = string_member(kernel, "type", "'kernel'");
  sum.kind = static_cast<math::KernelKind>(known_name(name, kKernelNames, "kernel"));
  if (sum.kind == math::KernelKind::rational_quadratic) {
    sum.parameters.a = number_member(kernel, "alpha", "'kernel'");
    check_positive(sum.parameters.a, "'alpha' of the kernel");
  } else if (sum.kind == math::KernelKind::polynomial) {
    sum.parameters.a = number_member(kernel, "offset", "'kernel'");
    sum.parameters.b = number_member(kernel, "degree", "'kernel'");
    if (!(sum.parameters.b >= 1.0 && sum.parameters.b <= kMostDegree) ||
        sum.parameters.b != std::floor(sum.parameters.b))
      corrupt("'degree' of the kernel must be a whole number from 1 to 64");
  }
}

// The rest of a sum whose kernel is known.
void read_sum(const TensorReader& tensors, std::size_t width, cpu::KernelSum& sum) {
  sum.n_features = width;
  sum.centres = tensors.rows("centres", width);
  const auto n = static_cast<std::size_t>(tensors.shape("centres")[0]);
  if (tensors.has("coefficients")) sum.coefficients = tensors.vector("coefficients", n);
  if (!tensors.has("derivative_coefficients")) return;
  sum.derivative_coefficients = tensors.rows("derivative_coefficients", width);
  if (sum.derivative_coefficients.size() != sum.centres.size())
    corrupt("tensor '" + tensors.name("derivative_coefficients") + "' must have the shape of the centres");
  if (math::smoothness(sum.kind) < 2)
    corrupt("tensor '" + tensors.name("derivative_coefficients") + "' is of a kernel that has no second derivatives");
}

// Offsets of pieces: from 0, never descending, to `last`.
std::vector<std::size_t> read_offsets(const TensorReader& tensors, const std::string& name, std::size_t last) {
  const std::vector<std::int64_t> offsets = tensors.integer_vector(name);
  if (offsets.empty() || offsets.front() != 0 || offsets.back() != static_cast<std::int64_t>(last) ||
      !std::is_sorted(offsets.begin(), offsets.end()))
    corrupt("tensor '" + tensors.name(name) + "' must rise from 0 to " + std::to_string(last));
  return {offsets.begin(), offsets.end()};
}

std::vector<double> read_factor(const TensorReader& tensors, const std::string& name, std::size_t n) {
  std::vector<double> factor = tensors.vector(name, n * (n + 1) / 2);
  for (std::size_t i = 0; i < n; ++i)
    check_positive(factor[i * (i + 3) / 2], "the diagonal of tensor '" + tensors.name(name) + "'");
  return factor;
}

void read_observed(const TensorReader& tensors, std::size_t n_elements, VarianceRecord& record) {
  PointSet& observed = record.observed;
  observed.x = tensors.rows("features", record.n_features);
  const auto n = static_cast<std::size_t>(tensors.shape("features")[0]);
  const std::vector<std::int64_t> elements = tensors.integer_vector("elements");
  if (elements.size() != n) corrupt("tensor '" + tensors.name("elements") + "' must have an entry for each row");
  for (const std::int64_t element : elements)
    if (element < 0 || element >= static_cast<std::int64_t>(n_elements))
      corrupt("tensor '" + tensors.name("elements") + "' must hold integers from 0 to " +
              std::to_string(n_elements - 1));
  observed.elements.assign(elements.begin(), elements.end());
  observed.first = read_offsets(tensors, "structure_ptr", n);
  record.batches = read_offsets(tensors, "batch_ptr", observed.first.size() - 1);
}

// Returns how many numbers the gradients have.
std::size_t read_gradients(const TensorReader& tensors, VarianceRecord& record) {
  PointSet& observed = record.observed;
  const std::vector<std::int64_t> variables = tensors.integer_vector("variables");
  std::size_t total = 0, entries = 0;
  if (variables.size() + 1 != observed.first.size())
    corrupt("tensor '" + tensors.name("variables") + "' must have an entry for each structure");
  for (std::size_t s = 0; s < variables.size(); ++s) {
    if (variables[s] < 0 || variables[s] > kMostVariables)
      corrupt("tensor '" + tensors.name("variables") + "' must hold numbers of coordinates");
    const auto m = static_cast<std::size_t>(variables[s]);
    observed.variables.push_back(m);
    total += m;
    entries += m * record.n_features * (observed.first[s + 1] - observed.first[s]);
  }
  observed.jacobian = tensors.vector("jacobian", entries);
  if (math::smoothness(record.kind) < 2) corrupt("its variance is of gradients, which its kernel does not have");
  return total;
}

bool flag_member(const Json& object, const std::string& key, const std::string& where) {
  const Json& value = member(object, key, where);
  if (!value.is_boolean()) corrupt("entry '" + key + "' of " + where + " is not true or false");
  return value.get<bool>();
}

// Null where the model was saved without.
std::shared_ptr<const VarianceRecord> read_variance(const Json& metadata, const TensorReader& file,
                                                    const cpu::KernelSum& sum, std::size_t n_features,
                                                    std::size_t n_elements) {
  if (!metadata.contains("variance")) return nullptr;
  const Json& variance = member(metadata, "variance", kMetadata);
  const TensorReader tensors = file.within("variance.");
  auto record = std::make_shared<VarianceRecord>();
  record->kind = sum.kind;
  record->parameters = sum.parameters;
  record->variance = number_member(variance, "of_kernel", "'variance'");
  check_positive(record->variance, "'of_kernel' of 'variance'");
  record->columns = tensors.columns("columns", n_features);
  record->n_features = record->columns.size();
  record->energies = flag_member(variance, "energies", "'variance'");
  record->gradients = flag_member(variance, "gradients", "'variance'");
  read_observed(tensors, n_elements, *record);
  std::size_t n = record->energies ? record->observed.first.size() - 1 : 0;
  if (record->gradients) n += read_gradients(tensors, *record);
  record->factor = read_factor(tensors, "factor", n);
  if (tensors.has("outer_factor")) record->outer_factor = read_factor(tensors, "outer_factor", n);
  return record;
}

void read_descriptor(const Json& metadata, StructureKernelRecord& model) {
  const Json& descriptor = member(metadata, "descriptor", kMetadata);
  DescriptorRecord& record = model.descriptor;
  record.kind = static_cast<DescriptorKind>(
      known_name(string_member(descriptor, "type", "'descriptor'"), kDescriptorNames, "descriptor"));
  const double n_atoms = number_member(descriptor, "n_atoms", "'descriptor'");
  if (!(n_atoms >= 1.0 && n_atoms <= kMostAtoms) || n_atoms != std::floor(n_atoms))
    corrupt("'n_atoms' of 'descriptor' must be a whole number from 1 to 10000");
  record.n_atoms = static_cast<std::size_t>(n_atoms);
  model.fixed_size = flag_member(descriptor, "fixed_size", "'descriptor'");
  record.exponent = record.length_unit = 1.0;
  if (record.kind == DescriptorKind::inverse_distances) return;
  record.exponent = number_member(descriptor, "exponent", "'descriptor'");
  record.length_unit = number_member(descriptor, "length_unit", "'descriptor'");
  check_positive(record.length_unit, "'length_unit' of 'descriptor'");
}

void read_permutations(const TensorReader& tensors, MolecularGdmlRecord& model) {
  const std::size_t n = model.numbers.size();
  const auto& shape = tensors.shape("gdml.permutations");
  const std::string where = "tensor '" + tensors.name("gdml.permutations") + "'";
  if (shape.size() != 2 || shape[0] < 1 || shape[1] != static_cast<std::int64_t>(n))
    corrupt(where + " must have shape [permutations, " + std::to_string(n) + "]");
  model.gdml.permutations = tensors.integers("gdml.permutations");
  std::set<std::vector<std::int64_t>> known;
  for (auto row = model.gdml.permutations.begin(); row != model.gdml.permutations.end();
       row += static_cast<std::ptrdiff_t>(n)) {
    if (!known.emplace(row, row + static_cast<std::ptrdiff_t>(n)).second) corrupt(where + " has a permutation twice");
    std::vector<bool> seen(n, false);
    for (std::size_t i = 0; i < n; ++i) {
      const std::int64_t j = row[static_cast<std::ptrdiff_t>(i)];
      if (j < 0 || j >= static_cast<std::int64_t>(n) || seen[static_cast<std::size_t>(j)])
        corrupt(where + " must hold permutations of the numbers from 0 to " + std::to_string(n - 1));
      seen[static_cast<std::size_t>(j)] = true;
      if (model.numbers[i] != model.numbers[static_cast<std::size_t>(j)])
        corrupt(where + " exchanges atoms of different elements");
    }
  }
}

std::vector<double> read_lattice(const TensorReader& tensors) {
  if (!tensors.has("gdml.lattice")) return {};
  std::vector<double> lattice = tensors.rows("gdml.lattice", 3);
  if (lattice.size() != 9) corrupt("tensor '" + tensors.name("gdml.lattice") + "' must have shape [3, 3]");
  return lattice;
}

}  // namespace

AtomicKernelRecord read_atomic_kernel(const Json& metadata, const TensorReader& tensors) {
  AtomicKernelRecord model;
  const std::vector<std::string> symbols = read_element_symbols(metadata);
  LocalFeatures features = read_local_features(metadata, symbols);
  model.features = std::move(features.table);
  model.plan = std::move(features.plan);
  const auto n_features = static_cast<std::size_t>(model.plan.n_features());
  const auto reference = tensors.vector("energy.reference", symbols.size());
  for (std::size_t s = 0; s < symbols.size(); ++s) {
    KernelElementRecord element;
    element.symbol = symbols[s];
    element.number = atomic_number(symbols[s]);
    element.reference = reference[s];
    read_inputs(tensors, n_features, true, element);
    read_kernel(metadata, element.sum);
    read_sum(tensors.within("kernel." + symbols[s] + "."), element.columns.size(), element.sum);
    model.elements.push_back(std::move(element));
  }
  model.variance = read_variance(metadata, tensors, model.elements[0].sum, n_features, symbols.size());
  return model;
}

StructureKernelRecord read_structure_kernel(const Json& metadata, const TensorReader& tensors) {
  StructureKernelRecord model;
  model.numbers = read_numbers(metadata, "elements");
  const bool molecular = string_member(metadata, "capability", kMetadata) == "molecular";
  if (molecular) model.molecule = read_numbers(metadata, "atoms");
  read_descriptor(metadata, model);
  if (molecular && model.molecule.size() != model.descriptor.n_atoms)
    corrupt("'n_atoms' of 'descriptor' is not the number of 'atoms'");
  const std::size_t n_features = feature_count(model.descriptor);
  model.columns = tensors.columns("features.columns", n_features);
  model.mean = tensors.vector("features.mean", model.columns.size());
  model.scale = tensors.vector("features.scale", model.columns.size());
  model.reference = tensors.vector("energy.reference", model.numbers.size());
  model.constant = tensors.vector("energy.constant", 1)[0];
  read_kernel(metadata, model.sum);
  read_sum(tensors.within("kernel."), model.columns.size(), model.sum);
  model.variance = read_variance(metadata, tensors, model.sum, n_features, 1);
  if (model.variance && model.variance->columns != model.columns)
    corrupt("tensor '" + tensors.name("variance.columns") + "' is not what the kernel reads");
  return model;
}

MolecularGdmlRecord read_gdml(const Json& metadata, const TensorReader& tensors) {
  MolecularGdmlRecord model{read_numbers(metadata, "atoms"), {}};
  GdmlRecord& gdml = model.gdml;
  gdml.n_atoms = model.numbers.size();
  if (gdml.n_atoms < 2) corrupt("'atoms' has less than two atoms");
  const Json& numbers = member(metadata, "gdml", kMetadata);
  gdml.sigma = number_member(numbers, "sigma", "'gdml'");
  check_positive(gdml.sigma, "'sigma' of 'gdml'");
  gdml.scale = number_member(numbers, "scale", "'gdml'");
  gdml.constant = number_member(numbers, "constant", "'gdml'");
  gdml.lattice = read_lattice(tensors);
  const std::size_t n_pairs = gdml.n_atoms * (gdml.n_atoms - 1) / 2;
  gdml.descriptors = tensors.rows("gdml.descriptors", n_pairs);
  gdml.derivative_coefficients = tensors.rows("gdml.derivative_coefficients", n_pairs);
  const std::size_t n_points = gdml.descriptors.size() / n_pairs;
  if (gdml.derivative_coefficients.size() != gdml.descriptors.size())
    corrupt("tensor '" + tensors.name("gdml.derivative_coefficients") + "' must have the shape of the descriptors");
  if (tensors.has("gdml.energy_coefficients"))
    gdml.energy_coefficients = tensors.vector("gdml.energy_coefficients", n_points);
  read_permutations(tensors, model);
  return model;
}

}  // namespace atomcore
