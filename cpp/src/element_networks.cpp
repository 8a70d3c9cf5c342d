#include "src/element_networks.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "src/error.hpp"
#include "src/parallel.hpp"

namespace atomcore {
namespace {

constexpr std::size_t kBatch = 64;  // atoms that go through a network together: their layers stay in cache

std::string scientific(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1e", x);
  return text;
}

// Atoms sorted by species, so that each network sees its atoms in one piece.
std::vector<std::size_t> order_by_species(span<const std::int32_t> species) {
  std::vector<std::size_t> order(species.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return species[i] < species[j]; });
  return order;
}

// Where a feature varied by next to nothing in training, its scale is huge and its derivatives tiny. The engine meets
// both in T, which must hold them: a double that goes beyond would make forces of infinity times zero.
template <typename T>
void check_scales(const ElementRecord& element) {
  constexpr double largest = 0.01 * static_cast<double>(std::numeric_limits<T>::max());
  for (std::size_t k = 0; k < element.scale.size(); ++k) {
    const double scale = std::abs(element.scale[k]) * std::max(1.0, std::abs(element.energy_scale));
    if (!(scale <= largest))
      throw Error(ErrorCode::unsupported, "the model cannot run in " +
                                              std::string(sizeof(T) == 4 ? "single" : "double") +
                                              " precision: feature " + std::to_string(element.columns[k]) + " of " +
                                              element.symbol + " is multiplied by " + scientific(element.scale[k]));
  }
}

}  // namespace

// Network inputs x [atoms, columns] and, where they are divided by their length, one over that.
template <typename T>
struct ElementNetworks<T>::Inputs {
  std::vector<T> x;
  std::vector<double> inverse_length;
};

template <typename T>
ElementNetworks<T>::ElementNetworks(const ModelRecord& model)
    : n_features_(static_cast<std::size_t>(model.plan.n_features())), normalized_(model.normalized) {
  for (const ElementRecord& record : model.elements) {
    check_scales<T>(record);
    std::vector<cpu::Mlp<T>> networks;
    for (const std::vector<LayerRecord>& layers : record.networks) {
      cpu::Mlp<T> network(model.activation);
      for (const LayerRecord& layer : layers) {
        const std::vector<T> weight(layer.weight.begin(), layer.weight.end());
        const std::vector<T> bias(layer.bias.begin(), layer.bias.end());
        network.add_layer(weight, bias);
      }
      networks.push_back(std::move(network));
    }
    elements_.push_back({std::move(networks),
                         {record.columns.begin(), record.columns.end()},
                         record.mean,
                         record.scale,
                         record.reference,
                         record.energy_scale});
  }
}

template <typename T>
typename ElementNetworks<T>::Inputs ElementNetworks<T>::inputs(const Element& element, span<const std::size_t> atoms,
                                                               span<const T> G) const {
  const std::size_t width = element.columns.size();
  Inputs result{std::vector<T>(atoms.size() * width), std::vector<double>(atoms.size(), 1.0)};
  std::vector<double> row(width);
  for (std::size_t m = 0; m < atoms.size(); ++m) {
    double square = 0.0;
    for (std::size_t k = 0; k < width; ++k) {
      const auto feature = static_cast<double>(G[atoms[m] * n_features_ + element.columns[k]]);
      row[k] = (feature - element.mean[k]) * element.scale[k];
      square += row[k] * row[k];
    }
    if (normalized_ && square > 0.0) result.inverse_length[m] = 1.0 / std::sqrt(square);
    for (std::size_t k = 0; k < width; ++k) result.x[m * width + k] = static_cast<T>(row[k] * result.inverse_length[m]);
  }
  return result;
}

template <typename T>
void ElementNetworks<T>::evaluate_batch(const Element& element, span<const std::size_t> atoms, span<const T> G,
                                        span<double> energies, span<T> gradient) const {
  const std::size_t width = element.columns.size(), n_atoms = energies.size() / members();
  const Inputs in = inputs(element, atoms, G);
  std::vector<T> value(atoms.size()), g(gradient.empty() ? 0 : in.x.size());
  for (std::size_t member = 0; member < members(); ++member) {
    element.networks[member].evaluate(in.x, value, g);
    for (std::size_t m = 0; m < atoms.size(); ++m)
      energies[member * n_atoms + atoms[m]] = element.reference + element.energy_scale * static_cast<double>(value[m]);
    if (gradient.empty()) continue;
    for (std::size_t m = 0; m < atoms.size(); ++m) {
      const T *x = in.x.data() + m * width, *g_x = g.data() + m * width;
      double along = 0.0;  // of the gradient to the input, which a division by the length takes out
      if (normalized_)
        for (std::size_t k = 0; k < width; ++k) along += static_cast<double>(g_x[k]) * static_cast<double>(x[k]);
      T* out = gradient.data() + (member * n_atoms + atoms[m]) * n_features_;
      for (std::size_t k = 0; k < width; ++k)
        out[element.columns[k]] = static_cast<T>((static_cast<double>(g_x[k]) - along * static_cast<double>(x[k])) *
                                                 in.inverse_length[m] * (element.scale[k] * element.energy_scale));
    }
  }
}

template <typename T>
void ElementNetworks<T>::evaluate(span<const std::int32_t> species, span<const T> G, span<double> energies,
                                  span<T> gradient, int n_threads) const {
  std::fill(gradient.begin(), gradient.end(), T(0));  // the columns that a network does not read
  const std::vector<std::size_t> order = order_by_species(species);
  const auto run = [&](std::int64_t from, std::int64_t to) {
    const auto end = static_cast<std::size_t>(to);
    for (auto begin = static_cast<std::size_t>(from); begin < end;) {
      const std::int32_t s = species[order[begin]];
      std::size_t stop = begin;
      while (stop < std::min(end, begin + kBatch) && species[order[stop]] == s) ++stop;
      evaluate_batch(elements_[static_cast<std::size_t>(s)], {order.data() + begin, stop - begin}, G, energies,
                     gradient);
      begin = stop;
    }
  };
  parallel_for(static_cast<std::int64_t>(order.size()), n_threads, kBatch, run);
}

template class ElementNetworks<float>;
template class ElementNetworks<double>;

}  // namespace atomcore
