// Every formula of cpp/math, computed on the device and on the host. Compiling this is half of the test: a formula that
// lacks AC_HD, or calls what only the host has, is refused. Exits with 77 (a test that skips) where no device answers.
#include <cuda_runtime.h>

#include <cstdio>
#include <vector>

#include "../cpp/check.hpp"
#include "math/activations.hpp"
#include "math/cell.hpp"
#include "math/distance_kernels.hpp"
#include "math/dual.hpp"
#include "math/symmetry_functions.hpp"

namespace {

using namespace atomcore::math;

constexpr int kPoints = 64;  // x from -3 to 3
constexpr int kMost = 512;   // values per point, at the most
constexpr int kSkipped = 77;

// Collects what the formulas return.
template <typename U>
struct Values {
  U* next;
  AC_HD void put(float x) { *next++ = static_cast<U>(x); }
  AC_HD void put(double x) { *next++ = static_cast<U>(x); }
  template <typename T>
  AC_HD void put(const Dual<T>& x) {
    put(x.v);
    put(x.d);
  }
  template <typename T>
  AC_HD void put(const Jet<T>& x) {
    put(x.f);
    put(x.d);
  }
  template <typename T>
  AC_HD void put(const KernelJet<T>& x) {
    put(x.f);
    put(x.d);
    put(x.dd);
    put(x.ddd);
  }
  template <typename T>
  AC_HD void put(const Vec3<T>& x) {
    put(x.x);
    put(x.y);
    put(x.z);
  }
};

// Formulas of features: for plain and for dual numbers. `T x` lies between -3 and 3.
template <typename T>
struct Features {
  template <typename U>
  AC_HD static void evaluate(const T& x, Values<U>& out) {
    const T r = U(0.25) * (x * x) + T(0.5), c = sin(x);
    const T sine = scaled_sine(T(1) - c * c, U(1));
    for (int k = 0; k < kCutoffKinds; ++k) {
      const auto kind = static_cast<CutoffKind>(k);
      out.put(cutoff_value(r, make_cutoff(kind, U(-6), U(6), U(0.2), U(2.5))));
      out.put(cutoff_value(r, make_cutoff(kind, U(0.7), U(2.5))));
      out.put(compact_angle(c, sine, symmetric(kind), U(1), U(0.9), U(1) / U(0.9)));
    }
    const T part = U(0.5) + U(0.4) * c;
    out.put(symmetric_core(CutoffKind::poly1, part, U(4)));
    out.put(cutoff_core(CutoffKind::poly2_asymmetric, part, U(4)));
    out.put(mirrored_core(CutoffKind::poly3, x, U(0.3), U(0.2), U(4)));
    out.put(angle_of(c, sine));
    out.put(select(is_asymmetric(CutoffKind::poly4_asymmetric), x, r));
    out.put(product(gaussian(r, U(1.5), U(0.7)), cosine_wave(r, U(1.3))));
    out.put(behler_angle(c, U(3.5), U(-1)));
    out.put(behler_angle(c, U(0.6), U(0.9)));
    out.put(ani_angle(c, scaled_sine(T(1) - c * c, U(0.95)), U(32), U(0.8), U(0.6), U(0.95)));
    out.put(integer_power(r, 5));
    out.put(power(r, U(2.5)));
    out.put(log(r));
    out.put(sqrt(r) / exp(-r) + cos(x) * tanh(x) + acos(U(0.9) * c) * abs(x));
    const Vec3<T> a{r, x, c};
    out.put(cross(a, x * (a + a) - a));
    out.put(dot(a, a));
    T sum = U(1) + r;
    sum += U(2) - (r - U(3));
    out.put(value(sum));
  }
};

// Formulas of kernel machines: for plain and for dual numbers.
template <typename T>
struct Covariances {
  template <KernelKind kind, typename U>
  AC_HD static void evaluate_kind(const T& q, double a, double b, Values<U>& out) {
    out.put(kernel_jet<kind>(q, {a, b}));
    out.put(static_cast<U>(smoothness(kind) + is_radial(kind)));
  }
  template <typename U>
  AC_HD static void evaluate(const T& x, Values<U>& out) {
    const T q = x * x;
    out.put(log(q + T(1)) * reciprocal_or_zero(q));
    evaluate_kind<KernelKind::rbf>(q, 0, 0, out);
    evaluate_kind<KernelKind::matern12>(q, 0, 0, out);
    evaluate_kind<KernelKind::matern32>(q, 0, 0, out);
    evaluate_kind<KernelKind::matern52>(q, 0, 0, out);
    evaluate_kind<KernelKind::rational_quadratic>(q, 0.6, 0, out);
    evaluate_kind<KernelKind::laplacian>(q, 0, 0, out);
    evaluate_kind<KernelKind::polynomial>(x, 0.5, 4, out);
    out.put(rational_quadratic_in_log_alpha(q, 0.6));
    out.put(reciprocal_or_zero(x));
  }
};

// Formulas of networks and cells: for plain numbers.
template <typename T>
struct Plain {
  template <typename U>
  AC_HD static void evaluate(const T& x, Values<U>& out) {
    out.put(silu(x));
    out.put(hyperbolic_tangent(x));
    out.put(relu(x));
    out.put(celu(x));
    out.put(logistic(x).complement);
    out.put(sigmoid(x));
    out.put(softplus(x));
    out.put(identity(x));
    out.put(unit_gaussian(x));
    out.put(cosine(x));
    out.put(falling_exponential(x));
    out.put(square(x));
    out.put(log_one_plus(exp(-abs(x))));
    const T cell[9] = {T(4) + x, T(0.5), x, T(-0.25), T(5), T(1), T(0), x, T(9)};
    T dual[9], heights[3], whole[9];
    dual_vectors(cell, dual);
    face_heights(dual, heights);
    const bool periodic[3] = {true, x > T(0), false};
    complete_cell(cell, periodic, whole);
    for (int k = 0; k < 3; ++k) {
      out.put(heights[k]);
      out.put(load(whole + 3 * k));
    }
    out.put(determinant(cell) * norm(cell) * dot(cell, dual));
    out.put(perpendicular(normalized(load(cell))));
    out.put(translation(cell, T(1), T(-2), x));
    store(edge_vector(cell, cell + 3, cell, T(1), T(-2), x), whole);
    out.put(load(whole));
  }
};

AC_HD double place(int i) { return -3 + 6. * i / (kPoints - 1); }

template <template <typename> class Formulas, typename T>
AC_HD void evaluate_at(int i, plain_t<T>* out) {
  Values<plain_t<T>> values{out + i * kMost};
  T x(static_cast<plain_t<T>>(place(i)));
  Formulas<T>::evaluate(x, values);
}

template <template <typename> class Formulas, typename T>
__global__ void evaluate_all(plain_t<T>* out) {
  evaluate_at<Formulas, T>(static_cast<int>(threadIdx.x), out);
}

bool succeeds(cudaError_t status) {
  if (status != cudaSuccess) std::printf("CUDA: %s\n", cudaGetErrorString(status));
  return status == cudaSuccess;
}

template <template <typename> class Formulas, typename T>
void compare(const char* name, double tolerance) {
  using U = plain_t<T>;
  std::vector<U> host(kPoints * kMost), device(host.size());
  for (int i = 0; i < kPoints; ++i) evaluate_at<Formulas, T>(i, host.data());
  U* memory = nullptr;
  const std::size_t bytes = sizeof(U) * host.size();
  check(succeeds(cudaMalloc(&memory, bytes)) && succeeds(cudaMemset(memory, 0, bytes)), "memory on the device");
  evaluate_all<Formulas, T><<<1, kPoints>>>(memory);
  check(succeeds(cudaGetLastError()), "start of a kernel");
  check(succeeds(cudaMemcpy(device.data(), memory, bytes, cudaMemcpyDeviceToHost)), "the kernel and its results");
  check(succeeds(cudaFree(memory)), "memory given back");
  for (int i = 0; i < kPoints; ++i) {
    const auto first = i * kMost, last = first + kMost;
    check_close(name, "device against host", {device.begin() + first, device.begin() + last},
                {host.begin() + first, host.begin() + last}, tolerance);
  }
}

}  // namespace

int main() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    std::printf("skipped, no CUDA device: %s\n", cudaGetErrorString(status));
    return kSkipped;
  }
  const double in_double = 1e-11, in_float = 2e-5;  // as tests/tolerances.py has them
  compare<Features, double>("features, double", in_double);
  compare<Features, float>("features, float", in_float);
  compare<Features, Dual<double>>("features, dual double", in_double);
  compare<Features, Dual<float>>("features, dual float", in_float);
  compare<Covariances, double>("covariances, double", in_double);
  compare<Covariances, float>("covariances, float", in_float);
  compare<Covariances, Dual<double>>("covariances, dual double", in_double);
  compare<Covariances, Dual<float>>("covariances, dual float", in_float);
  compare<Plain, double>("plain, double", in_double);
  compare<Plain, float>("plain, float", in_float);
  return report();
}
