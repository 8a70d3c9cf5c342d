#include "src/potential.hpp"

namespace atomcore {

Potential::Potential(const ModelRecord& record, Precision precision)
    : metadata_(record.metadata), model_(make_model(record, precision)) {}

void Potential::check(const Request& request) const {
  if ((request.atomic_virials || request.member_gradients) && !(cutoff() > 0.0))
    throw Error(ErrorCode::unsupported, "only models of local energies have virials of atoms and forces of members");
}

}  // namespace atomcore
