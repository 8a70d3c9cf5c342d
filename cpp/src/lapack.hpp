// The functions of BLAS and LAPACK that large dense matrices go to. The core links none: whoever uses it hands in those
// of a library (the Python module hands in scipy's). Column-major, integers of 32 bits.
#pragma once

#include <atomic>
#include <cstdint>

#include "src/error.hpp"

namespace atomcore {

struct Lapack {
  void (*gemm)(char* trans_a, char* trans_b, int* m, int* n, int* k, double* alpha, double* a, int* lda, double* b,
               int* ldb, double* beta, double* c, int* ldc);
  void (*syrk)(char* uplo, char* trans, int* n, int* k, double* alpha, double* a, int* lda, double* beta, double* c,
               int* ldc);
  void (*trsm)(char* side, char* uplo, char* trans, char* diag, int* m, int* n, double* alpha, double* a, int* lda,
               double* b, int* ldb);
  void (*trsv)(char* uplo, char* trans, char* diag, int* n, double* a, int* lda, double* x, int* incx);
  void (*potrf)(char* uplo, int* n, double* a, int* lda, int* info);
  void (*potri)(char* uplo, int* n, double* a, int* lda, int* info);
};

inline std::atomic<const Lapack*> given_lapack{nullptr};

// `functions` must live as long as the program.
inline void use_lapack(const Lapack* functions) { given_lapack.store(functions); }

inline const Lapack& lapack() {
  const Lapack* const functions = given_lapack.load();
  if (functions == nullptr)
    throw Error(ErrorCode::unsupported, "no LAPACK has been handed to the core: call use_lapack first");
  return *functions;
}

// The same functions with arguments by value; what is only read may be const.
namespace blas {

inline int narrow(std::int64_t n) {
  if (n > INT32_MAX)
    throw Error(ErrorCode::overflow, "a matrix has more rows than the 32-bit integers of LAPACK count");
  return static_cast<int>(n);
}

// C := alpha op(A) op(B) + beta C, C [m, n], k numbers a sum
inline void gemm(char trans_a, char trans_b, std::int64_t m, std::int64_t n, std::int64_t k, double alpha,
                 const double* a, std::int64_t lda, const double* b, std::int64_t ldb, double beta, double* c,
                 std::int64_t ldc) {
  int m_ = narrow(m), n_ = narrow(n), k_ = narrow(k), lda_ = narrow(lda), ldb_ = narrow(ldb), ldc_ = narrow(ldc);
  lapack().gemm(&trans_a, &trans_b, &m_, &n_, &k_, &alpha, const_cast<double*>(a), &lda_, const_cast<double*>(b), &ldb_,
                &beta, c, &ldc_);
}

// One triangle of C := alpha A A^T + beta C ('N', A [n, k]) or alpha A^T A + beta C ('T', A [k, n])
inline void syrk(char uplo, char trans, std::int64_t n, std::int64_t k, double alpha, const double* a, std::int64_t lda,
                 double beta, double* c, std::int64_t ldc) {
  int n_ = narrow(n), k_ = narrow(k), lda_ = narrow(lda), ldc_ = narrow(ldc);
  lapack().syrk(&uplo, &trans, &n_, &k_, &alpha, const_cast<double*>(a), &lda_, &beta, c, &ldc_);
}

// B := alpha op(A)^-1 B ('L') or alpha B op(A)^-1 ('R'), B [m, n], A triangular
inline void trsm(char side, char uplo, char trans, std::int64_t m, std::int64_t n, const double* a, std::int64_t lda,
                 double* b, std::int64_t ldb, double alpha = 1.0) {
  char diagonal = 'N';
  int m_ = narrow(m), n_ = narrow(n), lda_ = narrow(lda), ldb_ = narrow(ldb);
  lapack().trsm(&side, &uplo, &trans, &diagonal, &m_, &n_, &alpha, const_cast<double*>(a), &lda_, b, &ldb_);
}

// x := op(A)^-1 x, A [n, n] triangular
inline void trsv(char uplo, char trans, std::int64_t n, const double* a, std::int64_t lda, double* x) {
  char diagonal = 'N';
  int n_ = narrow(n), lda_ = narrow(lda), one = 1;
  lapack().trsv(&uplo, &trans, &diagonal, &n_, const_cast<double*>(a), &lda_, x, &one);
}

// A = L L^T in one triangle of A [n, n]; returns 0, or 1 + the index of the pivot that is not positive.
inline std::int64_t potrf(char uplo, std::int64_t n, double* a, std::int64_t lda) {
  int n_ = narrow(n), lda_ = narrow(lda), info = 0;
  lapack().potrf(&uplo, &n_, a, &lda_, &info);
  return info;
}

// One triangle of A^-1 from that of its factor.
inline void potri(char uplo, std::int64_t n, double* a, std::int64_t lda) {
  int n_ = narrow(n), lda_ = narrow(lda), info = 0;
  lapack().potri(&uplo, &n_, a, &lda_, &info);
}

}  // namespace blas
}  // namespace atomcore
