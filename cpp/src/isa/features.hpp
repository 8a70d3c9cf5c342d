// The feature kernels of each instruction set.
#pragma once

#include "src/isa.hpp"
#include "src/isa/feature_data.hpp"

namespace atomcore::cpu {

#define AC_DECLARE_FEATURES(isa)                            \
  namespace isa {                                           \
  extern const FeatureKernels<float> features_float;        \
  extern const FeatureKernels<double> features_double;      \
  extern const FeatureKernels<float> features_dual_float;   \
  extern const FeatureKernels<double> features_dual_double; \
  }
AC_DECLARE_FEATURES(portable)
#if AC_X86
AC_DECLARE_FEATURES(avx2)
AC_DECLARE_FEATURES(avx512)
#endif
#undef AC_DECLARE_FEATURES

}  // namespace atomcore::cpu
