#include "src/evaluator.hpp"

namespace atomcore {

Evaluator::Evaluator(const Potential& potential) : potential_(potential), list_(potential.cutoff(), kSkin) {}

Evaluation Evaluator::compute(const Structure& structure, const Request& request, int n_threads) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!(potential_.cutoff() > 0.0)) return potential_.compute(structure, request, n_threads);
  list_.update(structure.positions, structure.cell, structure.pbc, n_threads);
  return potential_.compute(structure, list_.list(), request, n_threads);
}

}  // namespace atomcore
