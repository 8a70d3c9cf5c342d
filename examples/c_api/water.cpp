// A molecule of water in a periodic box in C++, with the stress and the atoms' energies. Usage: water MODEL
#include <atomcore/atomcore.hpp>
#include <cstdint>
#include <cstdio>
#include <vector>

int main(int argc, char** argv) try {
  if (argc != 2) return std::fprintf(stderr, "usage: %s MODEL\n", argv[0]), 2;
  const std::vector<double> positions{0.0, 0.0, 0.119, 0.0, 0.763, -0.477, 0.1, -0.763, -0.477};
  const std::vector<double> cell{3.2, 0.0, 0.0, 0.0, 3.4, 0.0, 0.3, 0.0, 3.0};
  const std::vector<std::int32_t> numbers{8, 1, 1};

  const atomcore::Model model(argv[1]);
  atomcore::Workspace workspace(model);
  std::vector<double> forces(positions.size()), energies(numbers.size());  // both are added to what is there
  atomcore::Results results;
  results.forces = forces;
  results.energies = energies;
  workspace.compute(atomcore::Structure{positions, numbers, cell}, results);

  std::printf("energy %.15g eV\n", results.energy);
  for (const double energy : energies) std::printf("atom %.15g eV\n", energy);
  for (std::size_t i = 0; i < forces.size(); i += 3)
    std::printf("force %.15g %.15g %.15g eV/A\n", forces[i], forces[i + 1], forces[i + 2]);
  for (std::size_t k = 0; k < 9; k += 3)  // the stress times the volume is minus this
    std::printf("virial %.15g %.15g %.15g eV\n", results.virial[k], results.virial[k + 1], results.virial[k + 2]);
} catch (const atomcore::Error& error) {
  std::fprintf(stderr, "atomcore: %s\n", error.what());
  return 1;
}
