// The predictive variance of a model with a sum of kernels for each element, from the neighbours of the atoms.
#pragma once

#include <memory>
#include <vector>

#include "src/evaluation.hpp"
#include "src/feature_rows.hpp"
#include "src/kernel_records.hpp"
#include "src/surroundings.hpp"

namespace atomcore {

class AtomicVariance {
 public:
  explicit AtomicVariance(const AtomicKernelRecord& model);  // which has a variance

  // Standard deviations for one structure: of energies and, where they are asked for, their derivatives. Throws what
  // KernelVariance::of throws.
  Values spread(const Surroundings& near, bool derivatives, int n_threads) const;

 private:
  // From the features of one atom to points of the kernel: x = (G[columns] - mean) * scale.
  struct Element {
    std::vector<double> mean, scale;  // [columns]; 0 where the element's kernel does not read a column
  };
  void add_point(const Surroundings& near, std::size_t atom, cpu::FeatureRows<double>& rows, bool derivatives,
                 PointSet& set) const;

  FeaturePlan plan_;
  cpu::PreparedPlan<double> prepared_;
  std::vector<std::size_t> columns_;
  std::vector<Element> elements_;
  KernelVariance variance_;
};

}  // namespace atomcore
