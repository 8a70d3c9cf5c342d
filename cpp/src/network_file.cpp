#include <array>
#include <cmath>
#include <utility>

#include "src/elements.hpp"
#include "src/model_kinds.hpp"

namespace atomcore {
namespace {

constexpr int kMostMembers = 1000;

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
    layers.push_back({own.floats(weight), own.vector(bias, static_cast<std::size_t>(width))});
  }
  return layers;
}

bool needs(const Json& metadata, const char* requirement) {
  const auto needed = strings_member(metadata, "requires", kMetadata);
  return std::find(needed.begin(), needed.end(), requirement) != needed.end();
}

void read_architecture(const Json& metadata, NetworkRecord& model) {
  const Json& networks = member(metadata, "networks", kMetadata);
  const double members = number_member(networks, "members", "'networks'");
  if (!(members >= 1.0 && members <= kMostMembers) || members != std::floor(members))
    corrupt("'members' must be a whole number from 1 to " + std::to_string(kMostMembers));
  model.members = static_cast<std::size_t>(members);
  constexpr std::array names{"silu", "tanh", "relu", "celu", "sigmoid", "softplus"};  // in the order of Activation
  model.activation =
      static_cast<Activation>(known_name(string_member(networks, "activation", "'networks'"), names, "activation"));
  model.normalized = needs(metadata, "normalized_inputs");
}

}  // namespace

NetworkRecord read_networks(const Json& metadata, const TensorReader& tensors) {
  NetworkRecord model;
  read_architecture(metadata, model);
  const std::vector<std::string> symbols = read_element_symbols(metadata);
  LocalFeatures features = read_local_features(metadata, symbols);
  model.features = std::move(features.table);
  model.plan = std::move(features.plan);
  const auto reference = tensors.vector("energy.reference", symbols.size());
  const auto scale = tensors.vector("energy.scale", symbols.size());
  const bool with_ranges = !needs(metadata, "unknown_ranges");
  for (std::size_t s = 0; s < symbols.size(); ++s) {
    ElementRecord element;
    element.symbol = symbols[s];
    element.number = atomic_number(symbols[s]);
    read_inputs(tensors, static_cast<std::size_t>(model.plan.n_features()), with_ranges, element);
    for (std::size_t m = 0; m < model.members; ++m) element.networks.push_back(read_layers(tensors, element, m));
    element.reference = reference[s];
    element.energy_scale = scale[s];
    model.elements.push_back(std::move(element));
  }
  return model;
}

}  // namespace atomcore
