// The feature table of a model file.
#pragma once

#include <string>
#include <vector>

#include "src/feature_plan.hpp"
#include "src/json.hpp"

namespace atomcore {

// Reads the list of rows; `elements` are the symbols that species count. Throws Error(corrupt_file) or, for names that
// this version does not know, Error(unsupported); numbers are left to compile_features.
FeatureTable read_features(const Json& list, const std::vector<std::string>& elements);

}  // namespace atomcore
