// The engine: a model in, energies and their derivatives out, without Python and without torch.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "atomcore/span.hpp"
#include "src/element_networks.hpp"
#include "src/feature_plan.hpp"
#include "src/feature_ranges.hpp"
#include "src/model_file.hpp"

namespace atomcore {

// float computes features and networks in single precision; neighbours, edge vectors, reference energies and every sum
// over atoms stay in double.
enum class Precision { float32, float64 };

struct Structure {
  span<const double> positions;      // [N, 3], Angstrom
  span<const double> cell;           // [3, 3], lattice vectors as rows
  span<const std::uint8_t> pbc;      // [3]
  span<const std::int32_t> numbers;  // [N]
};

// What to compute besides energies; the spread is that of the members of an ensemble.
struct Request {
  bool derivatives, spread, extrapolation;
};

struct Values {
  double energy;                          // eV
  std::vector<double> energies;           // [N], they sum to the energy
  std::vector<double> gradient;           // [N, 3], dE/dr in eV/A: minus the forces
  std::array<double, 9> strain_gradient;  // dE/dstrain in eV: the stress times the volume
};

struct Evaluation {
  Values mean;    // over the members
  Values spread;  // sample standard deviation of each number over the members
  Extrapolation extrapolation;
};

// Immutable once loaded, so that one object serves any number of threads at a time.
class Potential {
 public:
  Potential(const ModelRecord& model, Precision precision);

  // Throws Error(invalid_value) naming what is wrong: an element the model does not know, positions or cell that are
  // not finite, two atoms at one place; Error(overflow) where the model's result is not finite. Bitwise the same for
  // any number of threads, and whatever else is requested.
  Evaluation compute(const Structure& structure, const Request& request, int n_threads) const;

  const std::string& metadata() const { return metadata_; }

 private:
  using Networks = std::variant<ElementNetworks<float>, ElementNetworks<double>>;
  std::vector<std::int32_t> species_of(span<const std::int32_t> numbers) const;
  template <typename T>
  Evaluation evaluate(const ElementNetworks<T>& networks, const Structure& structure, const Request& request,
                      int n_threads) const;

  std::string metadata_;
  FeaturePlan plan_;
  std::vector<std::int32_t> numbers_;  // atomic numbers, in the order of the model
  FeatureRanges ranges_;
  Networks networks_;
};

}  // namespace atomcore
