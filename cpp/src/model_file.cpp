#include "src/model_file.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "src/elements.hpp"
#include "src/error.hpp"
#include "src/feature_record.hpp"
#include "src/json.hpp"
#include "src/safetensors.hpp"

namespace atomcore {
namespace {

constexpr std::int64_t kFormatMajor = 1;
constexpr int kMostMembers = 1000;
const std::string kMetadata = "the metadata";

void check_version(const Json& metadata) {
  const auto version = counts_member(metadata, "format_version", kMetadata);
  if (version.size() != 2) corrupt("entry 'format_version' of the metadata is not a pair");
  if (version[0] != kFormatMajor)
    throw Error(ErrorCode::unsupported, "format version " + std::to_string(version[0]) + "." +
                                            std::to_string(version[1]) + " where this version of atomcore reads " +
                                            std::to_string(kFormatMajor) + ".x");
  for (const std::string& name : strings_member(metadata, "requires", kMetadata))
    known_name(name,
               std::array{"symmetry_functions", "function_families", "element_networks", "ensemble",
                          "normalized_inputs", "charges"},
               "requirement");
  known_name(string_member(metadata, "kind", kMetadata), std::array{"behler_parrinello"}, "model kind");
  known_name(string_member(metadata, "capability", kMetadata), std::array{"local"}, "capability");
  known_name(string_member(metadata, "precision", kMetadata), std::array{"float32", "float64"}, "precision");
  const Json& units = member(metadata, "units", kMetadata);
  known_name(string_member(units, "length", "'units'"), std::array{"Angstrom"}, "length unit");
  known_name(string_member(units, "energy", "'units'"), std::array{"eV"}, "energy unit");
}

std::vector<ElementRecord> read_elements(const Json& metadata) {
  std::vector<ElementRecord> elements;
  for (const std::string& symbol : strings_member(metadata, "elements", kMetadata)) {
    ElementRecord element;
    element.symbol = symbol;
    element.number = atomic_number(symbol);
    if (element.number == 0) corrupt("'" + symbol + "' in 'elements' is not a chemical symbol");
    for (const ElementRecord& other : elements)
      if (other.number == element.number) corrupt("'" + symbol + "' stands twice in 'elements'");
    elements.push_back(std::move(element));
  }
  if (elements.empty()) corrupt("'elements' is empty");
  return elements;
}

std::vector<double> read_vector(const Safetensors& file, const std::string& name, std::size_t size) {
  const auto& shape = file.shape(name);
  if (shape.size() != 1 || shape[0] != static_cast<std::int64_t>(size))
    corrupt("tensor '" + name + "' must have shape [" + std::to_string(size) + "]");
  return file.floats(name);
}

void read_scaling(const Safetensors& file, std::size_t n_features, ElementRecord& element) {
  const std::string prefix = "features." + element.symbol + ".";
  if (file.shape(prefix + "columns").size() != 1) corrupt("tensor '" + prefix + "columns' must have one dimension");
  element.columns = file.integers(prefix + "columns");
  std::int64_t previous = -1;
  for (const std::int64_t column : element.columns) {
    if (column <= previous || column >= static_cast<std::int64_t>(n_features))
      corrupt("tensor '" + prefix + "columns' must hold ascending integers from 0 to " +
              std::to_string(n_features - 1));
    previous = column;
  }
  element.mean = read_vector(file, prefix + "mean", element.columns.size());
  element.scale = read_vector(file, prefix + "scale", element.columns.size());
  element.minimum = read_vector(file, prefix + "minimum", n_features);
  element.maximum = read_vector(file, prefix + "maximum", n_features);
}

std::vector<LayerRecord> read_network(const Safetensors& file, const ElementRecord& element, std::size_t member) {
  const std::string prefix = "networks." + std::to_string(member) + "." + element.symbol + ".";
  std::vector<LayerRecord> layers;
  auto width = static_cast<std::int64_t>(element.columns.size());
  for (std::size_t l = 0; l == 0 || width != 1 || file.has(prefix + std::to_string(l) + ".weight"); ++l) {
    const std::string weight = prefix + std::to_string(l) + ".weight", bias = prefix + std::to_string(l) + ".bias";
    const auto& shape = file.shape(weight);
    if (shape.size() != 2 || shape[0] < 1 || shape[1] != width)
      corrupt("tensor '" + weight + "' must have shape [outputs, " + std::to_string(width) + "]");
    width = shape[0];
    layers.push_back({file.floats(weight), read_vector(file, bias, static_cast<std::size_t>(width))});
  }
  return layers;
}

void read_networks(const Json& metadata, NetworkRecord& model) {
  const Json& networks = member(metadata, "networks", kMetadata);
  const double members = number_member(networks, "members", "'networks'");
  if (!(members >= 1.0 && members <= kMostMembers) || members != std::floor(members))
    corrupt("'members' must be a whole number from 1 to " + std::to_string(kMostMembers));
  model.members = static_cast<std::size_t>(members);
  constexpr std::array names{"silu", "tanh", "relu", "celu", "sigmoid", "softplus"};  // in the order of Activation
  model.activation =
      static_cast<Activation>(known_name(string_member(networks, "activation", "'networks'"), names, "activation"));
  const auto needed = strings_member(metadata, "requires", kMetadata);
  model.normalized = std::find(needed.begin(), needed.end(), "normalized_inputs") != needed.end();
}

void read_feature_table(const Json& metadata, NetworkRecord& model) {
  std::vector<std::string> symbols;
  for (const ElementRecord& element : model.elements) symbols.push_back(element.symbol);
  model.features = read_features(array_member(metadata, "features", kMetadata), symbols);
  if (model.features.rows.empty()) corrupt("'features' is empty");
  try {
    model.plan = compile_features(model.features.rows, static_cast<int>(symbols.size()), model.features.weights);
  } catch (const Error& e) {
    corrupt(std::string("its feature table makes no sense: ") + e.what());
  }
  if (number_member(metadata, "cutoff", kMetadata) != model.plan.cutoff())
    corrupt("'cutoff' is not the largest cutoff of 'features'");
}

NetworkRecord build_network(const Safetensors& file, const Json& metadata) {
  NetworkRecord model;
  read_networks(metadata, model);
  model.elements = read_elements(metadata);
  read_feature_table(metadata, model);
  const auto reference = read_vector(file, "energy.reference", model.elements.size());
  const auto scale = read_vector(file, "energy.scale", model.elements.size());
  for (std::size_t s = 0; s < model.elements.size(); ++s) {
    ElementRecord& element = model.elements[s];
    read_scaling(file, static_cast<std::size_t>(model.plan.n_features()), element);
    for (std::size_t m = 0; m < model.members; ++m) element.networks.push_back(read_network(file, element, m));
    element.reference = reference[s];
    element.energy_scale = scale[s];
  }
  return model;
}

ModelRecord build(const Safetensors& file) {
  const std::string& text = file.metadata();
  const Json metadata = parse_json(text.data(), text.data() + text.size(), kMetadata);
  check_version(metadata);
  return {text, build_network(file, metadata)};
}

}  // namespace

ModelRecord read_model_file(const std::string& path) {
  const Safetensors file = Safetensors::read(path);
  try {
    return build(file);
  } catch (const Error& e) {
    throw Error(e.code(), "model file '" + path + "': " + e.what());
  }
}

}  // namespace atomcore
