/* Both entry points and every macro, for a compiler of strict C11. */
#include <atomcore/atomcore.h>

int main(void) {
  atomcore_load_options options = ATOMCORE_LOAD_OPTIONS_INIT;
  atomcore_info info = ATOMCORE_INFO_INIT;
  atomcore_results results = ATOMCORE_RESULTS_INIT;
  atomcore_structure structure = ATOMCORE_STRUCTURE_INIT;
  atomcore_neighbors neighbors = ATOMCORE_NEIGHBORS_INIT;
  return options.size == sizeof options && info.size == sizeof info && results.size == sizeof results &&
                 structure.size == sizeof structure && neighbors.size == sizeof neighbors
             ? 0
             : 1;
}
