// The engine: a model in, energies and their derivatives out, without Python and without torch.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "atomcore/span.hpp"
#include "src/evaluation.hpp"
#include "src/kernels.hpp"
#include "src/model_file.hpp"
#include "src/model_parts.hpp"

namespace atomcore {

// float computes features and networks in single precision; neighbours, edge vectors, reference energies and every sum
// over atoms stay in double.
enum class Precision { float32, float64 };

// Does not change once loaded, so that one object serves any number of threads at a time.
class Potential {
 public:
  Potential(const ModelRecord& model, Precision precision);

  // Throws Error(invalid_value) naming what is wrong: an element the model does not know, positions or cell that are
  // not finite, two atoms at one place; Error(overflow) where the model's result is not finite; Interrupted. Bitwise
  // the same for any number of threads, and whatever else is requested.
  Evaluation compute(const Structure& structure, const Request& request, int n_threads) const;

  // The same, bit for bit, of every structure: small ones go through the networks together, in parallel. The message of
  // an error says which structure.
  std::vector<Evaluation> compute(span<const Structure> structures, const Request& request, int n_threads) const;

  // The same, bit for bit, for a structure whose neighbours are known: `list` has all pairs within the cutoff, rows
  // sorted by (neighbor, shift), and maybe pairs beyond.
  Evaluation compute(const Structure& structure, const cpu::NeighborList& list, const Request& request,
                     int n_threads) const;

  const std::string& metadata() const { return metadata_; }
  double cutoff() const { return cutoff_; }

 private:
  template <typename T>
  using Parts = std::unique_ptr<const ModelParts<T>>;
  std::vector<std::int32_t> species_of(span<const std::int32_t> numbers) const;
  std::size_t members() const;
  void check(const Request& request) const;
  std::vector<Evaluation> compute_together(span<const Structure> structures, const Request& request,
                                           int n_threads) const;

  std::string metadata_;
  double cutoff_;
  std::vector<std::int32_t> numbers_;  // atomic numbers, in the order of the model
  std::variant<Parts<float>, Parts<double>> parts_;
};

}  // namespace atomcore
