// One moving structure: a potential, and the neighbours that it keeps from call to call.
#pragma once

#include <mutex>

#include "src/potential.hpp"
#include "src/verlet.hpp"

namespace atomcore {

class Evaluator {
 public:
  explicit Evaluator(const Potential& potential);  // which must outlive it

  // What Potential::compute gives, bit for bit, whatever was asked before. Calls in several threads wait for one
  // another.
  Evaluation compute(const Structure& structure, const Request& request, int n_threads);

 private:
  // Angstrom. With more the list is searched more seldom, but each step looks at more pairs that are too far apart.
  static constexpr double kSkin = 0.5;

  const Potential& potential_;
  std::mutex mutex_;
  VerletList list_;
};

}  // namespace atomcore
