// Memory for large results, kept for the next one: the first touch of a fresh page costs more than filling it.
#pragma once

#include <cstddef>

namespace atomcore {

constexpr std::size_t kPooled = std::size_t{64} << 10;   // bytes; for less, the general allocator is as good
constexpr std::size_t kMostIdle = std::size_t{1} << 30;  // bytes kept for later use at most, the least recent go first

// Uninitialised memory for `bytes` bytes on a cache line of its own. Throws std::bad_alloc. Any thread may take and
// give back, also in a process made by fork().
void* take_buffer(std::size_t bytes);
void give_buffer(void* buffer) noexcept;

std::size_t idle_bytes();  // how much is kept at present

}  // namespace atomcore
