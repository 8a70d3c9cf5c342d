// One moving structure: a potential and the neighbours that it keeps from call to call.
#pragma once

#include <mutex>

#include "src/potential.hpp"

namespace atomcore {

class Evaluator {
 public:
  explicit Evaluator(const Potential& potential) : potential_(potential) {}  // which must outlive it

  // What Potential::compute gives, bit for bit, whatever was asked before. Calls in several threads wait for another.
  Evaluation compute(const Structure& structure, const Request& request, int n_threads);

 private:
  const Potential& potential_;
  std::mutex mutex_;
};

}  // namespace atomcore
