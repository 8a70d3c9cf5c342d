// Cholesky factors against the plain formula in long double: large ones over a plain BLAS, so that every way to divide
// the work is taken, and small ones by every instruction set.
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "src/cholesky.hpp"
#include "src/gemm.hpp"
#include "src/lapack.hpp"

using namespace atomcore;

namespace {

// ---- a plain BLAS and LAPACK, column-major

double& at(double* a, int lda, int i, int j) { return a[static_cast<std::int64_t>(j) * lda + i]; }

void gemm(char* ta, char* tb, int* m, int* n, int* k, double* alpha, double* a, int* lda, double* b, int* ldb,
          double* beta, double* c, int* ldc) {
  for (int j = 0; j < *n; ++j)
    for (int i = 0; i < *m; ++i) {
      double sum = 0;
      for (int l = 0; l < *k; ++l)
        sum +=
            (*ta == 'N' ? at(a, *lda, i, l) : at(a, *lda, l, i)) * (*tb == 'N' ? at(b, *ldb, l, j) : at(b, *ldb, j, l));
      at(c, *ldc, i, j) = *alpha * sum + *beta * at(c, *ldc, i, j);
    }
}

void syrk(char* uplo, char* trans, int* n, int* k, double* alpha, double* a, int* lda, double* beta, double* c,
          int* ldc) {
  for (int j = 0; j < *n; ++j)
    for (int i = *uplo == 'U' ? 0 : j; i <= (*uplo == 'U' ? j : *n - 1); ++i) {
      double sum = 0;
      for (int l = 0; l < *k; ++l)
        sum += *trans == 'N' ? at(a, *lda, i, l) * at(a, *lda, j, l) : at(a, *lda, l, i) * at(a, *lda, l, j);
      at(c, *ldc, i, j) = *alpha * sum + *beta * at(c, *ldc, i, j);
    }
}

void trsv(char* uplo, char* trans, char*, int* n, double* a, int* lda, double* x, int* incx) {
  const bool forward = (*uplo == 'L') == (*trans == 'N');
  for (int s = 0; s < *n; ++s) {
    const int i = forward ? s : *n - 1 - s;
    double sum = x[i * *incx];
    for (int j = forward ? 0 : i + 1; j < (forward ? i : *n); ++j)
      sum -= (*trans == 'N' ? at(a, *lda, i, j) : at(a, *lda, j, i)) * x[j * *incx];
    x[i * *incx] = sum / at(a, *lda, i, i);
  }
}

void trsm(char* side, char* uplo, char* trans, char* diag, int* m, int* n, double* alpha, double* a, int* lda,
          double* b, int* ldb) {
  int one = 1;
  char other = *trans == 'N' ? 'T' : 'N';
  for (int j = 0; j < *n; ++j)
    for (int i = 0; i < *m; ++i) at(b, *ldb, i, j) *= *alpha;
  if (*side == 'L')
    for (int j = 0; j < *n; ++j) trsv(uplo, trans, diag, m, a, lda, &at(b, *ldb, 0, j), &one);
  else  // rows x of B become x op(A)^-1, which is op(A)^-T x^T
    for (int i = 0; i < *m; ++i) trsv(uplo, &other, diag, n, a, lda, b + i, ldb);
}

void potrf(char* uplo, int* n, double* a, int* lda, int* info) {
  *info = 0;
  const auto lower = [&](int i, int j) -> double& { return *uplo == 'L' ? at(a, *lda, i, j) : at(a, *lda, j, i); };
  for (int j = 0; j < *n; ++j)
    for (int i = j; i < *n; ++i) {
      double sum = lower(i, j);
      for (int k = 0; k < j; ++k) sum -= lower(i, k) * lower(j, k);
      if (i == j && sum <= 0) {  // as LAPACKs do that let a NaN pass
        *info = j + 1;
        return;
      }
      lower(i, j) = i == j ? std::sqrt(sum) : sum / lower(j, j);
    }
}

// Of a factor that is stored by rows, as all are that get here.
void potri(char*, int* n, double* a, int* lda, int* info) {
  std::vector<double> inverse(static_cast<std::size_t>(*n * *n));
  char upper = 'U', no = 'N', yes = 'T';
  int one = 1;
  for (int j = 0; j < *n; ++j) {
    double* const column = &at(inverse.data(), *n, 0, j);
    column[j] = 1;
    trsv(&upper, &yes, nullptr, n, a, lda, column, &one);
    trsv(&upper, &no, nullptr, n, a, lda, column, &one);
  }
  for (int j = 0; j < *n; ++j)
    for (int i = 0; i <= j; ++i) at(a, *lda, i, j) = at(inverse.data(), *n, i, j);
  *info = 0;
}

const Lapack kPlain{gemm, syrk, trsm, trsv, potrf, potri};

// ---- matrices

template <typename T>
std::vector<T> positive_definite(int n, std::mt19937& random) {
  std::normal_distribution<double> normal;
  std::vector<double> x(static_cast<std::size_t>(n * n));
  for (double& value : x) value = normal(random);
  std::vector<T> A(x.size());
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) {
      double sum = i == j ? 0.5 * n : 0.0;
      for (int k = 0; k < std::min(n, 8); ++k)
        sum += x[static_cast<std::size_t>(i * n + k)] * x[static_cast<std::size_t>(j * n + k)];
      A[static_cast<std::size_t>(i * n + j)] = static_cast<T>(sum);
    }
  return A;
}

template <typename T>
std::vector<double> plain_factor(const T* A, int n) {
  std::vector<long double> L(static_cast<std::size_t>(n * n), 0.0L);
  const auto element = [&](int i, int j) -> long double& { return L[static_cast<std::size_t>(i * n + j)]; };
  for (int i = 0; i < n; ++i)
    for (int j = 0; j <= i; ++j) {
      long double sum = static_cast<long double>(A[i * n + j]);
      for (int k = 0; k < j; ++k) sum -= element(i, k) * element(j, k);
      element(i, j) = i == j ? std::sqrt(sum) : sum / element(j, j);
    }
  return {L.begin(), L.end()};
}

void check_packed_layout() {
  for (std::int64_t n = 1; n <= 12; ++n) {
    const PackedLayout layout{n};
    std::vector<int> seen(static_cast<std::size_t>(layout.size()));
    check(layout.size() == n * (n + 1) / 2, "size of a packed matrix");
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j <= i; ++j) {
        ++seen[static_cast<std::size_t>(layout.block(i, j).offset)];
        const std::int64_t i0 = i >= layout.split() ? layout.split() : 0;
        const PackedLayout::Block block = layout.block(i0, 0);
        check(block.offset + (i - i0) * block.row_stride + j * block.column_stride == layout.block(i, j).offset,
              "strides of a packed block");
        check(block.transposed() == (i < layout.split() && layout.row_length() > 1), "which blocks are transposed");
      }
    for (const int count : seen) check(count == 1, "every packed number belongs to one element");
  }
}

// Divided so that no call has more than `largest` multiply-adds where that is possible.
void check_large(int n, double largest) {
  std::mt19937 random(static_cast<unsigned>(n));
  const std::vector<double> A = positive_definite<double>(n, random), expected = plain_factor(A.data(), n);
  const std::string name = "n = " + std::to_string(n) + ", calls of " + std::to_string(largest);
  for (const bool packed : {false, true}) {
    std::vector<double> values = A;
    std::vector<double> storage(static_cast<std::size_t>(packed ? PackedLayout{n}.size() : n * n));
    const LowerMatrix matrix{storage.data(), n, packed};
    cpu::copy_rows({values.data(), n, false}, matrix);
    double last = 0;
    check(cpu::factor(matrix, [&](double done) { last = done; }, largest) == -1, name + " succeeds");
    check(std::abs(last - 1) < 1e-9, name + ": all the work is reported");
    std::vector<double> found(A.size());
    cpu::copy_rows(matrix, {found.data(), n, false});
    check_close(name.c_str(), packed ? "packed" : "full", found, expected, 1e-12);
    std::vector<double> sides(static_cast<std::size_t>(3 * n)), x;
    for (std::size_t k = 0; k < sides.size(); ++k) sides[k] = std::cos(static_cast<double>(k));
    x = sides;
    cpu::solve_triangular(matrix, false, x.data(), 3);
    cpu::solve_triangular(matrix, true, x.data(), 3);
    for (int s = 0; s < 3; ++s) {
      std::vector<double> back(static_cast<std::size_t>(n)), side(sides.begin() + s * n, sides.begin() + (s + 1) * n);
      for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j)
          back[static_cast<std::size_t>(i)] +=
              A[static_cast<std::size_t>(i * n + j)] * x[static_cast<std::size_t>(s * n + j)];
      check_close(name.c_str(), "A x = y", back, side, 1e-11);
    }
  }
}

void check_inverse(int n, double largest) {
  std::mt19937 random(static_cast<unsigned>(n));
  const std::vector<double> A = positive_definite<double>(n, random);
  std::vector<double> inverse = A, product(A.size()), unit(A.size());
  const LowerMatrix matrix{inverse.data(), n, false};
  cpu::factor(matrix, {});
  cpu::invert(matrix, largest);
  cpu::mirror(inverse.data(), n);
  char no = 'N';
  double one = 1, zero = 0;
  gemm(&no, &no, &n, &n, &n, &one, inverse.data(), &n, const_cast<double*>(A.data()), &n, &zero, product.data(), &n);
  for (int i = 0; i < n; ++i) unit[static_cast<std::size_t>(i * (n + 1))] = 1;
  check_close("inverse", std::to_string(largest).c_str(), product, unit, 1e-12);
}

void check_failing_pivot(int n, int pivot, double value) {
  std::mt19937 random(5);
  for (const bool packed : {false, true}) {
    std::vector<double> A = positive_definite<double>(n, random);
    A[static_cast<std::size_t>(pivot * n + pivot)] = value;
    std::vector<double> storage(static_cast<std::size_t>(packed ? PackedLayout{n}.size() : n * n));
    const LowerMatrix matrix{storage.data(), n, packed};
    cpu::copy_rows({A.data(), n, false}, matrix);
    const auto [row, column] = cpu::find_not_finite(matrix);
    check((row == pivot && column == pivot) == !std::isfinite(value), "where a number is not finite");
    check(cpu::factor(matrix, {}, 1e4) == pivot, "pivot " + std::to_string(pivot) + " fails");
  }
}

template <typename T>
void check_small(const cpu::SmallCholesky<T>& kernels, double tolerance) {
  constexpr T nan = std::numeric_limits<T>::quiet_NaN();
  std::mt19937 random(11);
  for (int n = 1; n <= cpu::kMostSmall; ++n) {
    const int count = static_cast<int>(kernels.width) + 1, m = n % 6 + 1, bad = n % count;
    const auto size = static_cast<std::size_t>(n * n), sides = static_cast<std::size_t>(n * m);
    std::vector<T> A, y(static_cast<std::size_t>(count) * sides), x(y.size(), nan),
        logarithm(static_cast<std::size_t>(count), nan);
    for (int b = 0; b < count; ++b) {
      const std::vector<T> one = positive_definite<T>(n, random);
      A.insert(A.end(), one.begin(), one.end());
    }
    for (std::size_t k = 0; k < y.size(); ++k) y[k] = static_cast<T>(std::cos(static_cast<double>(k)));
    const std::vector<T> good = A;
    A[static_cast<std::size_t>(bad) * size + size - 1] = n % 2 == 0 ? nan : T(-1);
    std::vector<T> L(A.size(), nan);
    std::vector<std::int32_t> status(static_cast<std::size_t>(count), -1);
    cpu::Lines<T> work(kernels.workspace_size(n));
    const cpu::SmallTask<T> task{A.data(), n, L.data(), y.data(), x.data(), m, logarithm.data(), status.data()};
    kernels.run(task, 0, count, n % 3 == 0, work.data());
    const std::string name = "small, n = " + std::to_string(n);
    for (int b = 0; b < count; ++b) {
      const auto first = static_cast<std::size_t>(b) * size;
      const std::vector<double> found(L.begin() + static_cast<std::ptrdiff_t>(first),
                                      L.begin() + static_cast<std::ptrdiff_t>(first + size));
      if (b == bad) {
        check(status[static_cast<std::size_t>(b)] == n, name + ": the pivot that fails");
        for (const double value : found) check(std::isnan(value), name + ": a factor that does not exist");
        check(std::isnan(logarithm[static_cast<std::size_t>(b)]), name + ": its determinant");
        continue;
      }
      const std::vector<double> expected = plain_factor(good.data() + first, n);
      check(status[static_cast<std::size_t>(b)] == 0, name + ": status");
      check_close(name.c_str(), "L", found, expected, tolerance);
      double sum = 0;
      for (int i = 0; i < n; ++i) sum += 2 * std::log(expected[static_cast<std::size_t>(i * n + i)]);
      check_close(name.c_str(), "log-determinant", {static_cast<double>(logarithm[static_cast<std::size_t>(b)])}, {sum},
                  tolerance);
      for (int s = 0; s < m; ++s) {
        std::vector<double> back(static_cast<std::size_t>(n)), side(back);
        for (int i = 0; i < n; ++i) {
          const auto at_side = [&](int k) {
            return static_cast<std::size_t>(b) * sides + static_cast<std::size_t>(k * m + s);
          };
          side[static_cast<std::size_t>(i)] = static_cast<double>(y[at_side(i)]);
          for (int j = 0; j < n; ++j)
            back[static_cast<std::size_t>(i)] +=
                static_cast<double>(good[first + static_cast<std::size_t>(i * n + j)]) *
                static_cast<double>(x[at_side(j)]);
        }
        check_close(name.c_str(), "A x = y", back, side, 100 * tolerance);
      }
    }
  }
}

}  // namespace

int main() {
  use_lapack(&kPlain);
  check_packed_layout();
  for (const double largest : {1e12, 1e5, 1.0}) check_large(141, largest);
  check_large(1, 1.0);
  check_large(2, 1.0);
  check_large(301, 1e4);
  for (const double largest : {1e12, 1e5, 1.0}) check_inverse(301, largest);
  for (const int pivot : {0, 70, 149, 150, 230, 299})
    for (const double value : {-1.0, std::numeric_limits<double>::quiet_NaN()}) check_failing_pivot(300, pivot, value);
  for (const cpu::SmallCholesky<double>* kernels : cpu::small_cholesky_variants<double>()) check_small(*kernels, 1e-13);
  for (const cpu::SmallCholesky<float>* kernels : cpu::small_cholesky_variants<float>()) check_small(*kernels, 1e-5);
  return report();
}
