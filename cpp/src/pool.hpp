// Memory for large results, kept for the next one: the first touch of a fresh page costs more than filling it.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

namespace atomcore {

constexpr std::size_t kPooled = std::size_t{64} << 10;   // bytes; for less, the general allocator is as good
constexpr std::size_t kMostIdle = std::size_t{1} << 30;  // bytes kept for later use at most, the least recent go first

// Uninitialised memory for `bytes` bytes on a cache line of its own. Throws std::bad_alloc. Any thread may take and
// give back, also in a process made by fork().
void* take_buffer(std::size_t bytes);
void give_buffer(void* buffer) noexcept;

std::size_t idle_bytes();  // how much is kept at present

// An uninitialised array of plain numbers or structs, on the pool where it is large.
template <typename T>
class PooledArray {
 public:
  PooledArray() = default;
  explicit PooledArray(std::size_t size) : size_(size) {
    const std::size_t bytes = size * sizeof(T);
    data_ = static_cast<T*>(bytes < kPooled ? ::operator new(bytes) : take_buffer(bytes));
  }
  PooledArray(PooledArray&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}
  PooledArray& operator=(PooledArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~PooledArray() {
    if (size_ * sizeof(T) < kPooled)
      ::operator delete(data_);
    else if (data_ != nullptr)
      give_buffer(data_);
  }

  T* data() const { return data_; }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t i) const { return data_[i]; }
  T* begin() const { return data_; }
  T* end() const { return data_ + size_; }

 private:
  static_assert(std::is_trivially_destructible_v<T>);
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace atomcore
