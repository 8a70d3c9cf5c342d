#include "src/safetensors.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "src/json.hpp"
#include "src/sha256.hpp"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "model files are read without swapping bytes");

namespace atomcore {
namespace {

constexpr std::uint64_t kLengthBytes = 8;  // the file starts with the length of its header

std::uint64_t element_size(const std::string& dtype, const std::string& name) {
  if (dtype == "F32") return 4;
  if (dtype == "F64" || dtype == "I64") return 8;
  corrupt("tensor '" + name + "' has type '" + dtype + "'; F32, F64 and I64 are supported");
}

// Bytes of a tensor of this shape, or an error where the product leaves 64 bits.
std::uint64_t byte_count(const std::vector<std::int64_t>& shape, std::uint64_t bytes, const std::string& name) {
  for (const std::int64_t extent : shape)
    if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(extent), &bytes))
      corrupt("tensor '" + name + "' has an impossible shape");
  return bytes;
}

void require_finite(const std::vector<double>& values, const std::string& name) {
  if (!std::all_of(values.begin(), values.end(), [](double x) { return std::isfinite(x); }))
    corrupt("tensor '" + name + "' has values that are not finite");
}

}  // namespace

std::vector<std::uint8_t> read_bytes(const std::string& path) {
  std::error_code failure;
  const auto status = std::filesystem::status(path, failure);
  if (!std::filesystem::exists(status)) throw Error(ErrorCode::io, "no such file");
  if (!std::filesystem::is_regular_file(status)) corrupt("not a regular file");
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(ErrorCode::io, std::string("cannot be opened (") + std::strerror(errno) + ")");
  const auto size = std::filesystem::file_size(path, failure);
  if (failure) throw Error(ErrorCode::io, "cannot be read (" + failure.message() + ")");
  std::vector<std::uint8_t> bytes(size);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  if (static_cast<std::uint64_t>(file.gcount()) != size) throw Error(ErrorCode::io, "cannot be read to its end");
  return bytes;
}

Safetensors::Safetensors(std::vector<std::uint8_t> bytes) : bytes_(std::move(bytes)) {
  read_header();
  check_places();
  verify_checksum();
}

void Safetensors::read_header() {
  const std::string not_ours = "truncated, or not an .atomcore file";
  if (bytes_.size() < kLengthBytes) corrupt("only " + std::to_string(bytes_.size()) + " bytes: " + not_ours);
  std::uint64_t length;
  std::memcpy(&length, bytes_.data(), kLengthBytes);
  if (length > bytes_.size() - kLengthBytes)
    corrupt("a header of " + std::to_string(length) + " bytes does not fit into " + std::to_string(bytes_.size()) +
            " bytes: " + not_ours);
  data_begin_ = kLengthBytes + length;
  const char* text = reinterpret_cast<const char*>(bytes_.data());
  const Json header = parse_json(text + kLengthBytes, text + data_begin_, "the header");
  metadata_ = string_member(member(header, "__metadata__", "the header"), "atomcore", "the metadata");
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    const std::string where = "tensor '" + name + "'";
    const auto place = counts_member(entry, "data_offsets", where);
    if (place.size() != 2) corrupt("entry 'data_offsets' of " + where + " is not a pair");
    tensors_[name] = {string_member(entry, "dtype", where), counts_member(entry, "shape", where),
                      static_cast<std::uint64_t>(place[0]), static_cast<std::uint64_t>(place[1])};
  }
}

// The tensors fill the rest of the file without gap or overlap.
void Safetensors::check_places() const {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> places;
  for (const auto& [name, tensor] : tensors_) {
    if (tensor.end < tensor.begin ||
        tensor.end - tensor.begin != byte_count(tensor.shape, element_size(tensor.dtype, name), name))
      corrupt("the data offsets of tensor '" + name + "' do not fit its shape");
    places.emplace_back(tensor.begin, tensor.end);
  }
  std::sort(places.begin(), places.end());
  std::uint64_t covered = 0;
  for (const auto& [begin, end] : places) {
    if (begin != covered) corrupt("the data of its tensors overlap or have gaps");
    covered = end;
  }
  if (covered != bytes_.size() - data_begin_)
    corrupt(std::to_string(bytes_.size() - data_begin_) + " bytes of data where its tensors need " +
            std::to_string(covered) + ": truncated, or with something appended");
}

// The checksum covers every byte of the file, its own 64 digits read as '0'.
void Safetensors::verify_checksum() {
  const Json metadata = parse_json(metadata_.data(), metadata_.data() + metadata_.size(), "the metadata");
  const std::string stored = string_member(metadata, "sha256", "the metadata");
  if (stored.size() != 64 || stored.find_first_not_of("0123456789abcdef") != std::string::npos)
    corrupt("entry 'sha256' of the metadata is not 64 lower-case hexadecimal digits");
  const auto header_end = bytes_.begin() + static_cast<std::ptrdiff_t>(data_begin_);
  const auto digits = std::search(bytes_.begin(), header_end, stored.begin(), stored.end());
  if (digits == header_end || std::search(digits + 1, header_end, stored.begin(), stored.end()) != header_end)
    corrupt("its checksum does not stand in the header exactly once");
  std::fill(digits, digits + 64, std::uint8_t{'0'});
  if (sha256(bytes_) != stored) corrupt("its checksum does not match its content: it was damaged or changed");
  std::copy(stored.begin(), stored.end(), digits);
}

const Safetensors::Tensor& Safetensors::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) corrupt("tensor '" + name + "' is missing");
  return found->second;
}

template <typename T>
std::vector<T> Safetensors::copy(const Tensor& tensor) const {
  std::vector<T> values((tensor.end - tensor.begin) / sizeof(T));
  if (!values.empty())
    std::memcpy(values.data(), bytes_.data() + data_begin_ + tensor.begin, tensor.end - tensor.begin);
  return values;
}

std::vector<double> Safetensors::floats(const std::string& name) const {
  const Tensor& tensor = find(name);
  std::vector<double> values;
  if (tensor.dtype == "F64") {
    values = copy<double>(tensor);
  } else if (tensor.dtype == "F32") {
    const std::vector<float> single = copy<float>(tensor);
    values.assign(single.begin(), single.end());
  } else {
    corrupt("tensor '" + name + "' has type " + tensor.dtype + " where F32 or F64 is needed");
  }
  require_finite(values, name);
  return values;
}

std::vector<std::int64_t> Safetensors::integers(const std::string& name) const {
  const Tensor& tensor = find(name);
  if (tensor.dtype != "I64") corrupt("tensor '" + name + "' has type " + tensor.dtype + " where I64 is needed");
  return copy<std::int64_t>(tensor);
}

}  // namespace atomcore
