// A many-body expansion as a potential: molecules stand one after the other, and their sets go through the models.
#pragma once

#include <vector>

#include "src/many_body_model.hpp"
#include "src/model.hpp"

namespace atomcore {

class ManyBodyPotential final : public Model {
 public:
  explicit ManyBodyPotential(const ManyBodyRecord& record);

  double cutoff() const override { return 0.0; }  // it searches molecules, not atoms
  Abilities abilities() const override { return {true, false, false}; }
  Evaluation compute(const Structure& structure, const Request& request, int n_threads) const override;
  std::vector<Evaluation> compute(span<const Structure> structures, const Request& request,
                                  int n_threads) const override;

 private:
  ManyBodyModel model_;
};

}  // namespace atomcore
