#include "src/model_info.hpp"

#include "src/json.hpp"
#include "src/model_reader.hpp"

namespace atomcore {

ModelInfo model_info(const std::string& metadata) {
  const Json json = parse_json(metadata.data(), metadata.data() + metadata.size(), kMetadata);
  ModelInfo info;
  info.kind = string_member(json, "kind", kMetadata);
  info.capability = string_member(json, "capability", kMetadata);
  info.target = json.contains("target") ? string_member(json, "target", kMetadata) : "energy";
  info.symbols = read_element_symbols(json);
  info.numbers = read_numbers(json, "elements");
  info.members = 1;
  if (json.contains("networks"))
    info.members = static_cast<std::int32_t>(number_member(json.at("networks"), "members", "'networks'"));
  return info;
}

}  // namespace atomcore
