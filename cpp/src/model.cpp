#include "src/model.hpp"

#include "src/network_model.hpp"

namespace atomcore {

std::unique_ptr<const Model> make_model(const ModelRecord& record, Precision precision) {
  const auto make = [&](const NetworkRecord& network) -> std::unique_ptr<const Model> {
    return std::make_unique<const NetworkModel>(network, precision);
  };
  return std::visit(make, record.content);
}

}  // namespace atomcore
