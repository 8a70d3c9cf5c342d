// One network an element and member, from features to atomic energies and their gradients.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "atomcore/span.hpp"
#include "src/mlp.hpp"
#include "src/model_file.hpp"

namespace atomcore {

template <typename T>
class ElementNetworks {
 public:
  using Scalar = T;
  static constexpr bool kAllColumns = false;
  static constexpr bool kGrades = true;
  static constexpr std::size_t kBatch = 64;  // atoms that go through a network together: their layers stay in cache

  // One thread's.
  struct Workspace {
    typename cpu::Mlp<T>::Workspace layers;
    cpu::Lines<T> x, g_x, mean_g_x;
    std::vector<double> inverse_length;
    std::vector<T> value, columns;
    cpu::Lines<double> phi, graded;
  };

  explicit ElementNetworks(const NetworkRecord& model);

  // The same networks where all features but `columns` (ascending) are zero: rows of G hold only these.
  ElementNetworks of_columns(span<const std::size_t> columns) const;

  std::size_t members() const { return elements_.front().networks.size(); }
  std::size_t n_elements() const { return elements_.size(); }
  bool graded() const { return elements_.front().grade != nullptr; }
  // The columns of G that an element's networks read, ascending.
  const std::vector<std::size_t>& columns(std::size_t element) const { return elements_[element].columns; }

  // For atoms of one element, G [rows, n_columns]: energies [members, rows] in eV and, unless it is null, dE/dG
  // [rows, n_columns]: the mean over the members and, if `each`, that of every member behind it. Scaling and reference
  // energies are applied in double.
  void evaluate(std::size_t element, const T* G, std::size_t rows, double* energies, T* gradient, bool each,
                Workspace& work) const;

  // Of the rows evaluated last, the grades of extrapolation.
  void grade(std::size_t element, std::size_t rows, double* grades, Workspace& work) const;

 private:
  // |matrix . (phi, 1)|, where the last column of the matrix is the bias
  struct Grade {
    cpu::PackedWeights<double> weights;
    cpu::Lines<double> bias;
  };
  struct Element {
    std::vector<cpu::Mlp<T>> networks;                // [members]
    std::vector<std::size_t> columns;                 // of G, ascending
    std::vector<double> mean, scale, gradient_scale;  // the last times the scale of energies
    double reference, energy_scale;
    // Of the inputs that are left out because they are constant: whether there are any, and their squared length.
    bool has_constants = false;
    double constant_square = 0.0;
    std::shared_ptr<const Grade> grade{};  // or null
  };
  static std::shared_ptr<const Grade> grade_of(const ElementRecord& record);
  static std::size_t stride_of(const Element& element) {
    return cpu::Lines<T>::padded(element.networks.front().n_inputs());
  }
  void load_inputs(const Element& element, const T* G, std::size_t rows, Workspace& work) const;
  void load_normalized(const Element& element, const T* from, T* x, double& inverse_length) const;
  void store_gradients(const Element& element, std::size_t rows, const T* g_x, T* gradient, Workspace& work) const;
  void store_gradient(const Element& element, const T* x, const T* g_x, double inverse_length, T* gradient,
                      Workspace& work) const;
  Element of_columns(const Element& element, span<const std::size_t> columns) const;

  ElementNetworks() = default;

  std::size_t n_columns_ = 0;
  bool normalized_ = false;
  std::vector<Element> elements_;
};

}  // namespace atomcore
