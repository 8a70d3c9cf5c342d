// The container of a model file: named tensors and one JSON text, checked as a whole before anything is used.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace atomcore {

// The content of a file; throws Error(io) when it cannot be read and Error(corrupt_file) when it is no regular file.
std::vector<std::uint8_t> read_bytes(const std::string& path);

class Safetensors {
 public:
  // Of the bytes of a whole file: verifies their number, the header, the place of every tensor and the SHA-256 of all
  // bytes. Throws Error(corrupt_file) when anything is wrong.
  explicit Safetensors(std::vector<std::uint8_t> bytes);

  // The JSON text stored as "atomcore" in the metadata of the file.
  const std::string& metadata() const { return metadata_; }
  bool has(const std::string& name) const { return tensors_.count(name) != 0; }
  // Throws Error(corrupt_file), naming the tensor, when it is missing or of another type, or has values that are not
  // finite. Floating-point tensors of both precisions are handed out in double.
  const std::vector<std::int64_t>& shape(const std::string& name) const { return find(name).shape; }
  std::vector<double> floats(const std::string& name) const;
  std::vector<std::int64_t> integers(const std::string& name) const;

 private:
  struct Tensor {
    std::string dtype;
    std::vector<std::int64_t> shape;
    std::uint64_t begin, end;  // bytes, counted from data_begin_
  };
  const Tensor& find(const std::string& name) const;
  template <typename T>
  std::vector<T> copy(const Tensor& tensor) const;
  void read_header();
  void check_places() const;
  void verify_checksum();

  std::vector<std::uint8_t> bytes_;
  std::uint64_t data_begin_ = 0;
  std::string metadata_;
  std::map<std::string, Tensor> tensors_;
};

}  // namespace atomcore
