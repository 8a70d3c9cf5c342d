#include "src/surroundings.hpp"

#include <string>

#include "src/error.hpp"

namespace atomcore {

void refuse_coincident(const Surroundings& near) {
  for (std::size_t k = 0; k < near.n_centres(); ++k) {
    const std::size_t atom = near.centre(k);
    for_each_listed(near, atom, [&](std::size_t neighbor, const math::Vec3<double>& D) {
      if (math::dot(D, D) < kCoincident * kCoincident)
        throw Error(ErrorCode::invalid_value, "positions: atoms " + std::to_string(atom) + " and " +
                                                  std::to_string(neighbor) +
                                                  " are at the same place (less than 1e-6 Angstrom apart)");
    });
  }
  throw Error(ErrorCode::invalid_value, "positions: two atoms are at the same place");
}

}  // namespace atomcore
