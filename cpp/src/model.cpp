#include "src/model.hpp"

#include "src/gdml_potential.hpp"
#include "src/local_model.hpp"
#include "src/many_body_potential.hpp"
#include "src/structure_kernel.hpp"

namespace atomcore {
namespace {

struct Maker {
  Precision precision;

  std::unique_ptr<const Model> operator()(const NetworkRecord& record) const {
    return std::make_unique<const LocalModel>(record, precision);
  }
  std::unique_ptr<const Model> operator()(const AtomicKernelRecord& record) const {
    require_double();
    return std::make_unique<const LocalModel>(record);
  }
  std::unique_ptr<const Model> operator()(const MolecularGdmlRecord& record) const {
    require_double();
    return std::make_unique<const GdmlPotential>(record);
  }

  std::unique_ptr<const Model> operator()(const StructureKernelRecord& record) const {
    require_double();
    return std::make_unique<const StructureKernel>(record);
  }
  std::unique_ptr<const Model> operator()(const ManyBodyRecord& record) const {
    return std::make_unique<const ManyBodyPotential>(record, precision);
  }

  // Coefficients of kernels are large and cancel.
  void require_double() const {
    if (precision != Precision::float64)
      throw Error(ErrorCode::unsupported, "a kernel model cannot run in single precision; accepted: float64");
  }
};

}  // namespace

std::unique_ptr<const Model> make_model(const ModelRecord& record, Precision precision) {
  return std::visit(Maker{precision}, record.content);
}

}  // namespace atomcore
