#include "src/evaluator.hpp"

namespace atomcore {

Evaluation Evaluator::compute(const Structure& structure, const Request& request, int n_threads) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return potential_.compute(structure, request, n_threads);
}

}  // namespace atomcore
