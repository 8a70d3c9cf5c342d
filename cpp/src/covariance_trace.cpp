// Derivatives of sums of weighted covariances in the hyper-parameters of the kernel.
//
// Every covariance is a sum over pairs of rows of k, k' and k'' times factors of the directions L and R and of the
// Jacobians (covariance_parts.hpp). With those of the weights contracted first, what is left of a pair are numbers
//
//   w0 = W                        before k
//   w1 = sum_k (w1)_k             before first k'      (w1)_k = R_k (J_b w)_k + opposite L_k (J_a w')_k
//   w2 = sum_k (w2)_k             before second k'     (w2)_k = (J_a W J_b^T)_kk
//   w3 = L^T J_a W J_b^T R        before outer k''
//
// and a scale divides each direction and each row of a Jacobian: d/dlog(scale_k) of one of them is minus itself.
#include "src/covariance_parts.hpp"
#include "src/energy_covariance.hpp"
#include "src/interrupt.hpp"
#include "src/parallel.hpp"

namespace atomcore::cpu {
namespace {

bool has_shape(const KernelFunction& function) {
  return static_cast<math::KernelKind>(function.kind) == math::KernelKind::rational_quadratic;
}

double dot(const double* x, const double* y, std::size_t n) {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += x[i] * y[i];
  return sum;
}

// One row of structures: A's number s with those of B.
class RowGradient {
 public:
  RowGradient(const ScaledKernel& kernel, const SortedSet& A, Observed rows, const SortedSet& B, Observed columns,
              const double* W, bool one_scale)
      : kernel_(kernel),
        calculus_(calculus_of(kernel.function)),
        A_(A),
        B_(B),
        rows_(rows),
        columns_(columns),
        W_(W),
        stride_(columns.size(B.set())),
        one_scale_(one_scale) {}

  // Structures [0, last) of B; of one set with itself those up to s, and the others by symmetry.
  TraceGradient compute(std::size_t s, bool symmetric, Interruptible& work) {
    total_ = {};
    total_.scales.assign(one_scale_ ? 1 : kernel_.n_features, 0.0);
    if (rows_.gradients) jacobian_a_.pack(A_, s, kernel_.scales);
    for (std::size_t t = 0; t < (symmetric ? s + 1 : B_.set().n_structures); ++t) {
      if (columns_.gradients) jacobian_b_.pack(B_, t, kernel_.scales);
      gather_weights(s, t, symmetric && s != t);
      for_common(A_.runs(s), B_.runs(t), [&](const Run& a, const Run& b) {
        for (std::size_t j = 0; j < b.size; ++j) {
          project(b.first + j);
          for (std::size_t i = 0; i < a.size; ++i) add_pair(a.first + i, b.first + j);
        }
        work.check();
      });
    }
    return total_;
  }

 private:
  // The weights of the structures s and t: of their energies, of one's energy with the other's gradient, of gradients.
  void gather_weights(std::size_t s, std::size_t t, bool both_halves) {
    const auto weight = [&](std::size_t i, std::size_t j) {
      return W_[i * stride_ + j] + (both_halves ? W_[j * stride_ + i] : 0.0);
    };
    const std::size_t e_rows = rows_.n_energies(A_.set()), e_columns = columns_.n_energies(B_.set());
    const std::size_t n_a = rows_.gradients ? A_.n_variables(s) : 0, n_b = columns_.gradients ? B_.n_variables(t) : 0;
    const std::size_t at_a = rows_.gradients ? e_rows + A_.gradient(s) : 0,
                      at_b = columns_.gradients ? e_columns + B_.gradient(t) : 0;
    w_energies_ = rows_.energies && columns_.energies ? weight(s, t) : 0.0;
    w_a_.assign(lanes(n_a), 0.0);
    w_b_.assign(lanes(n_b), 0.0);
    if (columns_.energies)
      for (std::size_t v = 0; v < n_a; ++v) w_a_[v] = weight(at_a + v, t);
    if (rows_.energies)
      for (std::size_t v = 0; v < n_b; ++v) w_b_[v] = weight(s, at_b + v);
    const std::size_t width = lanes(n_a);
    w_gradients_.require(n_b * width);  // [n_b, width]: transposed
    for (std::size_t j = 0; j < n_b; ++j)
      for (std::size_t i = 0; i < width; ++i)
        w_gradients_.data()[j * width + i] = i < n_a ? weight(at_a + i, at_b + j) : 0.0;
  }

  bool both() const { return rows_.gradients && columns_.gradients; }

  // J_b w and J_b W^T of row b: [n_features] and [n_features, width of A].
  void project(std::size_t b) {
    const std::size_t K = kernel_.n_features;
    if (!columns_.gradients) return;
    const double* const J = jacobian_b_.row(b);
    const std::size_t width = jacobian_b_.width();
    slope_b_.resize(K);
    for (std::size_t k = 0; k < K; ++k) slope_b_[k] = dot(J + k * width, w_b_.data(), width);
    if (!both()) return;
    const std::size_t w_a = jacobian_a_.width();
    projected_.require(K * w_a);
    std::fill(projected_.data(), projected_.data() + K * w_a, 0.0);
    kernel_matrix_kernels().product(K, w_a, jacobian_b_.n_variables(), J, width, 1, w_gradients_.data(), w_a,
                                    projected_.data(), w_a);
  }

  void add_pair(std::size_t a, std::size_t b) {
    const std::size_t K = kernel_.n_features;
    pairs_.compute(kernel_, calculus_, A_, a, 1, B_, b, 1);
    const double *const L = pairs_.left(0), *const R = pairs_.right(0);
    first_.assign(K, 0.0);   // (w1)_k
    second_.assign(K, 0.0);  // (w2)_k
    outer_.assign(K, 0.0);   // the two factors of w3 that scale k divides
    double w3 = 0;
    if (columns_.gradients)
      for (std::size_t k = 0; k < K; ++k) first_[k] += R[k] * slope_b_[k];
    if (rows_.gradients) {
      const std::size_t width = jacobian_a_.width();
      const double* const J = jacobian_a_.row(a);
      for (std::size_t k = 0; k < K; ++k)
        first_[k] += calculus_.opposite * L[k] * dot(J + k * width, w_a_.data(), width);
      if (both()) w3 = add_gradients(J, width, L, R);
    }
    add_terms(a, b, w3);
  }

  // Fills second_ and outer_ and returns w3.
  double add_gradients(const double* J, std::size_t width, const double* L, const double* R) {
    const std::size_t K = kernel_.n_features;
    const double* const P = projected_.data();
    left_.assign(width, 0.0);   // J_a^T L
    right_.assign(width, 0.0);  // W J_b^T R
    for (std::size_t k = 0; k < K; ++k) {
      second_[k] = dot(J + k * width, P + k * width, width);
      for (std::size_t v = 0; v < width; ++v) {
        left_[v] += L[k] * J[k * width + v];
        right_[v] += R[k] * P[k * width + v];
      }
    }
    if (!one_scale_)
      for (std::size_t k = 0; k < K; ++k)
        outer_[k] = L[k] * dot(J + k * width, right_.data(), width) + R[k] * dot(P + k * width, left_.data(), width);
    return dot(left_.data(), right_.data(), width);
  }

  void add_terms(std::size_t a, std::size_t b, double w3) {
    const std::size_t K = kernel_.n_features;
    const double *const L = pairs_.left(0), *const R = pairs_.right(0);
    const Calculus& c = calculus_;
    double w1 = 0, w2 = 0;
    for (std::size_t k = 0; k < K; ++k) {
      w1 += first_[k];
      w2 += second_[k];
    }
    const auto jet = [&](std::size_t order) { return pairs_.jet(order, 0, 0); };
    const double straight = c.first * w1 + c.second * w2;
    total_.variance += w_energies_ * jet(0) + straight * jet(1) + c.outer * w3 * jet(2);
    // What multiplies the change of the sum q over features.
    const double of_sum = w_energies_ * jet(1) + straight * jet(2) + c.outer * w3 * jet(3);
    // q changes by minus `powers` of its term k, and so does each (w)_k.
    const double powers = c.what == PairSum::magnitudes ? 1 : 2;
    if (one_scale_) {
      total_.scales[0] -= powers * of_sum * pairs_.q(0, 0) + 2 * straight * jet(1) + 4 * c.outer * w3 * jet(2);
    } else {
      for (std::size_t k = 0; k < K; ++k) {
        const double term = c.what == PairSum::magnitudes ? std::abs(A_.row(a)[k] - B_.row(b)[k]) : L[k] * R[k];
        total_.scales[k] -= powers * of_sum * term + 2 * (c.first * first_[k] + c.second * second_[k]) * jet(1) +
                            2 * c.outer * outer_[k] * jet(2);
      }
    }
    if (!has_shape(kernel_.function)) return;
    double jets[3 * kLane];
    kernel_matrix_kernels().shape_jets(kernel_.function, pairs_.sums().data(), kLane, jets);
    total_.shape += w_energies_ * jets[0] + straight * jets[kLane] + c.outer * w3 * jets[2 * kLane];
  }

  const ScaledKernel& kernel_;
  Calculus calculus_;
  const SortedSet& A_;
  const SortedSet& B_;
  Observed rows_, columns_;
  const double* W_;
  std::size_t stride_;
  bool one_scale_;
  PackedJacobian jacobian_a_, jacobian_b_;
  PairBlock pairs_;
  double w_energies_ = 0;
  std::vector<double> w_a_, w_b_, slope_b_, first_, second_, outer_, left_, right_;
  Lines<double> w_gradients_, projected_;
  TraceGradient total_;
};

}  // namespace

TraceGradient gradient_of_trace(const ScaledKernel& kernel, const PointSet& A, Observed rows, const PointSet* B,
                                Observed columns, const double* W, bool one_scale, int n_threads) {
  if (!rows.gradients && !columns.gradients) return energy_trace(kernel, A, B, W, one_scale, n_threads);
  const bool symmetric = B == nullptr;
  const SortedSet first(A, kernel), apart = symmetric ? SortedSet() : SortedSet(*B, kernel);
  const SortedSet& second = symmetric ? first : apart;
  std::vector<TraceGradient> parts(A.n_structures);
  Interruptible work;
  parallel_for(static_cast<std::int64_t>(A.n_structures), n_threads, 1, [&](std::int64_t r, std::int64_t end) {
    RowGradient row(kernel, first, rows, second, columns, W, one_scale);
    for (; r < end; ++r) {
      // Short rows of the lower half and long ones in turn, so that all threads have as much to do.
      const auto at = static_cast<std::size_t>(r), s = at % 2 == 0 ? at / 2 : A.n_structures - 1 - at / 2;
      parts[s] = row.compute(s, symmetric, work);
    }
  });
  TraceGradient total;
  total.scales.assign(one_scale ? 1 : kernel.n_features, 0.0);
  for (const TraceGradient& part : parts) add(total, part);
  return total;
}

}  // namespace atomcore::cpu
