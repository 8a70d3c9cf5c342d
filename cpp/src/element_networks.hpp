// One network an element and member, from features to atomic energies and their gradients.
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

  std::size_t members() const { return elements_.front().networks.size(); }

  // energies [members, N] in eV from G [N, n_features]; gradient [members, N, n_features] = dE/dG unless it is empty.
  // species [N] indexes the elements of the model. Scaling and reference energies are applied in double.
  void evaluate(span<const std::int32_t> species, span<const T> G, span<double> energies, span<T> gradient,
                int n_threads) const;

 private:
  struct Element {
    std::vector<cpu::Mlp<T>> networks;  // [members]
    std::vector<std::size_t> columns;
    std::vector<double> mean, scale;
    double reference, energy_scale;
  };
  struct Inputs;
  Inputs inputs(const Element& element, span<const std::size_t> atoms, span<const T> G) const;
  void evaluate_batch(const Element& element, span<const std::size_t> atoms, span<const T> G, span<double> energies,
                      span<T> gradient) const;

  std::size_t n_features_;
  bool normalized_;
  std::vector<Element> elements_;
};

}  // namespace atomcore
