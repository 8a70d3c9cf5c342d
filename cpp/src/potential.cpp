#include "src/potential.hpp"

namespace atomcore {

Potential::Potential(const ModelRecord& record, Precision precision)
    : metadata_(record.metadata), model_(make_model(record, precision)) {}

}  // namespace atomcore
