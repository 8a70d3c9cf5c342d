#include "src/kernels.hpp"
