#include "src/model_reader.hpp"

#include <algorithm>

#include "src/elements.hpp"
#include "src/feature_record.hpp"

namespace atomcore {

std::vector<std::int64_t> TensorReader::integer_vector(const std::string& tensor) const {
  if (shape(tensor).size() != 1) corrupt("tensor '" + name(tensor) + "' must have one dimension");
  return integers(tensor);
}

std::vector<double> TensorReader::vector(const std::string& tensor, std::size_t size) const {
  const auto& found = shape(tensor);
  if (found.size() != 1 || found[0] != static_cast<std::int64_t>(size))
    corrupt("tensor '" + name(tensor) + "' must have shape [" + std::to_string(size) + "]");
  return floats(tensor);
}

std::vector<double> TensorReader::rows(const std::string& tensor, std::size_t columns) const {
  const auto& found = shape(tensor);
  if (found.size() != 2 || found[1] != static_cast<std::int64_t>(columns))
    corrupt("tensor '" + name(tensor) + "' must have shape [rows, " + std::to_string(columns) + "]");
  return floats(tensor);
}

std::vector<std::int64_t> TensorReader::columns(const std::string& tensor, std::size_t n_features) const {
  std::vector<std::int64_t> columns = integer_vector(tensor);
  std::int64_t previous = -1;
  for (const std::int64_t column : columns) {
    if (column <= previous || column >= static_cast<std::int64_t>(n_features))
      corrupt("tensor '" + name(tensor) + "' must hold ascending integers from 0 to " + std::to_string(n_features - 1));
    previous = column;
  }
  return columns;
}

std::vector<std::int32_t> read_numbers(const Json& metadata, const std::string& key) {
  std::vector<std::int32_t> numbers;
  for (const std::string& symbol : strings_member(metadata, key, kMetadata)) {
    numbers.push_back(atomic_number(symbol));
    if (numbers.back() == 0) corrupt("'" + symbol + "' in '" + key + "' is not a chemical symbol");
  }
  if (numbers.empty()) corrupt("'" + key + "' is empty");
  return numbers;
}

std::vector<std::string> read_element_symbols(const Json& metadata) {
  const std::vector<std::int32_t> numbers = read_numbers(metadata, "elements");
  std::vector<std::string> symbols;
  for (auto number = numbers.begin(); number != numbers.end(); ++number) {
    symbols.emplace_back(kElementSymbols[*number]);
    if (std::find(numbers.begin(), number, *number) != number)
      corrupt("'" + symbols.back() + "' stands twice in 'elements'");
  }
  return symbols;
}

LocalFeatures read_local_features(const Json& metadata, const std::vector<std::string>& symbols) {
  LocalFeatures features{read_features(array_member(metadata, "features", kMetadata), symbols), {}};
  if (features.table.rows.empty()) corrupt("'features' is empty");
  try {
    features.plan = compile_features(features.table.rows, static_cast<int>(symbols.size()), features.table.weights);
  } catch (const Error& e) {
    corrupt(std::string("its feature table makes no sense: ") + e.what());
  }
  if (number_member(metadata, "cutoff", kMetadata) != features.plan.cutoff())
    corrupt("'cutoff' is not the largest cutoff of 'features'");
  return features;
}

}  // namespace atomcore
