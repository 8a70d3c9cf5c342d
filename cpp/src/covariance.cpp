#include "src/covariance.hpp"

#include "src/covariance_parts.hpp"
#include "src/energy_covariance.hpp"
#include "src/interrupt.hpp"
#include "src/parallel.hpp"

namespace atomcore::cpu {
namespace {

// Where a block goes: out[i, j], or out[j, i] with `transposed`, from the place given.
struct Place {
  double* out;
  std::size_t stride;
  bool transposed;
  double& at(std::size_t i, std::size_t j) const { return transposed ? out[j * stride + i] : out[i * stride + j]; }
  Place from(std::size_t i, std::size_t j) const { return {&at(i, j), stride, transposed}; }
};

// ---- energies with gradients

// Energies of the structures of E with the gradient of one structure of G.
class GradientColumns {
 public:
  GradientColumns(const ScaledKernel& kernel, const SortedSet& E, const SortedSet& G)
      : kernel_(kernel), calculus_(calculus_of(kernel.function)), E_(E), G_(G), elements_(by_element(E)) {}

  void compute(std::size_t g, Interruptible& work, const Place& to) {
    jacobian_.pack(G_, g, kernel_.scales);
    const std::size_t width = jacobian_.width(), n_structures = E_.set().n_structures;
    columns_.require(n_structures * width);
    std::fill(columns_.data(), columns_.data() + n_structures * width, 0.0);
    for (const Run& run : G_.runs(g))
      for (const ElementRows& rows : elements_)
        if (rows.element == run.element) add_element(rows, run, work);
    for (std::size_t s = 0; s < n_structures; ++s)
      for (std::size_t v = 0; v < jacobian_.n_variables(); ++v) to.at(s, v) = columns_.data()[s * width + v];
  }

 private:
  static constexpr std::size_t kTogether = 32;  // structures of E in one product

  // dk/dx_b, summed over the rows a of each structure, times the Jacobian of the rows b.
  void add_element(const ElementRows& rows, const Run& run, Interruptible& work) {
    const KernelMatrixKernels& kernels = kernel_matrix_kernels();
    const std::size_t depth = run.size * kernel_.n_features, width = jacobian_.width();
    slopes_.require(kTogether * depth);
    for (std::size_t i = 0; i < rows.rows.size();) {
      std::size_t count = 0;
      structures_[0] = rows.structure[i];
      std::fill(slopes_.data(), slopes_.data() + kTogether * depth, 0.0);
      for (; i < rows.rows.size(); ++i) {
        if (rows.structure[i] != structures_[count] && ++count == kTogether) break;
        structures_[count] = rows.structure[i];
        add_slopes(rows.rows[i], run, slopes_.data() + count * depth);
        work.check();
      }
      count = std::min(count + 1, kTogether);
      products_.require(kTogether * width);
      std::fill(products_.data(), products_.data() + count * width, 0.0);
      kernels.product(count, width, depth, slopes_.data(), depth, 1, jacobian_.row(run.first), width, products_.data(),
                      width);
      for (std::size_t c = 0; c < count; ++c)
        for (std::size_t v = 0; v < width; ++v)
          columns_.data()[structures_[c] * width + v] += products_.data()[c * width + v];
    }
  }

  void add_slopes(std::size_t a, const Run& run, double* slopes) {
    const std::size_t K = kernel_.n_features;
    for (std::size_t b = 0; b < run.size; b += PairBlock::kMost) {
      const std::size_t n = std::min(PairBlock::kMost, run.size - b);
      pairs_.compute(kernel_, calculus_, E_, a, 1, G_, run.first + b, n);
      for (std::size_t j = 0; j < n; ++j) {
        const double slope = calculus_.first * pairs_.jet(1, 0, j);
        const double* const direction = pairs_.right(j);
        double* const to = slopes + (b + j) * K;
        for (std::size_t k = 0; k < K; ++k) to[k] += slope * direction[k];
      }
    }
  }

  const ScaledKernel& kernel_;
  Calculus calculus_;
  const SortedSet &E_, &G_;
  std::vector<ElementRows> elements_;
  std::size_t structures_[kTogether];
  PackedJacobian jacobian_;
  PairBlock pairs_;
  Lines<double> columns_, slopes_, products_;
};

void energies_with_gradients(const ScaledKernel& kernel, const SortedSet& E, const SortedSet& G, const Place& to,
                             const Place* mirrored, int n_threads) {
  Interruptible work;
  parallel_for(static_cast<std::int64_t>(G.set().n_structures), n_threads, 1, [&](std::int64_t g, std::int64_t end) {
    GradientColumns columns(kernel, E, G);
    for (; g < end; ++g) {
      const auto s = static_cast<std::size_t>(g);
      columns.compute(s, work, to.from(0, G.gradient(s)));
      if (mirrored == nullptr) continue;
      const Place from = to.from(0, G.gradient(s)), copy = mirrored->from(0, G.gradient(s));
      for (std::size_t v = 0; v < G.n_variables(s); ++v)
        for (std::size_t e = 0; e < E.set().n_structures; ++e) copy.at(e, v) = from.at(e, v);
    }
  });
}

// ---- gradients with gradients

// The block of two structures, whose Jacobians are packed.
class GradientBlock {
 public:
  GradientBlock(const ScaledKernel& kernel, const SortedSet& A, const SortedSet& B)
      : kernel_(kernel), calculus_(calculus_of(kernel.function)), A_(A), B_(B) {}

  void set_row(std::size_t s) {
    if (s == row_) return;
    row_ = s;
    jacobian_a_.pack(A_, s, kernel_.scales);
  }

  // The block of the row that was set and structure t of B: [variables, width()].
  const double* compute(std::size_t t, Interruptible& work) {
    jacobian_b_.pack(B_, t, kernel_.scales);
    const std::size_t size = jacobian_a_.n_variables() * width();
    block_.require(size);
    std::fill(block_.data(), block_.data() + size, 0.0);
    for_common(A_.runs(row_), B_.runs(t), [&](const Run& a, const Run& b) {
      // As many pairs at a time as stay in the cache.
      const std::size_t n_a = std::min(a.size, std::size_t{16}), n_b = PairBlock::kMost / n_a;
      for (std::size_t i = 0; i < a.size; i += n_a)
        for (std::size_t j = 0; j < b.size; j += n_b) {
          work.check();
          add(a.first + i, std::min(n_a, a.size - i), b.first + j, std::min(n_b, b.size - j));
        }
    });
    return block_.data();
  }
  std::size_t width() const { return jacobian_b_.width(); }
  std::size_t n_rows() const { return jacobian_a_.n_variables(); }
  std::size_t n_columns() const { return jacobian_b_.n_variables(); }

 private:
  void add(std::size_t a, std::size_t n_a, std::size_t b, std::size_t n_b) {
    pairs_.compute(kernel_, calculus_, A_, a, n_a, B_, b, n_b);
    add_straight(a, n_a, b, n_b);
    add_outer(a, n_a, b, n_b);
  }

  // sum_b (sum_a second k'_ab J_a)^T J_b
  void add_straight(std::size_t a, std::size_t n_a, std::size_t b, std::size_t n_b) {
    const KernelMatrixKernels& kernels = kernel_matrix_kernels();
    const std::size_t K = kernel_.n_features, w_a = jacobian_a_.width(), w_b = width();
    factors_.require(n_a * n_b);
    for (std::size_t j = 0; j < n_b; ++j)
      for (std::size_t i = 0; i < n_a; ++i) factors_.data()[j * n_a + i] = calculus_.second * pairs_.jet(1, i, j);
    sums_.require(n_b * K * w_a);
    std::fill(sums_.data(), sums_.data() + n_b * K * w_a, 0.0);
    kernels.product(n_b, K * w_a, n_a, factors_.data(), n_a, 1, jacobian_a_.row(a), K * w_a, sums_.data(), K * w_a);
    kernels.product(n_rows(), w_b, n_b * K, sums_.data(), 1, w_a, jacobian_b_.row(b), w_b, block_.data(), w_b);
  }

  // sum_ab (J_a^T L_ab) (outer k''_ab) (R_ab^T J_b)
  void add_outer(std::size_t a, std::size_t n_a, std::size_t b, std::size_t n_b) {
    const KernelMatrixKernels& kernels = kernel_matrix_kernels();
    const std::size_t K = kernel_.n_features, w_a = jacobian_a_.width(), w_b = width(), n = n_a * n_b;
    lefts_.require(n * w_a);
    rights_.require(n * w_b);
    std::fill(lefts_.data(), lefts_.data() + n * w_a, 0.0);
    std::fill(rights_.data(), rights_.data() + n * w_b, 0.0);
    for (std::size_t i = 0; i < n_a; ++i)
      kernels.product(n_b, w_a, K, pairs_.left(i), pairs_.left_stride(), 1, jacobian_a_.row(a + i), w_a,
                      lefts_.data() + i * n_b * w_a, w_a);
    for (std::size_t j = 0; j < n_b; ++j)
      kernels.product(n_a, w_b, K, pairs_.right(j), pairs_.right_stride(), 1, jacobian_b_.row(b + j), w_b,
                      rights_.data() + j * w_b, n_b * w_b);
    for (std::size_t i = 0; i < n_a; ++i)
      for (std::size_t j = 0; j < n_b; ++j) {
        const double factor = calculus_.outer * pairs_.jet(2, i, j);
        double* const right = rights_.data() + (i * n_b + j) * w_b;
        for (std::size_t v = 0; v < w_b; ++v) right[v] *= factor;
      }
    kernels.product(n_rows(), w_b, n, lefts_.data(), 1, w_a, rights_.data(), w_b, block_.data(), w_b);
  }

  const ScaledKernel& kernel_;
  Calculus calculus_;
  const SortedSet &A_, &B_;
  std::size_t row_ = static_cast<std::size_t>(-1);
  PackedJacobian jacobian_a_, jacobian_b_;
  PairBlock pairs_;
  Lines<double> factors_, sums_, lefts_, rights_, block_;
};

// out is the place of the first gradient with the first; `symmetric` sets are one.
void gradients_with_gradients(const ScaledKernel& kernel, const SortedSet& A, const SortedSet& B, bool symmetric,
                              const Place& out, int n_threads) {
  const auto rows = static_cast<std::int64_t>(A.set().n_structures),
             columns = static_cast<std::int64_t>(B.set().n_structures);
  Interruptible work;
  parallel_for(symmetric ? rows * (rows + 1) / 2 : rows * columns, n_threads, 1, [&](std::int64_t t, std::int64_t end) {
    GradientBlock block(kernel, A, B);
    for (; t < end; ++t) {
      const Triangle half(t);
      const auto i = static_cast<std::size_t>(symmetric ? half.row : t / columns),
                 j = static_cast<std::size_t>(symmetric ? half.column : t % columns);
      block.set_row(i);
      const double* const values = block.compute(j, work);
      const Place to = out.from(A.gradient(i), B.gradient(j)), mirrored = out.from(B.gradient(j), A.gradient(i));
      for (std::size_t r = 0; r < block.n_rows(); ++r)
        for (std::size_t c = 0; c < (symmetric && i == j ? r + 1 : block.n_columns()); ++c) {
          to.at(r, c) = values[r * block.width() + c];
          if (symmetric) mirrored.at(c, r) = to.at(r, c);
        }
    }
  });
}

}  // namespace

void covariance(const ScaledKernel& kernel, const PointSet& A, Observed rows, const PointSet* B, Observed columns,
                double* out, int n_threads) {
  const bool symmetric = B == nullptr;
  const PointSet& other = symmetric ? A : *B;
  const std::size_t stride = columns.size(other), e_rows = rows.n_energies(A), e_columns = columns.n_energies(other);
  if (rows.energies && columns.energies) energy_covariance(kernel, A, B, out, stride, n_threads);
  if (!rows.gradients && !columns.gradients) return;
  const SortedSet first(A, kernel), apart = symmetric ? SortedSet() : SortedSet(*B, kernel);
  const SortedSet& second = symmetric ? first : apart;
  const Place above{out + e_columns, stride, false}, below{out + e_rows * stride, stride, true};
  if (rows.energies && columns.gradients)
    energies_with_gradients(kernel, first, second, above, symmetric ? &below : nullptr, n_threads);
  if (rows.gradients && columns.energies && !symmetric)
    energies_with_gradients(kernel, second, first, below, nullptr, n_threads);
  if (rows.gradients && columns.gradients)
    gradients_with_gradients(kernel, first, second, symmetric, {out + e_rows * stride + e_columns, stride, false},
                             n_threads);
}

void covariance_diagonal(const ScaledKernel& kernel, const PointSet& A, Observed rows, double* out, int n_threads) {
  Interruptible work;
  parallel_for(static_cast<std::int64_t>(A.n_structures), n_threads, 1, [&](std::int64_t r, std::int64_t end) {
    std::vector<double> K;
    for (; r < end; ++r) {
      work.check();
      const auto s = static_cast<std::size_t>(r);
      const std::int64_t first = A.structure_ptr[s];
      const std::int64_t n_rows = A.structure_ptr[s + 1] - first, structure_ptr[] = {0, n_rows};
      const std::int64_t n_variables = rows.gradients ? A.gradient_ptr[s + 1] - A.gradient_ptr[s] : 0;
      const std::int64_t gradient_ptr[] = {0, n_variables};
      const PointSet own{static_cast<std::size_t>(n_rows),
                         1,
                         A.x + static_cast<std::size_t>(first) * kernel.n_features,
                         A.elements == nullptr ? nullptr : A.elements + first,
                         structure_ptr,
                         rows.gradients ? std::vector<const double*>{A.jacobians[s]} : std::vector<const double*>{},
                         gradient_ptr};
      const std::size_t n = rows.size(own), e = rows.n_energies(own);
      K.resize(n * n);
      covariance(kernel, own, rows, nullptr, rows, K.data(), 1);
      if (rows.energies) out[s] = K[0];
      double* const gradient = out + rows.n_energies(A) + (rows.gradients ? A.gradient_ptr[s] : 0);
      for (std::size_t v = e; v < n; ++v) gradient[v - e] = K[v * n + v];
    }
  });
}

}  // namespace atomcore::cpu
