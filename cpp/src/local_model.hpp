// Models of local energies: symmetry functions of each atom's neighbours, then a network or a sum of kernels for its
// element. Networks may be an ensemble.
#pragma once

#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "src/atomic_variance.hpp"
#include "src/model.hpp"
#include "src/model_file.hpp"
#include "src/model_parts.hpp"

namespace atomcore {

class LocalModel final : public Model {
 public:
  LocalModel(const NetworkRecord& record, Precision precision);
  explicit LocalModel(const AtomicKernelRecord& record);

  double cutoff() const override { return cutoff_; }
  Abilities abilities() const override { return {true, members() > 1 || variance_, ranges_known(), graded()}; }
  Evaluation compute(const Structure& structure, const Request& request, int n_threads) const override;
  Evaluation compute(const Structure& structure, const cpu::NeighborList& list, const Request& request,
                     int n_threads) const override;
  std::vector<Evaluation> compute(span<const Structure> structures, const Request& request,
                                  int n_threads) const override;
  Evaluation compute(const HostNeighbors& host, const Request& request, int n_threads) const override;

 private:
  template <typename Head>
  using Parts = std::unique_ptr<const ModelParts<Head>>;
  template <typename Head, typename Record>
  Parts<Head> parts_of(const Record& record);
  std::vector<std::int32_t> species_of(span<const std::int32_t> numbers) const;
  std::size_t members() const;
  bool ranges_known() const;
  bool graded() const;
  void check(const Request& request) const;
  Evaluation compute_near(const Surroundings& near, const Request& request, int n_threads) const;
  std::vector<Evaluation> compute_together(span<const Structure> structures, const Request& request,
                                           int n_threads) const;

  double cutoff_;
  std::vector<std::int32_t> numbers_;  // atomic numbers, in the order of the model
  std::variant<Parts<ElementNetworks<float>>, Parts<ElementNetworks<double>>, Parts<ElementKernels>> parts_;
  std::unique_ptr<const AtomicVariance> variance_;  // of kernels; or null
};

}  // namespace atomcore
