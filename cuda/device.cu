#include <cuda_runtime.h>

#include "device.hpp"

namespace atomcore::cuda {
namespace {

// Stands for all kernels of the module: they are compiled for the same architectures.
__global__ void probe() {}

// CUDA reports an error again at the next call unless it is read.
cudaError_t cleared(cudaError_t status) {
  cudaGetLastError();
  return status;
}

}  // namespace

int runtime_version() {
  int version = 0;
  return cleared(cudaRuntimeGetVersion(&version)) == cudaSuccess ? version : 0;
}

int driver_version() {
  int version = 0;
  return cleared(cudaDriverGetVersion(&version)) == cudaSuccess ? version : 0;
}

int device_count() {
  int count = 0;
  return cleared(cudaGetDeviceCount(&count)) == cudaSuccess ? count : 0;
}

std::string problem() {
  int count = 0;
  cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count == 0) status = cudaErrorNoDevice;
  cudaFuncAttributes attributes;
  if (status == cudaSuccess)
    status = cudaFuncGetAttributes(&attributes, probe);  // fails on a device older than the code
  return cleared(status) == cudaSuccess ? "" : cudaGetErrorString(status);
}

}  // namespace atomcore::cuda
