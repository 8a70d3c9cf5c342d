#include <optional>

#include "bindings.hpp"
#include "src/cholesky.hpp"
#include "src/lapack.hpp"

namespace {

using namespace atomcore;

template <typename Function>
void take(const py::dict& functions, const char* name, Function*& function) {
  const py::capsule capsule = functions[name];
  function = reinterpret_cast<Function*>(capsule.get_pointer());
}

// The functions of scipy.linalg.cython_blas and cython_lapack, from their __pyx_capi__.
void use_scipy(const py::dict& blas, const py::dict& lapack) {
  static Lapack functions;
  take(blas, "dgemm", functions.gemm);
  take(blas, "dsyrk", functions.syrk);
  take(blas, "dtrsm", functions.trsm);
  take(blas, "dtrsv", functions.trsv);
  take(lapack, "dpotrf", functions.potrf);
  take(lapack, "dpotri", functions.potri);
  use_lapack(&functions);
}

// [n, n], or packed [n (n + 1) / 2]
LowerMatrix lower(Array<double>& A, std::int64_t n) { return {A.mutable_data(), n, A.ndim() == 1}; }
// The same for who only reads it.
LowerMatrix readable(const Array<double>& A, std::int64_t n) {
  return {const_cast<double*>(A.data()), n, A.ndim() == 1};
}

std::int64_t factor(Array<double>& A, std::int64_t n, const py::object& progress) {
  cpu::Progress report;
  if (!progress.is_none())
    report = [&](double done) {
      const py::gil_scoped_acquire lock;
      progress(done);
    };
  const LowerMatrix matrix = lower(A, n);
  const py::gil_scoped_release release;
  return cpu::factor(matrix, report);
}

void solve_triangular(const Array<double>& L, std::int64_t n, bool transposed, Array<double>& B) {
  const LowerMatrix matrix = readable(L, n);
  double* const sides = B.mutable_data();
  const std::int64_t m = B.shape(0);
  const py::gil_scoped_release release;
  cpu::solve_triangular(matrix, transposed, sides, m);
}

void invert(Array<double>& L) {
  const LowerMatrix matrix = lower(L, L.shape(0));
  const py::gil_scoped_release release;
  cpu::invert(matrix);
  cpu::mirror(matrix.data, matrix.n);
}

void copy_rows(const Array<double>& from, std::int64_t n, Array<double>& to, std::int64_t n_to) {
  const LowerMatrix source = readable(from, n), target = lower(to, n_to);
  const py::gil_scoped_release release;
  cpu::copy_rows(source, target);
}

void append_rows(Array<double>& to, std::int64_t n_to, const Array<double>& Z, const Array<double>& S) {
  const LowerMatrix target = lower(to, n_to);
  const py::gil_scoped_release release;
  cpu::append_rows(target, Z.data(), S.data(), S.shape(0));
}

// Updates or downdates by v v^T; the pivot that fails, or -1.
std::int64_t rank_one(Array<double>& L, std::int64_t n, Array<double>& v, bool add) {
  const LowerMatrix matrix = lower(L, n);
  double* const vector = v.mutable_data();
  const py::gil_scoped_release release;
  if (!add) return cpu::downdate(matrix, vector);
  cpu::update(matrix, vector);
  return -1;
}

template <typename T>
T* data_or_null(std::optional<Array<T>>& array) {
  return array ? array->mutable_data() : nullptr;
}

// A [B, n, n]; what is given of L [B, n, n], y and x [B, n, m], and log_determinant [B] is filled. Returns status [B].
template <typename T>
Array<std::int32_t> batched(const Array<T>& A, std::optional<Array<T>> L, const std::optional<Array<T>>& y,
                            std::optional<Array<T>> x, std::optional<Array<T>> log_determinant, int n_threads) {
  const std::int64_t count = A.shape(0);
  Array<std::int32_t> status(count);
  const cpu::SmallTask<T> task{A.data(),
                               static_cast<int>(A.shape(1)),
                               data_or_null(L),
                               y ? y->data() : nullptr,
                               data_or_null(x),
                               y ? static_cast<int>(y->shape(2)) : 0,
                               data_or_null(log_determinant),
                               status.mutable_data()};
  const py::gil_scoped_release release;
  cpu::batched_cholesky(task, count, n_threads);
  return status;
}

template <typename T>
void bind_batched(py::module_& m) {
  m.def("batched_cholesky", &batched<T>, py::arg("A").noconvert(), py::arg("L").noconvert(), py::arg("y").noconvert(),
        py::arg("x").noconvert(), py::arg("log_determinant").noconvert(), py::arg("n_threads"));
}

}  // namespace

void bind_linalg(py::module_& m) {
  m.def("use_scipy", &use_scipy, py::arg("blas"), py::arg("lapack"));
  m.def(
      "cholesky_not_finite",
      [](const Array<double>& A, std::int64_t n) { return cpu::find_not_finite(readable(A, n)); },
      py::arg("A").noconvert(), py::arg("n"), py::call_guard<py::gil_scoped_release>());
  m.def("cholesky_factor", &factor, py::arg("A").noconvert(), py::arg("n"), py::arg("progress"));
  m.def("cholesky_solve", &solve_triangular, py::arg("L").noconvert(), py::arg("n"), py::arg("transposed"),
        py::arg("B").noconvert());
  m.def(
      "cholesky_log_determinant",
      [](const Array<double>& L, std::int64_t n) { return cpu::log_determinant(readable(L, n)); },
      py::arg("L").noconvert(), py::arg("n"), py::call_guard<py::gil_scoped_release>());
  m.def("cholesky_invert", &invert, py::arg("L").noconvert());
  m.def("cholesky_copy_rows", &copy_rows, py::arg("source").noconvert(), py::arg("n"), py::arg("target").noconvert(),
        py::arg("n_target"));
  m.def("cholesky_append_rows", &append_rows, py::arg("target").noconvert(), py::arg("n_target"),
        py::arg("Z").noconvert(), py::arg("S").noconvert());
  m.def(
      "pooled_empty",
      [](const std::vector<py::ssize_t>& shape, bool single) -> py::array {
        return single ? py::array(new_array<float>(shape)) : py::array(new_array<double>(shape));
      },
      py::arg("shape"), py::arg("single"));
  m.def("cholesky_rank_one", &rank_one, py::arg("L").noconvert(), py::arg("n"), py::arg("v").noconvert(),
        py::arg("add"));
  bind_batched<double>(m);
  bind_batched<float>(m);
}
