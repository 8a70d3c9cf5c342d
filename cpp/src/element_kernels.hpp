// One sum of kernels an element, from features to atomic energies and their gradients. The counterpart of
// ElementNetworks.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "atomcore/span.hpp"
#include "src/kernel_expansion.hpp"
#include "src/kernel_records.hpp"

namespace atomcore {

class ElementKernels {
 public:
  using Scalar = double;
  static constexpr bool kGrades = false;     // of extrapolation
  static constexpr bool kAllColumns = true;  // distances depend on features that are zero, too
  static constexpr std::size_t kBatch = 64;  // atoms that are evaluated together

  // One thread's.
  struct Workspace {
    cpu::KernelExpansion::Workspace expansion;
    std::vector<double> x, g_x;
  };

  explicit ElementKernels(const AtomicKernelRecord& model);

  ElementKernels of_columns(span<const std::size_t> /*all*/) const { return *this; }  // copies share the centres

  std::size_t members() const { return 1; }
  std::size_t n_elements() const { return elements_.size(); }
  bool graded() const { return false; }
  // The columns of G that an element's kernel reads, ascending.
  const std::vector<std::size_t>& columns(std::size_t element) const { return elements_[element].columns; }

  // For atoms of one element, G [rows, n_columns]: energies [rows] in eV and, unless it is null, dE/dG
  // [rows, n_columns]. There are no members that could be asked for each.
  void evaluate(std::size_t element, const double* G, std::size_t rows, double* energies, double* gradient,
                bool /*each*/, Workspace& work) const;

 private:
  struct Element {
    std::vector<std::size_t> columns;
    std::vector<double> mean, scale;
    double reference;
    std::shared_ptr<const cpu::KernelExpansion> sum;
  };
  std::size_t n_columns_;
  std::vector<Element> elements_;
};

}  // namespace atomcore
