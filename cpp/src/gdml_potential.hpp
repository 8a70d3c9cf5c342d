// A GDML model as a potential: checks around the compiled kernels, and threads over structures.
#pragma once

#include <vector>

#include "src/gdml_model.hpp"
#include "src/kernel_records.hpp"
#include "src/model.hpp"
#include "src/molecule.hpp"

namespace atomcore {

class GdmlPotential final : public Model {
 public:
  explicit GdmlPotential(const MolecularGdmlRecord& record);

  double cutoff() const override { return 0.0; }
  Abilities abilities() const override { return {false, false, false, false}; }
  Evaluation compute(const Structure& structure, const Request& request, int n_threads) const override;
  std::vector<Evaluation> compute(span<const Structure> structures, const Request& request,
                                  int n_threads) const override;

 private:
  void evaluate(span<const Structure> structures, const Request& request, Evaluation* results,
                GdmlModel::Workspace& work) const;

  Molecule molecule_;
  GdmlModel model_;
};

}  // namespace atomcore
