// Behler-Parrinello networks, one or an ensemble of them: symmetry functions of each atom's neighbours, then a network
// for its element.
#pragma once

#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "src/model.hpp"
#include "src/model_parts.hpp"

namespace atomcore {

class NetworkModel final : public Model {
 public:
  NetworkModel(const NetworkRecord& record, Precision precision);

  double cutoff() const override { return cutoff_; }
  Evaluation compute(const Structure& structure, const Request& request, int n_threads) const override;
  Evaluation compute(const Structure& structure, const cpu::NeighborList& list, const Request& request,
                     int n_threads) const override;
  std::vector<Evaluation> compute(span<const Structure> structures, const Request& request,
                                  int n_threads) const override;

 private:
  template <typename T>
  using Parts = std::unique_ptr<const ModelParts<T>>;
  std::vector<std::int32_t> species_of(span<const std::int32_t> numbers) const;
  std::size_t members() const;
  void check(const Request& request) const;
  std::vector<Evaluation> compute_together(span<const Structure> structures, const Request& request,
                                           int n_threads) const;

  double cutoff_;
  std::vector<std::int32_t> numbers_;  // atomic numbers, in the order of the model
  std::variant<Parts<float>, Parts<double>> parts_;
};

}  // namespace atomcore
