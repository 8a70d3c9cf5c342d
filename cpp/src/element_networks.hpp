// One network an element, from features to atomic energies and their gradient.
#pragma once

#include <cstdint>
#include <vector>

#include "atomcore/span.hpp"
#include "src/mlp.hpp"
#include "src/model_file.hpp"

namespace atomcore {

template <typename T>
class ElementNetworks {
 public:
  explicit ElementNetworks(const ModelRecord& model);

  // energies [N] in eV from G [N, n_features]; gradient [N, n_features] = dE/dG unless it is empty. species [N] indexes
  // the elements of the model. Scaling and reference energies are applied in double.
  void evaluate(span<const std::int32_t> species, span<const T> G, span<double> energies, span<T> gradient,
                int n_threads) const;

 private:
  struct Element {
    cpu::Mlp<T> network;
    std::vector<std::size_t> columns;
    std::vector<double> mean, scale;
    double reference, energy_scale;
  };
  void evaluate_batch(const Element& element, span<const std::size_t> atoms, span<const T> G, span<double> energies,
                      span<T> gradient) const;

  std::size_t n_features_;
  std::vector<Element> elements_;
};

}  // namespace atomcore
