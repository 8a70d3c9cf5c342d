// Layer 1: the arrays of a list of pairs, and a buffer in which one row of them is made.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "src/pair_kernels.hpp"

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

// Rows are made here, in whole packs, and then go to their place in the list. The workspace of one thread.
class RowBuffer {
 public:
  // Room for n pairs and a pack.
  void reserve(std::int64_t n) {
    const auto room = static_cast<std::size_t>(n) + kMostLanes;
    if (centre_.size() >= room) return;
    for (auto* indices : {&centre_, &neighbor_}) indices->resize(2 * room);
    shift_.resize(6 * room);
    vector_.resize(6 * room);
    distance_.resize(2 * room);
  }

  // Those arrays that the list has, and vectors for distances.
  RowArrays arrays(const RowArrays& list) {
    return {list.centre ? centre_.data() : nullptr, list.neighbor ? neighbor_.data() : nullptr,
            list.shift ? shift_.data() : nullptr, list.vector || list.distance ? vector_.data() : nullptr,
            list.distance ? distance_.data() : nullptr};
  }

  void copy_to(const RowArrays& row, std::int64_t n, bool streamed, const PairKernels& kernels) const {
    const auto copy = [&](auto* to, const auto& from, std::int64_t numbers) {
      if (to == nullptr) return;
      const std::int64_t bytes = numbers * static_cast<std::int64_t>(sizeof *to);
      if (streamed)
        kernels.stream(to, from.data(), bytes);
      else
        std::memcpy(to, from.data(), static_cast<std::size_t>(bytes));
    };
    copy(row.centre, centre_, n);
    copy(row.neighbor, neighbor_, n);
    copy(row.shift, shift_, 3 * n);
    copy(row.vector, vector_, 3 * n);
    copy(row.distance, distance_, n);
  }

 private:
  std::vector<std::int64_t> centre_, neighbor_;
  std::vector<std::int32_t> shift_;
  std::vector<double> vector_, distance_;
};

}  // namespace atomcore::cpu
