// The one place that starts threads. Static partition in a fixed order: the same result for any thread count.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

namespace atomcore {

// Calls body(begin, end) on disjoint ranges that cover [0, n). `grain` is the smallest range worth a thread.
// Threads are started per call, not kept: nothing is left behind for fork() to lose. The calling thread does the work
// of those that cannot be started.
template <typename Body>
void parallel_for(std::int64_t n, int n_threads, std::int64_t grain, const Body& body) {
  const std::int64_t useful = std::max<std::int64_t>(1, n / std::max<std::int64_t>(1, grain));
  const std::int64_t count = std::clamp<std::int64_t>(n_threads, 1, useful);
  if (count == 1) {
    if (n > 0) body(std::int64_t{0}, n);
    return;
  }
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(count));
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(count - 1));
  const auto run = [&](std::int64_t t) {
    try {
      body(n * t / count, n * (t + 1) / count);
    } catch (...) {
      failures[static_cast<std::size_t>(t)] = std::current_exception();
    }
  };
  std::int64_t started = 1;
  try {
    for (; started < count; ++started) threads.emplace_back(run, started);
  } catch (...) {  // no more threads, or no memory for one: going on is slower, leaving would end the process
  }
  run(0);
  for (std::int64_t t = started; t < count; ++t) run(t);
  for (auto& thread : threads) thread.join();
  for (auto& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

}  // namespace atomcore
