// Mutations of model files that know their parts, so that damage gets past the checksum and deep into the readers:
// values of the metadata, names, shapes and numbers of tensors, and now and then any byte.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "src/sha256.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace {

using Json = nlohmann::ordered_json;
using Bytes = std::vector<std::uint8_t>;
using Random = std::mt19937_64;

constexpr std::size_t kLengthBytes = 8;

struct Tensor {
  std::string name, dtype;
  std::vector<std::int64_t> shape;
  Bytes data;
};

struct Content {
  Json document;
  std::vector<Tensor> tensors;
};

std::size_t below(std::size_t n, Random& random) { return static_cast<std::size_t>(random() % n); }

template <typename List>
auto& any(List& list, Random& random) {
  return list[below(std::size(list), random)];
}

// Where the parts of a file stand, or nothing where they are not to be told apart.
std::optional<Content> unpack(const Bytes& bytes) {
  std::uint64_t length;
  if (bytes.size() < kLengthBytes) return {};
  std::memcpy(&length, bytes.data(), kLengthBytes);
  if (length > bytes.size() - kLengthBytes) return {};
  const auto begin = bytes.begin() + kLengthBytes, end = begin + static_cast<std::ptrdiff_t>(length);
  try {
    const Json header = Json::parse(begin, end);
    Content content{Json::parse(header.at("__metadata__").at("atomcore").get<std::string>()), {}};
    for (const auto& [name, entry] : header.items()) {
      if (name == "__metadata__") continue;
      const auto place = entry.at("data_offsets").get<std::vector<std::uint64_t>>();
      if (place.size() != 2 || place[0] > place[1] || place[1] > static_cast<std::uint64_t>(bytes.end() - end))
        return {};
      content.tensors.push_back(
          {name,
           entry.at("dtype").get<std::string>(),
           entry.at("shape").get<std::vector<std::int64_t>>(),
           {end + static_cast<std::ptrdiff_t>(place[0]), end + static_cast<std::ptrdiff_t>(place[1])}});
    }
    return content;
  } catch (const Json::exception&) {
    return {};
  }
}

// Gives the file a checksum that is right, if there is a place for one.
void seal(Bytes& bytes) {
  const std::string key = "\\\"sha256\\\":";
  const auto found = std::search(bytes.begin(), bytes.end(), key.begin(), key.end());
  const auto quote = std::find(found, bytes.end(), std::uint8_t{'\\'});
  auto digits = found == bytes.end() ? bytes.end() : found + static_cast<std::ptrdiff_t>(key.size());
  while (digits != bytes.end() && (*digits == ' ' || *digits == '\\' || *digits == '"')) ++digits;
  if (quote == bytes.end() || bytes.end() - digits < 64) return;
  std::fill_n(digits, 64, std::uint8_t{'0'});
  const std::string sum = atomcore::sha256(bytes);
  std::copy(sum.begin(), sum.end(), digits);
}

Bytes pack(const Content& content) {
  Json document = content.document, header;
  if (document.is_object()) document["sha256"] = std::string(64, '0');
  constexpr auto replace = Json::error_handler_t::replace;  // of what is no UTF-8
  header["__metadata__"] = {{"atomcore", document.dump(-1, ' ', false, replace)}};
  Bytes data;
  for (const Tensor& tensor : content.tensors) {
    header[tensor.name] = {{"dtype", tensor.dtype},
                           {"shape", tensor.shape},
                           {"data_offsets", {data.size(), data.size() + tensor.data.size()}}};
    data.insert(data.end(), tensor.data.begin(), tensor.data.end());
  }
  const std::string text = header.dump(-1, ' ', false, replace);
  const std::uint64_t length = text.size();
  Bytes bytes(kLengthBytes);
  std::memcpy(bytes.data(), &length, kLengthBytes);
  bytes.insert(bytes.end(), text.begin(), text.end());
  bytes.insert(bytes.end(), data.begin(), data.end());
  seal(bytes);
  return bytes;
}

double special_number(Random& random) {
  const double all[] = {0.0,        -0.0,  1.0,    -1.0,   2.0,      0.5,       1e-300,       1e300, -1e300, 1e-9, 1e9,
                        3.14159265, 1e154, 1e-154, 5e-324, HUGE_VAL, -HUGE_VAL, std::nan(""), 64.0,  1000.0, 1e6,  7.0};
  return any(all, random);
}

std::int64_t special_integer(Random& random) {
  constexpr std::int64_t all[] = {0,         -1,        1,        2,         3,          4,
                                  7,         64,        1000,     65536,     2147483647, 4294967296,
                                  INT64_MAX, INT64_MIN, 30000000, 1LL << 61, 1LL << 33};
  return any(all, random);
}

// Metadata

void collect(Json& node, std::vector<Json*>& nodes) {
  nodes.push_back(&node);
  if (node.is_structured())
    for (Json& child : node) collect(child, nodes);
}

Json changed_number(const Json& number, Random& random) {
  const double x = number.get<double>();
  if (number.is_number_integer() && below(2, random) == 0) {
    const auto n = static_cast<std::int64_t>(number.get<std::int64_t>() ^ 1);
    return below(2, random) == 0 ? Json(n) : Json(special_integer(random));
  }
  const double all[] = {-x, 2.0 * x, 0.5 * x, x + 1.0, x - 1.0, std::nextafter(x, 0.0), special_number(random)};
  const double y = any(all, random);
  return std::isfinite(y) ? Json(y) : Json(1e308);
}

Json new_value(const Json& old, const std::vector<Json*>& nodes, Random& random) {
  if (old.is_number() && below(4, random) > 0) return changed_number(old, random);
  if (below(2, random) == 0) return *any(nodes, random);
  switch (below(8, random)) {
    case 0:
      return nullptr;
    case 1:
      return below(2, random) == 0;
    case 2:
      return special_integer(random);
    case 3:
      return Json::array();
    case 4:
      return Json::object();
    case 5:
      return "";
    case 6:
      return std::string(below(300, random), '0');
    default:
      return changed_number(1.0, random);
  }
}

// A string in the place of another: names of kinds, of types, of elements.
void swap_strings(std::vector<Json*>& nodes, Random& random) {
  std::vector<Json*> strings;
  std::copy_if(nodes.begin(), nodes.end(), std::back_inserter(strings),
               [](const Json* node) { return node->is_string(); });
  if (strings.empty()) return;
  constexpr const char* names[] = {"polynomial",
                                   "hard",
                                   "all",
                                   "wide",
                                   "ani",
                                   "matern12",
                                   "laplacian",
                                   "poly2",
                                   "coulomb_sorted",
                                   "rational_quadratic",
                                   "radial_cosine",
                                   "compact_narrow",
                                   "coulomb_eigenvalues",
                                   "normalized_inputs",
                                   "global",
                                   "molecular",
                                   "local",
                                   "H",
                                   "O",
                                   "He",
                                   "relu",
                                   "celu",
                                   "cosine",
                                   "exponential"};
  if (below(3, random) == 0)
    *any(strings, random) = any(names, random);
  else
    std::swap(*any(strings, random), *any(strings, random));
}

void mutate_document(Json& document, Random& random) {
  std::vector<Json*> nodes;
  collect(document, nodes);
  Json& node = *any(nodes, random);
  switch (below(8, random)) {
    case 0:  // an entry less
      if (node.is_structured() && !node.empty())
        node.erase(std::next(node.begin(), static_cast<std::ptrdiff_t>(below(node.size(), random))));
      return;
    case 1:  // an entry twice
      if (node.is_array() && !node.empty()) node.push_back(Json(any(node, random)));
      return;
    case 2:
      swap_strings(nodes, random);
      return;
    case 3: {
      Json other = *any(nodes, random);
      node = std::move(other);
      return;
    }
    default:
      node = Json(new_value(node, nodes, random));
  }
}

// Tensors

std::size_t width_of(const std::string& dtype) { return dtype == "F32" ? 4 : 8; }

// Gives a tensor this shape, and as many bytes as it needs, those that it has over and over.
void reshape(Tensor& tensor, const std::vector<std::int64_t>& shape) {
  constexpr double kMost = 1e5;
  double size = static_cast<double>(width_of(tensor.dtype));
  for (const std::int64_t extent : shape) size *= static_cast<double>(extent);
  tensor.shape = shape;
  if (!(size >= 0.0 && size <= kMost)) return;  // a promise that the file does not keep
  const Bytes old = tensor.data;
  tensor.data.assign(static_cast<std::size_t>(size), 0);
  for (std::size_t i = 0; i < tensor.data.size() && !old.empty(); ++i) tensor.data[i] = old[i % old.size()];
}

void change_shape(Tensor& tensor, Random& random) {
  std::vector<std::int64_t> shape = tensor.shape;
  switch (below(5, random)) {
    case 0:
      shape.push_back(1);
      break;
    case 1:
      if (!shape.empty()) shape.pop_back();
      break;
    case 2:
      std::reverse(shape.begin(), shape.end());
      break;
    case 3:
      if (!shape.empty()) any(shape, random) = special_integer(random);
      break;
    default:
      if (!shape.empty()) {
        std::int64_t& length = any(shape, random);
        length = static_cast<std::int64_t>(static_cast<std::uint64_t>(length) + (below(2, random) == 0 ? 1 : -1));
      }
  }
  reshape(tensor, shape);
}

void change_number(Tensor& tensor, Random& random) {
  const std::size_t width = width_of(tensor.dtype), count = tensor.data.size() / width;
  if (count == 0) return;
  std::uint8_t* const place = tensor.data.data() + width * below(count, random);
  if (tensor.dtype == "I64") {
    std::int64_t value;
    std::memcpy(&value, place, width);
    value = below(3, random) == 0 ? special_integer(random)
                                  : static_cast<std::int64_t>(static_cast<std::uint64_t>(value) + below(5, random) - 2);
    std::memcpy(place, &value, width);
  } else if (width == 8) {
    const double value = special_number(random);
    std::memcpy(place, &value, width);
  } else {
    const auto value = static_cast<float>(std::clamp(special_number(random), -3e38, 3e38));
    std::memcpy(place, &value, width);
  }
}

// The same extent in all tensors that share it: sizes that fit one another and nothing else.
void change_extent(std::vector<Tensor>& tensors, Random& random) {
  const Tensor& chosen = any(tensors, random);
  if (chosen.shape.empty()) return;
  const std::int64_t old = any(chosen.shape, random);
  constexpr std::int64_t all[] = {0, 1, 2, 3, 5};
  const std::int64_t extent = any(all, random);
  for (Tensor& tensor : tensors) {
    std::vector<std::int64_t> shape = tensor.shape;
    std::replace(shape.begin(), shape.end(), old, extent);
    if (shape != tensor.shape) reshape(tensor, shape);
  }
}

void mutate_tensors(std::vector<Tensor>& tensors, Random& random) {
  if (tensors.empty()) return;
  Tensor& tensor = any(tensors, random);
  constexpr const char* types[] = {"F32", "F64", "I64", "F16"};
  switch (below(9, random)) {
    case 0:
      tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(below(tensors.size(), random)));
      return;
    case 1:
      std::swap(tensor.name, any(tensors, random).name);
      return;
    case 2: {
      Tensor copy = any(tensors, random);
      copy.name = tensor.name + "1";
      tensors.push_back(std::move(copy));
      return;
    }
    case 3:
      tensor.dtype = any(types, random);
      reshape(tensor, std::vector<std::int64_t>(tensor.shape));
      return;
    case 4:
      change_extent(tensors, random);
      return;
    case 5:
      change_shape(tensor, random);
      return;
    default:
      change_number(tensor, random);
  }
}

// Any byte of the file.
std::size_t mutate_bytes(std::uint8_t* data, std::size_t size, std::size_t most, bool sealed) {
  const std::size_t changed = LLVMFuzzerMutate(data, size, most);
  if (!sealed) return changed;
  Bytes bytes(data, data + changed);
  seal(bytes);
  std::copy(bytes.begin(), bytes.end(), data);
  return changed;
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  Random random(seed);
  std::optional<Content> content = unpack({data, data + size});
  if (!content || below(16, random) == 0) return mutate_bytes(data, size, most, below(4, random) > 0);
  const std::size_t n = 1 + below(3, random);
  for (std::size_t i = 0; i < n; ++i)
    if (below(2, random) == 0)
      mutate_document(content->document, random);
    else
      mutate_tensors(content->tensors, random);
  const Bytes bytes = pack(*content);
  if (bytes.size() > most) return mutate_bytes(data, size, most, true);
  std::copy(bytes.begin(), bytes.end(), data);
  return bytes.size();
}
