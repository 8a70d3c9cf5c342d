// Activation functions with their first derivative. Only exp(-|x|) is ever taken, so nothing overflows, and what tends
// to zero for large |x| is computed as such and not as a difference of two numbers near one.
#pragma once

#include <cmath>

namespace atomcore {
namespace math {

using std::abs;
using std::exp;
using std::expm1;
using std::tanh;

template <typename T>
struct Activated {
  T value;
  T derivative;
};

// x s(x) with the logistic function s; 1 - s(x) = s(-x) comes without cancellation.
struct Silu {
  template <typename T>
  static Activated<T> at(T x) {
    const T e = exp(-abs(x));
    const T large = T(1) / (T(1) + e);
    const T small = e * large;
    const T s = x < T(0) ? small : large;
    const T complement = x < T(0) ? large : small;
    return {x * s, s * (T(1) + x * complement)};
  }
};

// The derivative is 1 / cosh(x)^2 = 4 e / (1 + e)^2 with e = exp(-2 |x|).
struct Tanh {
  template <typename T>
  static Activated<T> at(T x) {
    const T e = exp(T(-2) * abs(x));
    const T q = T(1) + e;
    return {tanh(x), T(4) * e / (q * q)};
  }
};

struct Relu {
  template <typename T>
  static Activated<T> at(T x) {
    return x > T(0) ? Activated<T>{x, T(1)} : Activated<T>{T(0), T(0)};
  }
};

// CELU with alpha = 1: x for x > 0, exp(x) - 1 below.
struct Celu {
  template <typename T>
  static Activated<T> at(T x) {
    return x > T(0) ? Activated<T>{x, T(1)} : Activated<T>{expm1(x), exp(x)};
  }
};

}  // namespace math
}  // namespace atomcore
