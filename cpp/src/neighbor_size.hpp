// Layer 1: how long a neighbour list may get. A list that would not fit is refused before memory is asked for.
#pragma once

#include <cstdint>

#include "atomcore/span.hpp"

namespace atomcore {

constexpr double kMaximumPairs = 2147483647.0;  // 2^31 - 1
constexpr double kBytesPerPair = 36.0;          // neighbour and shift, and one edge while the list is made

// How many pairs to expect from n atoms spread evenly over the cell and, along open axes, over the box around them.
// positions [n,3]; cell [9] completed along open axes (math/cell.hpp), so that it spans space.
double estimate_pairs(span<const double> positions, const double* completed, const std::uint8_t* pbc, double cutoff);

double physical_memory();  // bytes

// Throws Error(out_of_memory), with the size in the text, for more pairs than kMaximumPairs or than fit into `memory`.
void check_pair_count(double pairs, double memory);

}  // namespace atomcore
