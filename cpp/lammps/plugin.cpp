// Registers pair_style atomcore with LAMMPS' PLUGIN package. Part of atomcore-lammps, under the GNU General Public
// License, version 2.
#include "lammps.h"
#include "pair_atomcore.h"

namespace {

// What the loading side reads, member for member (its header is not among those that LAMMPS installs).
struct Plugin {
  const char *version, *style, *name, *info, *author;
  void* (*creator)(void*);
  void* handle;
};
using Register = void (*)(Plugin*, void*);

void* create(void* lmp) { return new LAMMPS_NS::PairAtomcore(static_cast<LAMMPS_NS::LAMMPS*>(lmp)); }

}  // namespace

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void* lmp, void* handle, void* registrar) {
  Plugin plugin{ATOMCORE_LAMMPS_VERSION,   "pair", "atomcore", "models of atomcore",
                "the atomcore developers", create, handle};
  reinterpret_cast<Register>(registrar)(&plugin, lmp);
}
