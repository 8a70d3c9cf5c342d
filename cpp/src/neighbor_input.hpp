// Layer 2: checks what users hand to the neighbour search. Everything throws Error(invalid_value) that names the
// argument and the first bad entry, or Error(out_of_memory) for a list that would not fit.
#pragma once

#include <cstdint>

#include "atomcore/span.hpp"
#include "src/neighbor_size.hpp"

namespace atomcore {

void check_structure_ptr(span<const std::int64_t> structure_ptr, std::int64_t n_atoms);

// Whether a coordinate or a length is finite and within what the search takes.
bool sensible(double x);

// All of them sensible.
void check_positions(span<const double> positions);

// For cpu::neighbor_list: positions [N,3]; cells [S,3,3]; pbc [S,3]; structure_ptr [S+1]. `bytes_per_pair`: of all
// arrays that will be made.
void check_neighbor_input(span<const double> positions, span<const double> cells, span<const std::uint8_t> pbc,
                          span<const std::int64_t> structure_ptr, double cutoff, double bytes_per_pair = kBytesPerPair);

// For edge_vectors and edge_scatter: sizes agree, row_ptr ascends, edges stay within their structure.
void check_edges(span<const std::int64_t> structure_ptr, span<const std::int64_t> row_ptr,
                 span<const std::int64_t> neighbor, span<const std::int32_t> shift);

// Throws unless an array of the name has `expected` numbers.
void check_size(const char* name, std::size_t size, std::size_t expected);

}  // namespace atomcore
