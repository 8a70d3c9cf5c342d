#include "src/random.hpp"

#include <algorithm>
#include <cmath>

#include "math/scalar.hpp"

namespace atomcore {
namespace {

constexpr int kRounds = 10;
constexpr double kUnit = 1.0 / 4294967296.0;  // 2^-32

std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
std::uint32_t high(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); }

}  // namespace

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * counter[0], b = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {high(b) ^ counter[1] ^ key[0], low(b), high(a) ^ counter[3] ^ key[1], low(a)};
    key = {key[0] + 0x9E3779B9, key[1] + 0xBB67AE85};
  }
  return counter;
}

void normal_deviates(std::uint64_t seed, std::uint32_t stream, std::uint64_t step, span<double> out) {
  for (std::size_t k = 0; k < out.size(); k += 4) {
    const auto words = philox({low(k / 4), stream, low(step), high(step)}, {low(seed), high(seed)});
    double four[4];
    for (std::size_t p = 0; p < 4; p += 2) {
      const double radius = std::sqrt(-2.0 * std::log((words[p] + 0.5) * kUnit));  // never the logarithm of zero
      const double angle = 2.0 * math::kPi * kUnit * words[p + 1];
      four[p] = radius * std::cos(angle);
      four[p + 1] = radius * std::sin(angle);
    }
    std::copy(four, four + std::min<std::size_t>(4, out.size() - k), out.data() + k);
  }
}

}  // namespace atomcore
