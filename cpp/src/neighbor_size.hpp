// Layer 1: how long a neighbour list may get. A list that would not fit is refused before memory is asked for.
#pragma once

#include "atomcore/span.hpp"
#include "src/lattice.hpp"

namespace atomcore {

constexpr double kMaximumPairs = 2147483647.0;  // 2^31 - 1
constexpr double kBytesPerPair = 20.0;          // neighbour and shift

// How many pairs to expect from atoms [n,3] spread evenly over the cell and, along open axes, over the box around them.
double estimate_pairs(span<const double> positions, const Lattice& lattice, double cutoff);

// Throws Error(out_of_memory), with the size in the text, for more pairs than kMaximumPairs or than fit into `memory`.
void check_pair_count(double pairs, double memory, double bytes_per_pair = kBytesPerPair);

// The same with the memory that there is.
void check_pair_count_here(double pairs, double bytes_per_pair);

}  // namespace atomcore
