// Layer 1: the arrays of a list of pairs, and a buffer in which one row of them is made.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "src/pair_kernels.hpp"
#include "src/pool.hpp"

namespace atomcore::cpu {

inline std::int64_t bytes_per_pair(const RowArrays& list) {
  return (list.centre ? 8 : 0) + (list.neighbor ? 8 : 0) + (list.shift ? 12 : 0) + (list.vector ? 24 : 0) +
         (list.distance ? 8 : 0);
}

// The same arrays from pair `start` on.
inline RowArrays from(const RowArrays& list, std::int64_t start) {
  return {list.centre ? list.centre + start : nullptr, list.neighbor ? list.neighbor + start : nullptr,
          list.shift ? list.shift + 3 * start : nullptr, list.vector ? list.vector + 3 * start : nullptr,
          list.distance ? list.distance + start : nullptr};
}

// Rows are made here, in whole packs, and go to their place in the list together with those that stand next to them.
// The workspace of one thread.
class RowBuffer {
 public:
  // For rows of `list`; past the caches: `streamed`.
  RowBuffer(const RowArrays& list, bool streamed) : list_(list), streamed_(streamed) {}

  // Where to make, without its distances, the row that stands at pair `start` of the list and has `most` pairs or less.
  RowArrays row(std::int64_t start, std::int64_t most) {
    if (start != start_ + count_ || count_ + most > room_) flush();
    if (count_ == 0) start_ = start;
    if (most > room_) reserve(most);
    const RowArrays arrays{list_.centre ? centre_.data() : nullptr, list_.neighbor ? neighbor_.data() : nullptr,
                           list_.shift ? shift_.data() : nullptr,
                           list_.vector || list_.distance ? vector_.data() : nullptr, nullptr};
    return from(arrays, count_);
  }
  // Keeps the first n pairs of that row.
  void keep(std::int64_t n) { count_ += n; }

  // Writes what is kept to its place.
  void flush() {
    const RowArrays to = from(list_, start_);
    if (to.distance != nullptr) pair_kernels().measure_lengths(vector_.data(), distance_.data(), count_);
    copy(to.centre, centre_, count_);
    copy(to.neighbor, neighbor_, count_);
    copy(to.shift, shift_, 3 * count_);
    copy(to.vector, vector_, 3 * count_);
    copy(to.distance, distance_, count_);
    count_ = 0;
  }

 private:
  static constexpr std::int64_t kRoom = 512;  // pairs; fits into the first cache with what rows are made of

  void reserve(std::int64_t n) {
    room_ = std::max(n + n / 2, kRoom);
    const auto room = static_cast<std::size_t>(room_ + kMostLanes);
    for (auto* indices : {&centre_, &neighbor_}) *indices = PooledArray<std::int64_t>(room);
    shift_ = PooledArray<std::int32_t>(3 * room);
    vector_ = PooledArray<double>(3 * room);
    distance_ = PooledArray<double>(room);
  }

  template <typename T>
  void copy(T* to, const PooledArray<T>& made, std::int64_t numbers) const {
    if (to == nullptr || numbers == 0) return;
    const std::int64_t bytes = numbers * static_cast<std::int64_t>(sizeof(T));
    if (streamed_)
      pair_kernels().stream(to, made.data(), bytes);
    else
      std::memcpy(to, made.data(), static_cast<std::size_t>(bytes));
  }

  const RowArrays list_;
  const bool streamed_;
  std::int64_t room_ = 0, start_ = 0, count_ = 0;  // in pairs: of the buffer; where it goes; how many are in it
  PooledArray<std::int64_t> centre_, neighbor_;
  PooledArray<std::int32_t> shift_;
  PooledArray<double> vector_, distance_;
};

}  // namespace atomcore::cpu
