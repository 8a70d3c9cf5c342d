// What this machine has to run CUDA code on. Nothing here needs a driver to be installed, or throws.
#pragma once

#include <string>

namespace atomcore::cuda {

int runtime_version();  // as CUDA counts: 13000 for 13.0
int driver_version();   // the newest runtime that the driver serves; 0: no driver

// The number of devices, 0 where CUDA does not work at all.
int device_count();

// Why the current device cannot run the code of this module, in CUDA's words; empty when it can.
std::string problem();

}  // namespace atomcore::cuda
