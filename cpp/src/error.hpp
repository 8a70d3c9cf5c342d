// The one exception of the core. Layer-2 validation raises it; kernels assume valid input.
#pragma once

#include <stdexcept>
#include <string>

namespace atomcore {

enum class ErrorCode {
  invalid_value,  // Python: ValueError
  out_of_memory,  // Python: MemoryError
  corrupt_file,   // Python: atomcore.AtomcoreError
  unsupported,    // Python: atomcore.AtomcoreError
  overflow,       // Python: atomcore.AtomcoreError
  io,             // Python: OSError
};

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace atomcore
