// Layer 1: random numbers that are a function of a seed and of where they are used, so that they depend neither on
// threads nor on history, and a run that goes on needs no state of a generator.
#pragma once

#include <array>
#include <cstdint>

#include "atomcore/span.hpp"

namespace atomcore {

// Philox4x32-10 (Salmon, Moraes, Dror and Shaw, SC11, doi:10.1145/2063384.2063405).
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

// Fills `out` with the standard normal deviates of one step of one stream; out[k] depends on k, not on the size.
// They come from 32 bits each, by Box and Muller's transform, and so end at 6.7 standard deviations.
void normal_deviates(std::uint64_t seed, std::uint32_t stream, std::uint64_t step, span<double> out);

}  // namespace atomcore
