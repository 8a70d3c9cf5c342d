// The engine: a model in, energies and their derivatives out, without Python and without torch.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "src/model.hpp"

namespace atomcore {

// Does not change once loaded, so that one object serves any number of threads at a time.
class Potential {
 public:
  Potential(const ModelRecord& record, Precision precision);

  // Throws Error(invalid_value) naming what is wrong: an element the model does not know, positions or cell that are
  // not finite, two atoms at one place; Error(unsupported) where such models know no such thing; Error(overflow) where
  // the model's result is not finite; Interrupted. Bitwise the same for any number of threads, and whatever else is
  // requested.
  Evaluation compute(const Structure& structure, const Request& request, int n_threads) const {
    check(request);
    return model_->compute(structure, request, n_threads);
  }

  // The same, bit for bit, of every structure: small ones go through the model together, in parallel. The message of
  // an error says which structure.
  std::vector<Evaluation> compute(span<const Structure> structures, const Request& request, int n_threads) const {
    check(request);
    return model_->compute(structures, request, n_threads);
  }

  // The same, bit for bit, for a structure whose neighbours are known: `list` has all pairs within the cutoff, rows
  // sorted by (neighbor, shift), and maybe pairs beyond. Models without a cutoff do not look at it.
  Evaluation compute(const Structure& structure, const cpu::NeighborList& list, const Request& request,
                     int n_threads) const {
    check(request);
    return model_->compute(structure, list, request, n_threads);
  }

  // The same for some atoms with the neighbour lists of a host: gradients and virials of all atoms, whatever else of
  // the centres. Throws Error(unsupported) for a model without local energies.
  Evaluation compute(const HostNeighbors& host, const Request& request, int n_threads) const {
    return model_->compute(host, request, n_threads);
  }

  const std::string& metadata() const { return metadata_; }
  // 0 for a model that takes no neighbour list
  double cutoff() const { return model_->cutoff(); }
  Abilities abilities() const { return model_->abilities(); }

 private:
  void check(const Request& request) const;

  std::string metadata_;
  std::unique_ptr<const Model> model_;
};

}  // namespace atomcore
