// Layer 1: which of the instruction sets a kernel runs on.
//
// The sources in src/isa are compiled once for each of them, in a namespace of its name. Each exports one table of
// functions, of which AC_PICK takes the one that this processor runs fastest.
#pragma once

#if defined(__x86_64__)
#define AC_X86 1
#else
#define AC_X86 0
#endif

namespace atomcore::cpu {

enum class Isa { portable, avx2, avx512 };

// The best that this processor has, or what the environment variable ATOMCORE_ISA (portable, avx2, avx512) says.
// Decided on the first call. Throws Error(invalid_value) for another name, Error(unsupported) for what the processor
// lacks.
Isa active_isa();
bool supported(Isa isa);  // by this processor
const char* name_of(Isa isa);

}  // namespace atomcore::cpu

// The table `name` of the active instruction set, out of those of the namespaces portable, avx2 and avx512.
#if AC_X86
#define AC_PICK(name)                                                           \
  (::atomcore::cpu::active_isa() == ::atomcore::cpu::Isa::avx512 ? avx512::name \
   : ::atomcore::cpu::active_isa() == ::atomcore::cpu::Isa::avx2 ? avx2::name   \
                                                                 : portable::name)
#else
#define AC_PICK(name) portable::name
#endif
