// Memory that is used again: what comes back, what is kept, and what is not.
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "src/pool.hpp"

namespace {

using namespace atomcore;

void test_reuse() {
  void* const first = take_buffer(1000000);
  check(reinterpret_cast<std::uintptr_t>(first) % 64 == 0, "a buffer starts on a cache line");
  std::memset(first, 1, 1000000);
  give_buffer(first);
  check(idle_bytes() >= 1000000, "what is given back is kept");
  void* const second = take_buffer(990000);
  check(second == first, "and used for the next, of about that size");
  void* const small = take_buffer(kPooled);
  check(small != first, "but not while it is in use");
  give_buffer(second);
  void* const other = take_buffer(100000);
  check(other != first, "nor for what is far smaller");
  for (void* buffer : {small, other}) give_buffer(buffer);
}

void test_bound() {
  std::vector<void*> buffers;
  for (int k = 0; k < 9; ++k) buffers.push_back(take_buffer(std::size_t{300} << 20));
  for (void* buffer : buffers) give_buffer(buffer);
  check(idle_bytes() <= kMostIdle, "no more than the bound is kept");
  check(idle_bytes() > kMostIdle / 2, "but what fits is");
  give_buffer(take_buffer(std::size_t{3} << 30));
  check(idle_bytes() <= kMostIdle, "nor a single buffer beyond the bound");
  buffers.clear();
  for (int k = 0; k < 500; ++k) buffers.push_back(take_buffer(kPooled + static_cast<std::size_t>(k)));
  for (void* buffer : buffers) give_buffer(buffer);
  check(idle_bytes() <= 64 * 2 * kPooled + kPooled, "nor any number of small ones");
}

void test_threads() {
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (std::size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([&wrong, t] {
      for (std::size_t k = 0; k < 2000; ++k) {
        const std::size_t bytes = kPooled << (k % 3);
        auto* const buffer = static_cast<unsigned char*>(take_buffer(bytes));
        buffer[0] = buffer[bytes - 1] = static_cast<unsigned char>(t);
        std::this_thread::yield();
        wrong[t] += buffer[0] != t || buffer[bytes - 1] != t;
        give_buffer(buffer);
      }
    });
  for (auto& thread : threads) thread.join();
  for (const int n : wrong) check(n == 0, "no two threads have the same buffer");
}

void test_arrays() {
  for (const std::size_t size : {std::size_t{0}, std::size_t{10}, std::size_t{100000}}) {
    PooledArray<double> a(size), b;
    for (double& x : a) x = 2.0;
    b = std::move(a);
    check(b.size() == size && (size == 0 || b[size - 1] == 2.0), "an array moves");
  }
}

}  // namespace

int main() {
  test_reuse();
  test_bound();
  test_threads();
  test_arrays();
  return report();
}
