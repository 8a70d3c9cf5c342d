// SHA-256 (FIPS 180-4), for the checksum of model files.
#pragma once

#include <cstdint>
#include <string>

#include "atomcore/span.hpp"

namespace atomcore {

// The digest as 64 lower-case hexadecimal digits.
std::string sha256(span<const std::uint8_t> message);

}  // namespace atomcore
