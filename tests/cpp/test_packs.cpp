// Packs against scalar arithmetic: elementary functions lane by lane, masks, compression and sums. Compiled once for
// every instruction set; a processor that lacks one runs nothing of it.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>

#include "check.hpp"
#include "math/pack_functions.hpp"
#include "src/isa.hpp"

using namespace atomcore;
using math::Pack;

namespace {

template <typename T>
struct Precision;
template <>
struct Precision<double> {
  static constexpr double relative = 1e-15, exponents = 700, angles = 1e4;
};
template <>
struct Precision<float> {
  static constexpr double relative = 4e-7, exponents = 85, angles = 500;
};

// The largest error of function(pack) in units of max(|reference|, floor); a NaN counts as infinite.
template <typename T, typename Function, typename Reference>
double worst_error(Function&& function, Reference&& reference, double low, double high, double floor) {
  std::mt19937 random(7);
  std::uniform_real_distribution<double> uniform(low, high);
  double worst = 0;
  for (int repeat = 0; repeat < 20000; ++repeat) {
    T in[Pack<T>::kWidth], out[Pack<T>::kWidth];
    for (T& x : in) x = static_cast<T>(uniform(random));
    store_pack(out, function(math::load_pack(in)));
    for (int l = 0; l < Pack<T>::kWidth; ++l) {
      const double expected = reference(static_cast<double>(in[l]));
      const double error = std::abs(static_cast<double>(out[l]) - expected) / std::max(std::abs(expected), floor);
      worst = std::isnan(error) ? INFINITY : std::max(worst, error);
    }
  }
  return worst;
}

template <typename T>
void check_functions(const std::string& name) {
  using P = Precision<T>;
  const auto close = [&](const char* what, double error, double allowed) {
    check(error <= allowed, name + ", " + what + ": error " + std::to_string(error / P::relative) + " units");
  };
  const auto exp = [](double x) { return std::exp(x); };
  const auto tiny = static_cast<double>(std::numeric_limits<T>::min());
  close("exp", worst_error<T>([](auto x) { return math::exp(x); }, exp, -P::exponents, P::exponents, tiny),
        P::relative);
  close("exp near 0", worst_error<T>([](auto x) { return math::exp(x); }, exp, -1, 1, tiny), P::relative);
  close("log", worst_error<T>([](auto x) { return math::log(x); }, [](double x) { return std::log(x); }, 1e-6, 3, 1e-3),
        2 * P::relative);
  close("sin",
        worst_error<T>([](auto x) { return math::sin(x); }, [](double x) { return std::sin(x); }, -P::angles, P::angles,
                       1),
        P::relative);
  close("cos",
        worst_error<T>([](auto x) { return math::cos(x); }, [](double x) { return std::cos(x); }, -P::angles, P::angles,
                       1),
        P::relative);
  close("tanh",
        worst_error<T>([](auto x) { return math::tanh(x); }, [](double x) { return std::tanh(x); }, -3, 3, tiny),
        P::relative);
  close("tanh far",
        worst_error<T>([](auto x) { return math::tanh(x); }, [](double x) { return std::tanh(x); }, -40, 40, tiny),
        P::relative);
  close("acos",
        worst_error<T>([](auto x) { return math::acos(x); }, [](double x) { return std::acos(x); }, -1, 1, 1e-2),
        2 * P::relative);
  for (const double p : {0.0, 0.3, 1.0, 2.0, 4.0, 14.5, 64.0})
    close("power",
          worst_error<T>([&](auto x) { return math::power(x, static_cast<T>(p)); },
                         [&](double x) { return std::pow(x, p); }, 0, 1, 1e-2),
          100 * P::relative);
}

template <typename T>
void check_ends(const std::string& name) {
  constexpr T nan = std::numeric_limits<T>::quiet_NaN(), infinity = std::numeric_limits<T>::infinity();
  const auto first = [](const Pack<T>& x) { return x.v[0]; };
  const auto one = [](T x) { return Pack<T>(x); };
  check(first(math::exp(one(-infinity))) == T(0), name + ", exp(-infinity) is 0");
  check(first(math::exp(one(infinity))) == infinity, name + ", exp(infinity) is infinity");
  check(first(math::tanh(one(infinity))) == T(1) && first(math::tanh(one(-infinity))) == T(-1),
        name + ", tanh ends at 1");
  check(first(math::power(one(T(-1)), T(2.5))) == T(0), name + ", powers of negative numbers are 0");
  check(first(math::power(one(T(0)), T(0))) == T(1), name + ", 0^0 is 1");
  check(first(math::acos(one(T(1.5)))) == T(0), name + ", acos beyond 1");
  for (const Pack<T>& y : {math::exp(one(nan)), math::log(one(nan)), math::sin(one(nan)), math::cos(one(nan)),
                           math::tanh(one(nan)), math::power(one(nan), T(2)), math::power(one(nan), T(1.5)),
                           math::sqrt(one(nan)), math::sqrt(one(T(-1))), math::acos(one(nan))})
    check(std::isnan(first(y)), name + ", NaN stays NaN");
}

template <typename T>
void check_lanes(const std::string& name) {
  constexpr int n = Pack<T>::kWidth;
  T in[n], out[n], rows[n][n];
  for (int l = 0; l < n; ++l) in[l] = static_cast<T>(l + 1);
  for (unsigned bits = 0; bits < (1u << n); bits += n == 16 ? 37 : 1) {
    typename Pack<T>::Integers lanes;
    for (int l = 0; l < n; ++l) lanes[l] = bits >> l & 1u ? -1 : 0;
    check(math::bits_of(math::Mask<T>{lanes}) == bits, name + ", bits of a mask");
    math::compress_store(out, math::load_pack(in), bits);
    int kept = 0;
    bool right = true;
    for (int l = 0; l < n; ++l)
      if (bits >> l & 1u) right &= out[kept++] == in[l];
    check(right && kept == math::count_bits(bits), name + ", compression of mask " + std::to_string(bits));
  }
  Pack<T> packs[n];
  for (int r = 0; r < n; ++r) {
    for (int l = 0; l < n; ++l) rows[r][l] = static_cast<T>(100 * r + l * l);
    packs[r] = math::load_pack(rows[r]);
    T sum = 0;
    for (int l = 0; l < n; ++l) sum += rows[r][l];
    check(math::sum_of_lanes(packs[r]) == sum, name + ", sum of lanes");
    in[r] = sum;
  }
  Pack<T> columns[n];
  std::copy_n(packs, n, columns);
  math::transpose(columns);
  for (int r = 0; r < n; ++r) {
    store_pack(out, columns[r]);
    for (int l = 0; l < n; ++l) check(out[l] == rows[l][r], name + ", transposition");
  }
  store_pack(out, math::sums_of_packs(packs));
  for (int r = 0; r < n; ++r) check(out[r] == in[r], name + ", sums of packs");
}

template <typename T>
void check_all(const std::string& name) {
  check_functions<T>(name);
  check_ends<T>(name);
  check_lanes<T>(name);
}

}  // namespace

#define AC_TEXT(name) #name
#define AC_NAME(name) AC_TEXT(name)

int main() {
  const std::string isa = AC_NAME(AC_ISA);
  setenv("ATOMCORE_ISA", isa.c_str(), 1);
  try {
    cpu::active_isa();
  } catch (const std::exception& e) {
    std::printf("nothing to run: %s\n", e.what());
    return 0;
  }
  check_all<double>(isa + " double");
  check_all<float>(isa + " float");
  return report();
}
