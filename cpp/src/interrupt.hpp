// How long kernels stop when the user wants them to (Ctrl-C).
//
// A kernel that may run for longer than a second makes one Interruptible before it starts its threads, and every thread
// calls check() between pieces of work of a millisecond at most. The thread that made it asks whoever uses the core
// whether to stop, some ten times a second; check() then throws Interrupted in all threads. Nobody asks, nobody stops:
// without a question (a C++ program) check() does next to nothing.
#pragma once

#include <atomic>
#include <chrono>
#include <exception>
#include <thread>

namespace atomcore {

class Interrupted : public std::exception {
 public:
  const char* what() const noexcept override { return "interrupted"; }
};

// Whether to stop; asked in the thread that called the kernel. The Python module sets it to a look at pending signals.
using StopQuestion = bool (*)();
inline std::atomic<StopQuestion> stop_question{nullptr};

class Interruptible {
 public:
  void check() {
    if (question_ == nullptr) return;
    if (std::this_thread::get_id() == asker_) {
      const auto now = std::chrono::steady_clock::now();
      if (now >= next_) {
        next_ = now + std::chrono::milliseconds(100);
        if (question_()) stop_.store(true, std::memory_order_relaxed);
      }
    }
    if (stop_.load(std::memory_order_relaxed)) throw Interrupted();
  }

 private:
  StopQuestion question_ = stop_question.load();
  std::thread::id asker_ = std::this_thread::get_id();
  std::chrono::steady_clock::time_point next_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(100);
  std::atomic<bool> stop_{false};
};

}  // namespace atomcore
