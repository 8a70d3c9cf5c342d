#include "src/isa.hpp"

#include <array>
#include <cstdlib>
#include <string>

#include "src/error.hpp"

namespace atomcore::cpu {
bool supported(Isa isa) {
#if AC_X86
  const auto has_avx2 = [] {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2");
  };
  if (isa == Isa::avx2) return has_avx2();
  if (isa == Isa::avx512)
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#endif
  return isa == Isa::portable;
}

namespace {

constexpr std::array kNames{"portable", "avx2", "avx512"};  // in the order of Isa

std::string accepted() {
  std::string names;
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (supported(static_cast<Isa>(i))) names += (names.empty() ? "" : ", ") + std::string(kNames[i]);
  return names;
}

Isa choose() {
  const char* const wanted = std::getenv("ATOMCORE_ISA");
  if (wanted == nullptr || *wanted == '\0')
    return supported(Isa::avx512) ? Isa::avx512 : supported(Isa::avx2) ? Isa::avx2 : Isa::portable;
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (std::string(wanted) != kNames[i]) continue;
    if (!supported(static_cast<Isa>(i)))
      throw Error(ErrorCode::unsupported, std::string("ATOMCORE_ISA is '") + wanted +
                                              "', which this processor does not have; accepted: " + accepted());
    return static_cast<Isa>(i);
  }
  throw Error(ErrorCode::invalid_value,
              std::string("ATOMCORE_ISA is '") + wanted + "'; accepted: portable, avx2, avx512");
}

}  // namespace

Isa active_isa() {
  static const Isa isa = choose();
  return isa;
}

const char* name_of(Isa isa) { return kNames[static_cast<std::size_t>(isa)]; }

}  // namespace atomcore::cpu
