// A many-body expansion as a potential, of terms that may be models of any kind.
#pragma once

#include <vector>

#include "src/many_body_model.hpp"
#include "src/model.hpp"
#include "src/model_file.hpp"

namespace atomcore {

class ManyBodyPotential final : public Model {
 public:
  // Throws Error(invalid_value) where a model and its components do not fit, Error(unsupported) as make_model does.
  ManyBodyPotential(const ManyBodyRecord& record, Precision precision);

  double cutoff() const override { return 0.0; }
  Abilities abilities() const override { return {true, false, false, false}; }
  Evaluation compute(const Structure& structure, const Request& request, int n_threads) const override;
  std::vector<Evaluation> compute(span<const Structure> structures, const Request& request,
                                  int n_threads) const override;

 private:
  ManyBodyModel model_;
};

}  // namespace atomcore
