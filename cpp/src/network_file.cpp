#include <array>
#include <cmath>
#include <utility>

#include "src/elements.hpp"
#include "src/model_kinds.hpp"

namespace atomcore {
namespace {

constexpr int kMostMembers = 1000;
constexpr std::array kActivations{"silu",     "tanh",     "relu",   "celu",        "sigmoid", "softplus",
                                  "identity", "gaussian", "cosine", "exponential", "square"};  // as in Activation

const std::string kNetworks = "'networks'";

// Between the layers of every network, or of each layer.
struct Activations {
  Activation between;
  const Json* of_layers = nullptr;  // by element
};

Activation known_activation(const std::string& name) {
  return static_cast<Activation>(known_name(name, kActivations, "activation"));
}

// Gives the layers of a network their activations.
void activate(const Activations& activations, const std::string& symbol, std::vector<LayerRecord>& layers) {
  for (LayerRecord& layer : layers) layer.activation = activations.between;
  layers.back().activation = Activation::identity;
  if (!activations.of_layers) return;
  const auto names = strings_member(*activations.of_layers, symbol, "'activations'");
  if (names.size() != layers.size())
    corrupt("'activations' has " + std::to_string(names.size()) + " names for the " + std::to_string(layers.size()) +
            " layers of " + symbol);
  for (std::size_t l = 0; l < layers.size(); ++l) layers[l].activation = known_activation(names[l]);
}

std::vector<LayerRecord> read_layers(const TensorReader& tensors, const ElementRecord& element, std::size_t member) {
  const TensorReader own = tensors.within("networks." + std::to_string(member) + "." + element.symbol + ".");
  std::vector<LayerRecord> layers;
  auto width = static_cast<std::int64_t>(element.columns.size());
  for (std::size_t l = 0; l == 0 || width != 1 || own.has(std::to_string(l) + ".weight"); ++l) {
    const std::string weight = std::to_string(l) + ".weight", bias = std::to_string(l) + ".bias";
    const auto& shape = own.shape(weight);
    if (shape.size() != 2 || shape[0] < 1 || shape[1] != width)
      corrupt("tensor '" + own.name(weight) + "' must have shape [outputs, " + std::to_string(width) + "]");
    width = shape[0];
    layers.push_back({own.floats(weight), own.vector(bias, static_cast<std::size_t>(width)), Activation::identity});
  }
  return layers;
}

bool needs(const Json& metadata, const char* requirement) {
  const auto needed = strings_member(metadata, "requires", kMetadata);
  return std::find(needed.begin(), needed.end(), requirement) != needed.end();
}

Activations read_architecture(const Json& metadata, NetworkRecord& model) {
  const Json& networks = member(metadata, "networks", kMetadata);
  const double members = number_member(networks, "members", kNetworks);
  if (!(members >= 1.0 && members <= kMostMembers) || members != std::floor(members))
    corrupt("'members' must be a whole number from 1 to " + std::to_string(kMostMembers));
  model.members = static_cast<std::size_t>(members);
  model.normalized = needs(metadata, "normalized_inputs");
  if (needs(metadata, "layer_activations")) {
    const Json& of_layers = member(networks, "activations", kNetworks);
    const std::size_t n_elements = array_member(metadata, "elements", kMetadata).size();
    if (of_layers.is_object() && of_layers.size() != n_elements)
      corrupt("'activations' has " + std::to_string(of_layers.size()) + " entries for " + std::to_string(n_elements) +
              " elements");
    return {Activation::identity, &of_layers};
  }
  return {known_activation(string_member(networks, "activation", kNetworks)), nullptr};
}

std::vector<double> read_grade(const TensorReader& tensors, const ElementRecord& element) {
  if (element.networks.size() > 1) corrupt("it has grades of extrapolation, which are of single networks, and members");
  const std::vector<LayerRecord>& layers = element.networks.front();
  if (layers.size() < 2) corrupt("it has grades of extrapolation, but no hidden layers");
  const std::string name = "grade." + element.symbol + ".matrix";
  const auto size = static_cast<std::int64_t>(layers[layers.size() - 2].bias.size()) + 1;
  const auto& shape = tensors.shape(name);
  if (shape.size() != 2 || shape[0] != size || shape[1] != size)
    corrupt("tensor '" + tensors.name(name) + "' must have shape [" + std::to_string(size) + ", " +
            std::to_string(size) + "]");
  return tensors.floats(name);
}

}  // namespace

NetworkRecord read_networks(const Json& metadata, const TensorReader& tensors) {
  NetworkRecord model;
  const Activations activations = read_architecture(metadata, model);
  const std::vector<std::string> symbols = read_element_symbols(metadata);
  LocalFeatures features = read_local_features(metadata, symbols);
  model.features = std::move(features.table);
  model.plan = std::move(features.plan);
  const auto reference = tensors.vector("energy.reference", symbols.size());
  const auto scale = tensors.vector("energy.scale", symbols.size());
  const bool with_ranges = !needs(metadata, "unknown_ranges");
  const bool graded = std::any_of(symbols.begin(), symbols.end(), [&](const std::string& symbol) {
    return tensors.has("grade." + symbol + ".matrix");
  });
  for (std::size_t s = 0; s < symbols.size(); ++s) {
    ElementRecord element;
    element.symbol = symbols[s];
    element.number = atomic_number(symbols[s]);
    read_inputs(tensors, static_cast<std::size_t>(model.plan.n_features()), with_ranges, element);
    for (std::size_t m = 0; m < model.members; ++m) {
      element.networks.push_back(read_layers(tensors, element, m));
      activate(activations, element.symbol, element.networks.back());
    }
    if (graded) element.grade = read_grade(tensors, element);
    element.reference = reference[s];
    element.energy_scale = scale[s];
    model.elements.push_back(std::move(element));
  }
  return model;
}

}  // namespace atomcore
