// What a model file says of itself that hosts ask for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace atomcore {

struct ModelInfo {
  std::string kind, capability, target;
  std::vector<std::string> symbols;   // of elements, in the order of the model
  std::vector<std::int32_t> numbers;  // their atomic numbers
  std::int32_t members;               // of an ensemble, or 1
};

// From the JSON text of a file that has been read. Throws Error(corrupt_file).
ModelInfo model_info(const std::string& metadata);

}  // namespace atomcore
