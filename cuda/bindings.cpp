#include <pybind11/pybind11.h>

#include "device.hpp"

PYBIND11_MODULE(_cuda, m) {
  namespace cuda = atomcore::cuda;
  using gil_released = pybind11::call_guard<pybind11::gil_scoped_release>;  // the first call starts the driver
  m.doc() = "The CUDA half of atomcore's core. Use atomcore.cuda instead.";
  m.def("runtime_version", &cuda::runtime_version);
  m.def("driver_version", &cuda::driver_version, gil_released());
  m.def("device_count", &cuda::device_count, gil_released());
  m.def("problem", &cuda::problem, gil_released());
}
