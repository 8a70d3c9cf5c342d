#include "src/cholesky.hpp"

#include <algorithm>
#include <cmath>

#include "src/interrupt.hpp"
#include "src/lapack.hpp"

namespace atomcore::cpu {
namespace {

constexpr std::int64_t kSmallestPart = 64;  // dividing further costs speed

class Work {
 public:
  Work(double total, Progress progress, double largest_call)
      : progress_(std::move(progress)), total_(total), largest_call_(largest_call) {}
  // Whether this is too much for one call and can be divided along `n` rows.
  bool divide(double operations, std::int64_t n) const { return operations > largest_call_ && n >= 2 * kSmallestPart; }
  // How many items of so many operations one call takes.
  std::int64_t part(double operations) const {
    return static_cast<std::int64_t>(std::clamp(largest_call_ / operations, 32.0, 1e9));
  }
  void done(double operations) {
    done_ += operations;
    interruptible_.check();
    if (progress_) progress_(std::min(1.0, done_ / total_));
  }

 private:
  Interruptible interruptible_;
  Progress progress_;
  double total_, largest_call_, done_ = 0.0;
};

// The lower triangle of A, or of its factor L, as Fortran sees it: itself, or its transpose where it is stored by rows.
struct Triangle {
  double* data;
  std::int64_t ld;
  bool upper;

  char uplo() const { return upper ? 'U' : 'L'; }
  Triangle last(std::int64_t from) const { return {data + from * (ld + 1), ld, upper}; }
};

// The block left of a triangle's last rows: [n, k] as Fortran sees it, or [k, n] where it is stored by rows.
struct Rectangle {
  double* data;
  std::int64_t ld;
  bool by_rows;

  Rectangle rows(std::int64_t from) const { return {data + from * (by_rows ? ld : 1), ld, by_rows}; }
  Rectangle columns(std::int64_t from) const { return {data + from * (by_rows ? 1 : ld), ld, by_rows}; }
};

Rectangle block_below(const Triangle& T, std::int64_t split) {
  return {T.data + split * (T.upper ? T.ld : 1), T.ld, T.upper};
}

// C [m, n] -= A [m, k] B [n, k]^T
void subtract_product(const Rectangle& C, const Rectangle& A, const Rectangle& B, std::int64_t m, std::int64_t n,
                      std::int64_t k, Work& work) {
  const double operations = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  const std::int64_t largest = std::max({m, n, k}), half = largest / 2;
  if (work.divide(operations, largest)) {
    if (m == largest) {
      subtract_product(C, A, B, half, n, k, work);
      subtract_product(C.rows(half), A.rows(half), B, m - half, n, k, work);
    } else if (n == largest) {
      subtract_product(C, A, B, m, half, k, work);
      subtract_product(C.columns(half), A, B.rows(half), m, n - half, k, work);
    } else {
      subtract_product(C, A, B, m, n, half, work);
      subtract_product(C, A.columns(half), B.columns(half), m, n, k - half, work);
    }
    return;
  }
  const char a = A.by_rows == C.by_rows ? 'N' : 'T', b = B.by_rows == C.by_rows ? 'T' : 'N';
  if (C.by_rows)
    blas::gemm(b, a, n, m, k, -1.0, B.data, B.ld, A.data, A.ld, 1.0, C.data, C.ld);
  else
    blas::gemm(a, b, m, n, k, -1.0, A.data, A.ld, B.data, B.ld, 1.0, C.data, C.ld);
  work.done(operations);
}

// C [n, n] -= A [n, k] A^T
void subtract_square(const Triangle& C, const Rectangle& A, std::int64_t n, std::int64_t k, Work& work) {
  const double operations = 0.5 * static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(k);
  if (work.divide(operations, std::max(n, k))) {
    if (n >= k) {
      const std::int64_t half = n / 2;
      subtract_square(C, A, half, k, work);
      subtract_product(block_below(C, half), A.rows(half), A, n - half, half, k, work);
      subtract_square(C.last(half), A.rows(half), n - half, k, work);
    } else {
      subtract_square(C, A, n, k / 2, work);
      subtract_square(C, A.columns(k / 2), n, k - k / 2, work);
    }
    return;
  }
  blas::syrk(C.uplo(), A.by_rows ? 'T' : 'N', n, k, -1.0, A.data, A.ld, 1.0, C.data, C.ld);
  work.done(operations);
}

// X [m, n] := X L^-T
void solve_right(const Triangle& L, const Rectangle& X, std::int64_t n, std::int64_t m, Work& work) {
  const double operations = 0.5 * static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(m);
  if (work.divide(operations, std::max(n, m))) {
    if (m >= n) {
      solve_right(L, X, n, m / 2, work);
      solve_right(L, X.rows(m / 2), n, m - m / 2, work);
    } else {
      const std::int64_t half = n / 2;
      solve_right(L, X, half, m, work);
      subtract_product(X.columns(half), X, block_below(L, half), m, n - half, half, work);
      solve_right(L.last(half), X.columns(half), n - half, m, work);
    }
    return;
  }
  if (X.by_rows)
    blas::trsm('L', L.uplo(), L.upper ? 'T' : 'N', n, m, L.data, L.ld, X.data, X.ld);
  else
    blas::trsm('R', L.uplo(), L.upper ? 'N' : 'T', m, n, L.data, L.ld, X.data, X.ld);
  work.done(operations);
}

std::int64_t factor_triangle(const Triangle& A, std::int64_t n, Work& work);

// A matrix in three parts: rows 0 .. split - 1 in `first`, the others in `below` and `last`.
struct Parts {
  Triangle first;
  Rectangle below;
  Triangle last;
  std::int64_t split;
};

Parts parts_of(const Triangle& A, std::int64_t split) { return {A, block_below(A, split), A.last(split), split}; }

std::int64_t factor_parts(const Parts& A, std::int64_t n, Work& work) {
  const std::int64_t rest = n - A.split;
  if (const std::int64_t pivot = factor_triangle(A.first, A.split, work); pivot >= 0) return pivot;
  solve_right(A.first, A.below, A.split, rest, work);
  subtract_square(A.last, A.below, rest, A.split, work);
  const std::int64_t pivot = factor_triangle(A.last, rest, work);
  return pivot >= 0 ? A.split + pivot : -1;
}

std::int64_t factor_triangle(const Triangle& A, std::int64_t n, Work& work) {
  if (n == 0) return -1;
  const double cube = static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n) / 6.0;
  if (work.divide(cube, n)) return factor_parts(parts_of(A, n / 2), n, work);
  const std::int64_t info = blas::potrf(A.uplo(), n, A.data, A.ld);
  work.done(cube);
  for (std::int64_t k = 0; info == 0 && k < n; ++k)  // a NaN passes as positive in some libraries
    if (!std::isfinite(A.data[k * (A.ld + 1)])) return k;
  return info - 1;
}

// Of a matrix with more than one row.
Parts parts_of(const LowerMatrix& A) {
  const std::int64_t split = A.n / 2;
  if (!A.packed) return parts_of(Triangle{A.data, A.n, true}, split);
  const std::int64_t ld = PackedLayout{A.n}.row_length();
  return {{A.data + split + 1, ld, false}, {A.data, ld, true}, {A.data + split, ld, true}, split};
}

bool one_piece(const LowerMatrix& A) { return !A.packed || A.n == 1; }
Triangle whole(const LowerMatrix& A) { return {A.data, A.n, true}; }

// body(first, count) for parts of n items, each of so many operations.
template <typename Body>
void in_parts(std::int64_t n, double operations, Work& work, const Body& body) {
  const std::int64_t step = work.part(operations);
  for (std::int64_t i = 0; i < n; i += step) {
    const std::int64_t count = std::min(step, n - i);
    body(i, count);
    work.done(operations * static_cast<double>(count));
  }
}

// (L L^T)^-1 in the place of L, from the inverses of both diagonal blocks: with Z = L21 L11^-1 and S = L22 L22^T it is
// (L11 L11^T)^-1 + Z^T S^-1 Z and -S^-1 Z below.
void invert_triangle(const Triangle& L, std::int64_t n, Work& work) {
  const double cube = static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n) / 3.0;
  if (!work.divide(cube, n)) {
    blas::potri(L.uplo(), n, L.data, L.ld);
    return work.done(cube);
  }
  const Parts parts = parts_of(L, n / 2);
  const std::int64_t split = parts.split, rest = n - split, ld = L.ld;
  const double first = 0.5 * static_cast<double>(split * split), last = 0.5 * static_cast<double>(rest * rest);
  double *const X = parts.below.data, *const L11 = parts.first.data, *const L22 = parts.last.data;
  in_parts(rest, first, work, [&](std::int64_t i, std::int64_t count) {  // Z
    blas::trsm('L', 'U', 'N', split, count, L11, ld, X + i * ld, ld);
  });
  in_parts(split, last, work, [&](std::int64_t j, std::int64_t count) {  // L22^-1 Z
    blas::trsm('R', 'U', 'N', count, rest, L22, ld, X + j, ld);
  });
  invert_triangle(parts.first, split, work);
  in_parts(rest, first, work, [&](std::int64_t i, std::int64_t count) {
    blas::syrk('U', 'N', split, count, 1.0, X + i * ld, ld, 1.0, L11, ld);
  });
  in_parts(split, last, work, [&](std::int64_t j, std::int64_t count) {
    blas::trsm('R', 'U', 'T', count, rest, L22, ld, X + j, ld, -1.0);
  });
  invert_triangle(parts.last, rest, work);
}

// Columns of X [n, m], ld numbers apart, become L^-1 x or L^-T x.
void solve_left(const Triangle& L, bool transposed, std::int64_t n, std::int64_t m, double* X, std::int64_t ld) {
  const char trans = L.upper == transposed ? 'N' : 'T';
  if (m == 1)
    blas::trsv(L.uplo(), trans, n, L.data, L.ld, X);
  else
    blas::trsm('L', L.uplo(), trans, n, m, L.data, L.ld, X, ld);
}

void solve_block(const LowerMatrix& L, bool transposed, double* X, std::int64_t m) {
  if (one_piece(L)) return solve_left(whole(L), transposed, L.n, m, X, L.n);
  const Parts parts = parts_of(L);
  const std::int64_t n = L.n, split = parts.split, rest = n - split;
  double* const last = X + split;
  if (transposed) {
    solve_left(parts.last, true, rest, m, last, n);
    blas::gemm('N', 'N', split, m, rest, -1.0, parts.below.data, parts.below.ld, last, n, 1.0, X, n);
    solve_left(parts.first, true, split, m, X, n);
  } else {
    solve_left(parts.first, false, split, m, X, n);
    blas::gemm('T', 'N', rest, m, split, -1.0, parts.below.data, parts.below.ld, X, n, 1.0, last, n);
    solve_left(parts.last, false, rest, m, last, n);
  }
}

bool all_finite(const double* x, std::int64_t n) {
  double sums[8] = {};
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int l = 0; l < 8; ++l) sums[l] += 0.0 * x[i + l];  // a NaN where x is not finite
  for (; i < n; ++i) sums[0] += 0.0 * x[i];
  double sum = 0.0;
  for (const double s : sums) sum += s;
  return sum == 0.0;
}

// Element (i, j) of one row is at row[j * stride].
struct Row {
  double* data;
  std::int64_t stride;
  double& operator[](std::int64_t j) const { return data[j * stride]; }
};

Row row_of(const LowerMatrix& A, std::int64_t i) {
  const PackedLayout::Block block = A.block(i, 0);
  return {A.data + block.offset, block.column_stride};
}

}  // namespace

std::pair<std::int64_t, std::int64_t> find_not_finite(const LowerMatrix& A) {
  if (A.packed && all_finite(A.data, PackedLayout{A.n}.size())) return {-1, -1};
  for (std::int64_t i = 0; i < A.n; ++i) {
    const Row row = row_of(A, i);
    if (row.stride == 1 && all_finite(row.data, i + 1)) continue;
    for (std::int64_t j = 0; j <= i; ++j)
      if (!std::isfinite(row[j])) return {i, j};
  }
  return {-1, -1};
}

std::int64_t factor(const LowerMatrix& A, const Progress& progress, double largest_call) {
  const auto n = static_cast<double>(A.n);
  Work work(n * n * n / 6.0, progress, largest_call);
  return one_piece(A) ? factor_triangle(whole(A), A.n, work) : factor_parts(parts_of(A), A.n, work);
}

void solve_triangular(const LowerMatrix& L, bool transposed, double* B, std::int64_t m) {
  if (L.n == 0) return;
  const double operations = 0.5 * static_cast<double>(L.n) * static_cast<double>(L.n);
  Work work(operations * static_cast<double>(m), {}, kLargestCall);
  in_parts(m, operations, work,
           [&](std::int64_t i, std::int64_t count) { solve_block(L, transposed, B + i * L.n, count); });
}

double log_determinant(const LowerMatrix& L) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < L.n; ++i) sum += std::log(L(i, i));
  return 2.0 * sum;
}

void invert(const LowerMatrix& L, double largest_call) {
  const auto n = static_cast<double>(L.n);
  Work work(n * n * n / 3.0, {}, largest_call);
  if (L.n > 0) invert_triangle(whole(L), L.n, work);
}

void copy_rows(const LowerMatrix& from, const LowerMatrix& to) {
  for (std::int64_t i = 0; i < from.n; ++i) {
    const Row source = row_of(from, i), target = row_of(to, i);
    for (std::int64_t j = 0; j <= i; ++j) target[j] = source[j];
  }
}

void append_rows(const LowerMatrix& to, const double* Z, const double* S, std::int64_t m) {
  const std::int64_t n = to.n - m;
  for (std::int64_t i = 0; i < m; ++i) {
    const Row target = row_of(to, n + i);
    for (std::int64_t j = 0; j < n; ++j) target[j] = Z[i * n + j];
    for (std::int64_t j = 0; j <= i; ++j) target[n + j] = S[i * m + j];
  }
}

void mirror(double* A, std::int64_t n) {
  constexpr std::int64_t tile = 32;  // of which two stay in the first cache
  for (std::int64_t i0 = 0; i0 < n; i0 += tile)
    for (std::int64_t j0 = 0; j0 <= i0; j0 += tile)
      for (std::int64_t i = i0; i < std::min(n, i0 + tile); ++i)
        for (std::int64_t j = j0; j < std::min(i, j0 + tile); ++j) A[j * n + i] = A[i * n + j];
}

// Rotations that turn (L_kk, v_k) into (r, 0), applied row by row (Golub and Van Loan, Matrix Computations, 6.5.4).
void update(const LowerMatrix& L, double* v) {
  std::vector<double> cosine(static_cast<std::size_t>(L.n)), sine(cosine.size());
  for (std::int64_t i = 0; i < L.n; ++i) {
    const Row row = row_of(L, i);
    double rest = v[i];
    for (std::int64_t k = 0; k < i; ++k) {
      const auto at = static_cast<std::size_t>(k);
      const double old = row[k];
      row[k] = cosine[at] * old + sine[at] * rest;
      rest = cosine[at] * rest - sine[at] * old;
    }
    const auto at = static_cast<std::size_t>(i);
    const double pivot = std::hypot(row[i], rest);
    cosine[at] = row[i] / pivot;
    sine[at] = rest / pivot;
    row[i] = pivot;
  }
}

// The stable form of LINPACK's dchdd: the rotations follow from p = L^-1 v and turn (p, alpha) into (0, 1).
std::int64_t downdate(const LowerMatrix& L, double* v) {
  solve_triangular(L, false, v, 1);
  double square = 0.0;
  for (std::int64_t k = 0; k < L.n; ++k) {
    square += v[k] * v[k];
    if (!(square < 1.0)) return k;
  }
  double alpha = std::sqrt(1.0 - square);
  std::vector<double> cosine(static_cast<std::size_t>(L.n));
  for (std::int64_t k = L.n - 1; k >= 0; --k) {
    const double norm = std::hypot(alpha, v[k]);
    cosine[static_cast<std::size_t>(k)] = alpha / norm;
    v[k] /= norm;
    alpha = norm;
  }
  for (std::int64_t i = 0; i < L.n; ++i) {
    const Row row = row_of(L, i);
    double rest = 0.0;
    for (std::int64_t k = i; k >= 0; --k) {
      const double old = row[k], c = cosine[static_cast<std::size_t>(k)], s = v[k];
      row[k] = c * old - s * rest;
      rest = c * rest + s * old;
    }
  }
  return -1;
}

}  // namespace atomcore::cpu
