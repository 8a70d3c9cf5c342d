// What model files say of kernel machines: plain numbers, everything checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "src/feature_plan.hpp"
#include "src/gdml_model.hpp"
#include "src/kernel_expansion.hpp"
#include "src/kernel_variance.hpp"
#include "src/structure_descriptor.hpp"

namespace atomcore {

// An element of a model with a sum of kernels for each: E_i = reference + sum(x), x = (G_i[columns] - mean) * scale.
struct KernelElementRecord {
  std::string symbol;
  std::int32_t number;
  std::vector<std::int64_t> columns;     // ascending
  std::vector<double> mean, scale;       // [columns]; the lengths of the kernel are in the scale
  std::vector<double> minimum, maximum;  // [n_features], the ranges of G seen in training
  double reference;                      // eV
  cpu::KernelSum sum;
};

struct AtomicKernelRecord {
  FeatureTable features;
  FeaturePlan plan;  // of these features
  std::vector<KernelElementRecord> elements;
  std::shared_ptr<const VarianceRecord> variance;  // or null
};

// E = constant + sum over atoms of reference + sum(x), x = (F[columns] - mean) * scale of the descriptor F.
struct StructureKernelRecord {
  DescriptorRecord descriptor;
  bool fixed_size;                     // whether structures must have as many atoms as there is room for
  std::vector<std::int32_t> molecule;  // [N], of a model of one molecule only; or empty
  std::vector<std::int32_t> numbers;   // of the elements
  std::vector<double> reference;       // [elements], eV
  double constant;                     // eV
  std::vector<std::int64_t> columns;   // ascending
  std::vector<double> mean, scale;     // [columns]; the lengths of the kernel are in the scale
  cpu::KernelSum sum;
  std::shared_ptr<const VarianceRecord> variance;  // or null
};

// A GDML model and the atoms that it is of.
struct MolecularGdmlRecord {
  std::vector<std::int32_t> numbers;  // [N]
  GdmlRecord gdml;
};

}  // namespace atomcore
