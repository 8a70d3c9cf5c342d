// What a potential is made of: a trained model of some kind, ready to run.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "atomcore/span.hpp"
#include "src/error.hpp"
#include "src/evaluation.hpp"
#include "src/host_neighbors.hpp"
#include "src/kernels.hpp"
#include "src/model_file.hpp"

namespace atomcore {

// float computes features and networks in single precision; neighbours, edge vectors, reference energies and every sum
// over atoms stay in double.
enum class Precision { float32, float64 };

// What can be asked of a model besides the energy and its derivatives.
struct Abilities {
  bool atomic_energies;
  bool spread;
  bool ranges;  // of features in training, beyond which is extrapolation
  bool grade;   // of extrapolation
};

// Does not change once made, so that one object serves any number of threads at a time. What its functions give and
// throw is said of those of Potential, which they are called by.
class Model {
 public:
  virtual ~Model() = default;
  Model() = default;
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  // Distance in Angstrom within which atoms feel each other; 0 for a model that takes no neighbour list.
  virtual double cutoff() const = 0;
  virtual Abilities abilities() const = 0;
  virtual Evaluation compute(const Structure& structure, const Request& request, int n_threads) const = 0;
  // A model without a cutoff does not look at the list.
  virtual Evaluation compute(const Structure& structure, const cpu::NeighborList& /*list*/, const Request& request,
                             int n_threads) const {
    return compute(structure, request, n_threads);
  }
  virtual std::vector<Evaluation> compute(span<const Structure> structures, const Request& request,
                                          int n_threads) const = 0;
  virtual Evaluation compute(const HostNeighbors& /*host*/, const Request& /*request*/, int /*n_threads*/) const {
    throw Error(ErrorCode::unsupported,
                "the model has no local energies, and so cannot be computed from the neighbour lists of a host");
  }
};

// value(), with errors that name the structure of this index.
template <typename Value>
auto of_structure(std::size_t index, const Value& value) {
  try {
    return value();
  } catch (const Error& e) {
    throw Error(e.code(), "structure " + std::to_string(index) + ": " + e.what());
  }
}

// Throws Error(unsupported) where the model cannot run in this precision.
std::unique_ptr<const Model> make_model(const ModelRecord& record, Precision precision);

}  // namespace atomcore
