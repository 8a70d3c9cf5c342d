#include "src/pool.hpp"

#include <pthread.h>
#include <sys/mman.h>

#include <cstdint>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace atomcore {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kStep = std::size_t{64} << 10;  // a multiple of every page size
constexpr std::size_t kMostBuffers = 64;              // idle at a time: finding one stays quick

// In front of every buffer.
struct alignas(kCacheLine) Header {
  std::size_t size;  // with the header
  Header* next;      // of those that give_buffer is about to unmap
};
static_assert(sizeof(Header) == kCacheLine);

// Sizes are an eighth apart at most from one MiB on: they waste little, and map() gets whole pages.
std::size_t rounded(std::size_t bytes) {
  std::size_t step = kStep;
  while (16 * step < bytes) step *= 2;
  return (bytes + step - 1) / step * step;
}

// Fresh pages, large ones where the system has them.
Header* map(std::size_t size) {
  const std::size_t reserved = size < kHugePage ? size : size + kHugePage;
  void* const memory = mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  char* start = static_cast<char*>(memory);
  if (size >= kHugePage) {
    const std::size_t before = (kHugePage - reinterpret_cast<std::uintptr_t>(memory) % kHugePage) % kHugePage;
    if (before > 0) munmap(start, before);
    start += before;
    if (before < kHugePage) munmap(start + size, kHugePage - before);
#if defined(MADV_HUGEPAGE)
    madvise(start, size, MADV_HUGEPAGE);
#endif
  }
  return new (start) Header{size, nullptr};
}

void unmap(Header* buffer) { munmap(buffer, buffer->size); }

struct Pool {
  std::mutex mutex;
  std::vector<Header*> idle;  // the least recent first
  std::size_t bytes = 0;
  Pool() { idle.reserve(kMostBuffers + 1); }
};

// Never destroyed: buffers may come back while the process ends.
Pool& pool() {
  static Pool* const one = [] {
    auto* const made = new Pool;
    // A child must not inherit the lock from a thread that it does not have.
    pthread_atfork([] { pool().mutex.lock(); }, [] { pool().mutex.unlock(); }, [] { pool().mutex.unlock(); });
    return made;
  }();
  return *one;
}

// The smallest that is large enough and not more than twice as large; of several the most recent, which caches may
// hold.
Header* take_idle(Pool& pool, std::size_t size) {
  const std::lock_guard<std::mutex> lock(pool.mutex);
  std::size_t best = pool.idle.size();
  for (std::size_t b = 0; b < pool.idle.size(); ++b) {
    const std::size_t found = pool.idle[b]->size;
    if (found < size || found > 2 * size) continue;
    if (best == pool.idle.size() || found <= pool.idle[best]->size) best = b;
  }
  if (best == pool.idle.size()) return nullptr;
  Header* const buffer = pool.idle[best];
  pool.idle.erase(pool.idle.begin() + static_cast<std::ptrdiff_t>(best));
  pool.bytes -= buffer->size;
  return buffer;
}

}  // namespace

void* take_buffer(std::size_t bytes) {
  const std::size_t size = rounded(bytes + sizeof(Header));
  Header* buffer = take_idle(pool(), size);
  if (buffer == nullptr) buffer = map(size);
  return buffer + 1;
}

void give_buffer(void* given) noexcept {
  Header* const buffer = static_cast<Header*>(given) - 1;
  Pool& all = pool();
  Header* surplus = nullptr;  // a list that needs no memory: there may be none
  {
    const std::lock_guard<std::mutex> lock(all.mutex);
    all.idle.push_back(buffer);
    all.bytes += buffer->size;
    while (all.bytes > kMostIdle || all.idle.size() > kMostBuffers) {
      Header* const oldest = all.idle.front();
      oldest->next = surplus;
      surplus = oldest;
      all.bytes -= oldest->size;
      all.idle.erase(all.idle.begin());
    }
  }
  while (surplus != nullptr) unmap(std::exchange(surplus, surplus->next));
}

std::size_t idle_bytes() {
  const std::lock_guard<std::mutex> lock(pool().mutex);
  return pool().bytes;
}

}  // namespace atomcore
