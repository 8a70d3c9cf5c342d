// A kernel machine of whole molecules: one descriptor, one sum of kernels.
#pragma once

#include <memory>
#include <vector>

#include "src/kernel_records.hpp"
#include "src/model.hpp"
#include "src/molecule.hpp"

namespace atomcore {

class StructureKernel final : public Model {
 public:
  explicit StructureKernel(const StructureKernelRecord& record);

  double cutoff() const override { return 0.0; }
  Abilities abilities() const override { return {false, variance_ != nullptr, false, false}; }
  Evaluation compute(const Structure& structure, const Request& request, int n_threads) const override;
  std::vector<Evaluation> compute(span<const Structure> structures, const Request& request,
                                  int n_threads) const override;

 private:
  void check(const Structure& structure) const;
  double reference_of(span<const std::int32_t> numbers) const;
  Values spread(const StructureDescriptor& descriptor, std::size_t n_atoms, bool derivatives, int n_threads) const;

  StructureKernelRecord record_;
  cpu::KernelExpansion sum_;
  std::unique_ptr<const Molecule> molecule_;  // of a molecular model, or null
  std::unique_ptr<const KernelVariance> variance_;
};

}  // namespace atomcore
