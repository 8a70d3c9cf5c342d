// Which atoms go through which stream of centres, and on which threads.
#pragma once

#include <vector>

#include "src/centre_stream.hpp"

namespace atomcore {

// The atoms from which on a structure is cut into chunks that threads share.
constexpr std::size_t kLargeStructure = 64;

// One structure. Bitwise the same for any number of threads.
template <typename Head>
MemberValues evaluate(const ModelPart<Head>& part, const Surroundings& near, const Request& request,
                      Extrapolation& extrapolation, int n_threads);

// Structures of less than kLargeStructure atoms each, structure s being atoms structure_ptr[s] .. structure_ptr[s+1]:
// for each of them what `evaluate` gives.
template <typename Head>
void evaluate_small(const ModelPart<Head>& part, const Surroundings& near, span<const std::int64_t> structure_ptr,
                    const Request& request, span<MemberValues> values, span<Extrapolation> extrapolations,
                    int n_threads);

}  // namespace atomcore
