// What the readers of model files share. Internal to them; every failure is an Error that names the place.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "src/feature_plan.hpp"
#include "src/json.hpp"
#include "src/safetensors.hpp"

namespace atomcore {

// The tensors of a file, or those of a model within a file, whose names begin alike.
class TensorReader {
 public:
  explicit TensorReader(const Safetensors& file, std::string prefix = "") : file_(file), prefix_(std::move(prefix)) {}

  TensorReader within(const std::string& prefix) const { return TensorReader(file_, prefix_ + prefix); }
  std::string name(const std::string& tensor) const { return prefix_ + tensor; }
  bool has(const std::string& tensor) const { return file_.has(prefix_ + tensor); }
  const std::vector<std::int64_t>& shape(const std::string& tensor) const { return file_.shape(prefix_ + tensor); }
  std::vector<double> floats(const std::string& tensor) const { return file_.floats(prefix_ + tensor); }
  std::vector<std::int64_t> integers(const std::string& tensor) const { return file_.integers(prefix_ + tensor); }

  // With one dimension.
  std::vector<std::int64_t> integer_vector(const std::string& tensor) const;
  // Of this many entries.
  std::vector<double> vector(const std::string& tensor, std::size_t size) const;
  // With this many columns; how many rows follows from its size.
  std::vector<double> rows(const std::string& tensor, std::size_t columns) const;
  // Ascending integers from 0 to n_features - 1.
  std::vector<std::int64_t> columns(const std::string& tensor, std::size_t n_features) const;

 private:
  const Safetensors& file_;
  std::string prefix_;
};

// How an element's head sees the features, and the ranges that they had in training, where these are known: columns,
// mean, scale, minimum and maximum of a record.
template <typename Element>
void read_inputs(const TensorReader& tensors, std::size_t n_features, bool with_ranges, Element& element) {
  const TensorReader own = tensors.within("features." + element.symbol + ".");
  element.columns = own.columns("columns", n_features);
  element.mean = own.vector("mean", element.columns.size());
  element.scale = own.vector("scale", element.columns.size());
  if (!with_ranges) return;
  element.minimum = own.vector("minimum", n_features);
  element.maximum = own.vector("maximum", n_features);
}

inline const std::string kMetadata = "the metadata";

// One of the list of symbols at `key`, as atomic numbers; elements stand once each.
std::vector<std::int32_t> read_numbers(const Json& metadata, const std::string& key);
std::vector<std::string> read_element_symbols(const Json& metadata);

struct LocalFeatures {
  FeatureTable table;
  FeaturePlan plan;
};
// The feature table, and that `cutoff` is its largest.
LocalFeatures read_local_features(const Json& metadata, const std::vector<std::string>& symbols);

}  // namespace atomcore
