#include "src/surroundings.hpp"

#include <string>

#include "src/error.hpp"

namespace atomcore {

void refuse_coincident(const Surroundings& near) {
  for (std::size_t i = 0; i + 1 < near.list->row_ptr.size(); ++i)
    for (auto e = static_cast<std::size_t>(near.list->row_ptr[i]);
         e < static_cast<std::size_t>(near.list->row_ptr[i + 1]); ++e) {
      const math::Vec3<double> D = edge_vector(near, i, e);
      if (math::dot(D, D) < kCoincident * kCoincident)
        throw Error(ErrorCode::invalid_value, "positions: atoms " + std::to_string(i) + " and " +
                                                  std::to_string(near.list->neighbor[e]) +
                                                  " are at the same place (less than 1e-6 Angstrom apart)");
    }
  throw Error(ErrorCode::invalid_value, "positions: two atoms are at the same place");
}

}  // namespace atomcore
