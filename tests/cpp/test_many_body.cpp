// What an expansion says when a model of a term fails.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "check.hpp"
#include "src/error.hpp"
#include "src/many_body_model.hpp"

using namespace atomcore;

namespace {

// Of single atoms; its gradients fail where x > 5.
class Failing final : public TupleModel {
 public:
  std::size_t n_atoms() const override { return 1; }
  void evaluate(const double* positions, std::size_t n, double* energies, double* gradients) const override {
    for (std::size_t t = 0; t < n; ++t) {
      energies[t] = 1.0;
      if (gradients == nullptr) continue;
      if (positions[3 * t] > 5.0) throw Error(ErrorCode::overflow, "gradient is not finite");
      for (std::size_t x = 0; x < 3; ++x) gradients[3 * t + x] = 0.0;
    }
  }
};

// Geometries that only fail together, as where memory is short.
class FailingTogether final : public TupleModel {
 public:
  std::size_t n_atoms() const override { return 1; }
  void evaluate(const double* /*positions*/, std::size_t n, double* energies, double* gradients) const override {
    if (n > 1) throw Error(ErrorCode::out_of_memory, "too many");
    energies[0] = gradients[0] = gradients[1] = gradients[2] = 0.0;
  }
};

std::string failure_of(std::shared_ptr<const TupleModel> model) {
  const TupleCriterion none{TupleMeasure::none, 0.0, 0.0, 0.0};
  const ManyBodyModel expansion({{"helium", {2}, {4.0}}}, {{{0}, none, std::move(model)}});
  const std::vector<double> positions{0.0, 0.0, 0.0, 9.0, 0.0, 0.0}, cell(9, 0.0);
  const std::vector<std::uint8_t> open(3, 0);
  const std::vector<std::int32_t> numbers{2, 2}, component{0, 0};
  const std::vector<std::int64_t> ptr{0, 1, 2}, atom{0, 1};
  try {
    expansion.compute(positions, cell.data(), open.data(), numbers, {ptr, atom, component}, {}, true, 1);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

}  // namespace

int main() {
  const std::string named = failure_of(std::make_shared<const Failing>());
  check(named == "the set of the entities 1, atoms counted in it: gradient is not finite", "gradients: " + named);
  const std::string together = failure_of(std::make_shared<const FailingTogether>());
  check(together == "too many", "a failure of several at a time: " + together);
  return report();
}
