#include "src/isa/cholesky.hpp"

#include <limits>

#include "math/pack_functions.hpp"

namespace atomcore::cpu {
namespace {

using math::Pack;

constexpr bool kWide = math::kPackBytes == 64;  // with 32 registers, where the others have 16
constexpr int kTile = 4;                        // rows that are computed together
constexpr int kPanel = kWide ? 4 : 2;           // columns likewise: their sums stay in registers

constexpr int padded(int n, int unit) { return (n + unit - 1) / unit * unit; }

template <typename T>
constexpr int kWidth = Pack<T>::kWidth;

// A group of matrices, padded to whole tiles of rows with those of a unit matrix, and right-hand sides as one more tile
// of rows: L z = y and L L^T = A are the same recurrence. Row i, column k is pack k * kTile + i % kTile of its tile.
template <typename T>
class Group {
 public:
  using P = Pack<T>;
  static constexpr int kLanes = kWidth<T>;

  static std::size_t size(int n) {
    return static_cast<std::size_t>((padded(n, kTile) / kTile + 1) * stride(n) + padded(n, kTile));
  }

  Group(const SmallTask<T>& task, std::int64_t first, int count, bool more, P* workspace)
      : task_(task),
        n_(task.n),
        rows_(padded(n_, kTile)),
        stride_(stride(n_)),
        count_(count),
        more_(more),
        packs_(workspace),
        inverse_(packs_ + (rows_ / kTile + 1) * stride_) {
    for (int l = 0; l < kLanes; ++l) matrix_[l] = first + (l < count ? l : count - 1);
  }

  void run(bool past_caches) {
    if (task_.y == nullptr)
      factor<0>(past_caches);
    else if (task_.m == 1)
      factor<1>(past_caches);
    else
      factor<kTile>(past_caches);
    for (int r = kTile; r < task_.m; r += kTile) solve_more(r);
    for (int l = 0; l < count_; ++l) task_.status[matrix_[l]] = status_[l];
    if (task_.log_determinant != nullptr) log_determinant();
    if (failed_) spoil();
  }

 private:
  static int stride(int n) { return kTile * padded(n, kLanes < kTile ? kTile : kLanes); }

  P* tile(int i) { return packs_ + i / kTile * stride_; }

  // Columns j .. j + kLanes - 1 of a row of each matrix, `from` + offset of the matrix; columns from n on are zero.
  [[gnu::always_inline]] void load(const T* from, std::int64_t pitch, int j, P (&x)[kLanes]) const {
#pragma GCC unroll 16
    for (int l = 0; l < kLanes; ++l) {
      const T* const row = from + matrix_[l] * pitch + j;
      if (j + kLanes <= n_) {
        x[l] = math::load_pack(row);
      } else {
        T some[kLanes] = {};
        __builtin_memcpy(some, row, static_cast<std::size_t>(n_ - j) * sizeof(T));
        x[l] = math::load_pack(some);
      }
    }
    math::transpose(x);
  }

  // The factor and, on the way, the first kSides solutions: each tile is used for them while it is in the cache.
  template <int kSides>
  void factor(bool past_caches) {
    P* const z = tile(rows_);
    if constexpr (kSides > 0) load_sides<kSides>(0, z);
    for (int i = 0; i < rows_; i += kTile) {
      load_tile(i);
      for (int j = 0; j < i; j += kPanel) {
        prefetch(i, j);
        panel<kTile>(tile(i), j);
      }
      prefetch(i, i);
      diagonal<0>(i);
      if constexpr (kSides > 0)
        for (int j = i; j < i + kTile; j += kPanel) panel<kSides>(z, j);
      if (task_.L != nullptr) store_tile(i, past_caches);
    }
    if constexpr (kSides > 0) finish<kSides>(0, z);
  }

  // The lines of memory of the next group that hold columns j, j + 1, ... of four rows: they come while this one is
  // worked on.
  [[gnu::always_inline]] void prefetch(int i, int j) const {
    constexpr int line = 64 / static_cast<int>(sizeof(T));
    if (!more_ || j % line >= kPanel) return;
    const std::int64_t pitch = static_cast<std::int64_t>(n_) * n_;
    for (int r = 0; r < kTile; ++r)
      for (int l = 0; l < kLanes; ++l)
        __builtin_prefetch(task_.A + (matrix_[l] + kLanes) * pitch + static_cast<std::int64_t>(i + r) * n_ + j, 0, 3);
  }

  void load_tile(int i0) {
    P* const to = tile(i0);
    for (int r = 0; r < kTile; ++r) {
      const int i = i0 + r;
      if (i >= n_) {
        for (int k = 0; k < rows_; ++k) to[k * kTile + r] = P(k == i ? T(1) : T(0));
        continue;
      }
      for (int j = 0; j <= i; j += kLanes) {
        P x[kLanes];
        load(task_.A + static_cast<std::int64_t>(i) * n_, static_cast<std::int64_t>(n_) * n_, j, x);
#pragma GCC unroll 16
        for (int q = 0; q < kLanes; ++q) to[(j + q) * kTile + r] = x[q];
      }
    }
  }

  // sum[x][y] = element (x, j + y) of the tile less the products with the columns before.
  template <int kRows>
  [[gnu::always_inline]] void reduced(const P* a, int j, P (&sum)[kRows][kPanel]) {
    const P* const b = tile(j) + j % kTile;
    for (int x = 0; x < kRows; ++x)
      for (int y = 0; y < kPanel; ++y) sum[x][y] = a[(j + y) * kTile + x];
    for (int k = 0; k < j; ++k) {
      P column[kPanel];
      for (int y = 0; y < kPanel; ++y) column[y] = b[k * kTile + y];
      for (int x = 0; x < kRows; ++x) {
        const P row = a[k * kTile + x];
        for (int y = 0; y < kPanel; ++y) sum[x][y] = sum[x][y] - row * column[y];
      }
    }
  }

  // Columns j .. j + kPanel - 1 of rows below them.
  template <int kRows>
  void panel(P* a, int j) {
    P sum[kRows][kPanel];
    reduced<kRows>(a, j, sum);
    const P* const b = tile(j) + j % kTile;
#pragma GCC unroll 4
    for (int y = 0; y < kPanel; ++y)
#pragma GCC unroll 4
      for (int x = 0; x < kRows; ++x) {
#pragma GCC unroll 4
        for (int k = 0; k < y; ++k) sum[x][y] = sum[x][y] - sum[x][k] * b[(j + k) * kTile + y];
        sum[x][y] = sum[x][y] * inverse_[j + y];
        a[(j + y) * kTile + x] = sum[x][y];
      }
  }

  // The tile on the diagonal, from its row kFirst on.
  template <int kFirst>
  void diagonal(int i) {
    constexpr int kRows = kTile - kFirst;
    P* const a = tile(i) + kFirst;
    const int j = i + kFirst;
    P sum[kRows][kPanel];
    reduced<kRows>(a, j, sum);
#pragma GCC unroll 4
    for (int y = 0; y < kPanel; ++y)
#pragma GCC unroll 4
      for (int x = y; x < kRows; ++x) {
#pragma GCC unroll 4
        for (int k = 0; k < y; ++k) sum[x][y] = sum[x][y] - sum[x][k] * sum[y][k];
        sum[x][y] = x == y ? pivot(sum[x][y], j + y) : sum[x][y] * inverse_[j + y];
        a[(j + y) * kTile + x] = sum[x][y];
      }
    if constexpr (kFirst + kPanel < kTile) diagonal<kFirst + kPanel>(i);
  }

  [[gnu::always_inline]] P pivot(P square, int j) {
    const auto good = (square > P(T(0))) & (square < P(std::numeric_limits<T>::infinity()));
    constexpr unsigned all = (1u << kLanes) - 1u;
    if (const unsigned bad = all & ~math::bits_of(good); __builtin_expect(bad != 0, 0)) {
      failed_ = true;
      for (int l = 0; l < kLanes; ++l)
        if ((bad >> l & 1u) != 0 && status_[l] == 0) status_[l] = j + 1;
      square = select(good, square, P(T(1)));
    }
    const P root = math::sqrt(square);
    inverse_[j] = P(T(1)) / root;
    return root;
  }

  void store_tile(int i0, bool past_caches) {
    const P* const from = tile(i0);
    const std::int64_t pitch = static_cast<std::int64_t>(n_) * n_;
    for (int i = i0; i < i0 + kTile && i < n_; ++i)
      for (int j = 0; j < n_; j += kLanes) {
        P x[kLanes];
#pragma GCC unroll 16
        for (int q = 0; q < kLanes; ++q) x[q] = j + q <= i ? from[(j + q) * kTile + i - i0] : P(T(0));
        if (j <= i) math::transpose(x);
        for (int l = 0; l < count_; ++l)
          store(task_.L + matrix_[l] * pitch + static_cast<std::int64_t>(i) * n_ + j, x[l], n_ - j, past_caches);
      }
  }

  [[gnu::always_inline]] static void store(T* to, const P& x, int room, bool past_caches) {
    if (room < kLanes)
      __builtin_memcpy(to, &x, static_cast<std::size_t>(room) * sizeof(T));
    else if (past_caches && reinterpret_cast<std::uintptr_t>(to) % math::kPackBytes == 0)
      math::stream_pack(to, x);
    else
      math::store_pack(to, x);
  }

  void log_determinant() {
    P sum(T(0));
    for (int i = 0; i < n_; ++i) sum += math::log(tile(i)[i * kTile + i % kTile]);
    T values[kLanes];
    math::store_pack(values, T(2) * sum);
    for (int l = 0; l < count_; ++l) task_.log_determinant[matrix_[l]] = values[l];
  }

  void solve_more(int r) {
    P* const z = tile(rows_);
    load_sides<kTile>(r, z);
    for (int j = 0; j < rows_; j += kPanel) panel<kTile>(z, j);
    finish<kTile>(r, z);
  }

  // Right-hand sides r .. r + kRows - 1 as rows of the last tile; those behind the last one repeat it.
  template <int kRows>
  void load_sides(int r, P* z) const {
    for (int j = 0; kRows == 1 && j < n_; j += kLanes) {
      P x[kLanes];
      load(task_.y, n_, j, x);
      for (int q = 0; q < kLanes; ++q) z[(j + q) * kTile] = x[q];
    }
    for (int s = 0; s < kRows; ++s) {
      const int side = r + s < task_.m ? r + s : task_.m - 1;
      for (int k = 0; kRows > 1 && k < n_; ++k) {
        T values[kLanes];
        for (int l = 0; l < kLanes; ++l) values[l] = task_.y[(matrix_[l] * n_ + k) * task_.m + side];
        z[k * kTile + s] = math::load_pack(values);
      }
      for (int k = n_; k < rows_; ++k) z[k * kTile + s] = P(T(0));
    }
  }

  // The solutions from z = L^-1 y.
  template <int kRows>
  void finish(int r, P* z) {
    for (int j = rows_ - kTile; j >= 0; j -= kTile) back_substitute<kRows>(z, j);
    for (int j = 0; kRows == 1 && j < n_; j += kLanes) {
      P x[kLanes];
      for (int q = 0; q < kLanes; ++q) x[q] = z[(j + q) * kTile];
      math::transpose(x);
      for (int l = 0; l < count_; ++l) store(task_.x + matrix_[l] * n_ + j, x[l], n_ - j, false);
    }
    const int kept = task_.m - r < kRows ? task_.m - r : kRows;
    for (int k = 0; kRows > 1 && k < n_; ++k)
      for (int s = 0; s < kept; ++s) {
        T values[kLanes];
        math::store_pack(values, z[k * kTile + s]);
        for (int l = 0; l < count_; ++l) task_.x[(matrix_[l] * n_ + k) * task_.m + r + s] = values[l];
      }
  }

  // Rows j .. j + kTile - 1 of L^T x = z, the rows behind being known.
  template <int kRows>
  void back_substitute(P* z, int j) {
    P sum[kTile][kRows];
    for (int y = 0; y < kTile; ++y)
      for (int s = 0; s < kRows; ++s) sum[y][s] = z[(j + y) * kTile + s];
    for (int i = j + kTile; i < rows_; i += kTile) {
      const P* const a = tile(i) + j * kTile;
      for (int y = 0; y < kTile; ++y)
        for (int x = 0; x < kTile; ++x)
          for (int s = 0; s < kRows; ++s) sum[y][s] = sum[y][s] - a[y * kTile + x] * z[(i + x) * kTile + s];
    }
    const P* const a = tile(j) + j * kTile;
#pragma GCC unroll 4
    for (int y = kTile - 1; y >= 0; --y)
#pragma GCC unroll 4
      for (int s = 0; s < kRows; ++s) {
#pragma GCC unroll 4
        for (int x = y + 1; x < kTile; ++x) sum[y][s] = sum[y][s] - a[y * kTile + x] * sum[x][s];
        sum[y][s] = sum[y][s] * inverse_[j + y];
        z[(j + y) * kTile + s] = sum[y][s];
      }
  }

  void spoil() {
    const std::int64_t pitch = static_cast<std::int64_t>(n_) * n_, sides = static_cast<std::int64_t>(n_) * task_.m;
    for (int l = 0; l < count_; ++l) {
      if (status_[l] == 0) continue;
      constexpr T nan = std::numeric_limits<T>::quiet_NaN();
      if (task_.log_determinant != nullptr) task_.log_determinant[matrix_[l]] = nan;
      for (std::int64_t k = 0; task_.L != nullptr && k < pitch; ++k) task_.L[matrix_[l] * pitch + k] = nan;
      for (std::int64_t k = 0; task_.y != nullptr && k < sides; ++k) task_.x[matrix_[l] * sides + k] = nan;
    }
  }

  const SmallTask<T>& task_;
  const int n_, rows_, stride_, count_;
  const bool more_;  // groups follow
  P* const packs_;
  P* const inverse_;  // of the pivots
  std::int64_t matrix_[kLanes];
  std::int32_t status_[kLanes] = {};
  bool failed_ = false;
};

template <typename T>
void run(const SmallTask<T>& task, std::int64_t begin, std::int64_t end, bool past_caches, T* workspace) {
  constexpr int lanes = kWidth<T>;
  for (std::int64_t first = begin; first < end; first += lanes) {
    const int count = end - first < lanes ? static_cast<int>(end - first) : lanes;
    Group<T>(task, first, count, first + lanes < end, reinterpret_cast<Pack<T>*>(workspace)).run(past_caches);
  }
  if (past_caches) math::end_of_streams();
}

template <typename T>
std::size_t workspace_size(int n) {
  return Group<T>::size(n) * static_cast<std::size_t>(kWidth<T>);
}

template <typename T>
constexpr SmallCholesky<T> kKernels{kWidth<T>, run<T>, workspace_size<T>};

}  // namespace

namespace AC_ISA {
const SmallCholesky<float> kSmallCholeskyFloat32 = kKernels<float>;
const SmallCholesky<double> kSmallCholeskyFloat64 = kKernels<double>;
}  // namespace AC_ISA

}  // namespace atomcore::cpu
