/* A molecule of water in C: the whole structure, and the same with neighbour lists as a molecular-dynamics program has
 * them. Usage: water MODEL */
#include <atomcore/atomcore.h>
#include <stdio.h>
#include <stdlib.h>

static void check(atomcore_status status) {
  if (status == ATOMCORE_OK) return;
  fprintf(stderr, "atomcore: %s\n", atomcore_last_error());
  exit(1);
}

static void print(const char* title, double energy, double forces[3][3]) {
  printf("%s\nenergy %.15g eV\n", title, energy);
  for (int i = 0; i < 3; ++i) printf("force %.15g %.15g %.15g eV/A\n", forces[i][0], forces[i][1], forces[i][2]);
}

int main(int argc, char** argv) {
  const double positions[3][3] = {{0.0, 0.0, 0.119}, {0.0, 0.763, -0.477}, {0.1, -0.763, -0.477}};
  const int32_t numbers[3] = {8, 1, 1};
  if (argc != 2) return fprintf(stderr, "usage: %s MODEL\n", argv[0]), 2;

  atomcore_model* model = NULL;
  atomcore_workspace* workspace = NULL;
  check(atomcore_model_load(argv[1], NULL, &model));
  check(atomcore_workspace_create(model, 1, &workspace));

  double forces[3][3] = {{0.0}}; /* forces are added to what is there */
  atomcore_results results = ATOMCORE_RESULTS_INIT;
  results.forces = &forces[0][0];
  atomcore_structure structure = ATOMCORE_STRUCTURE_INIT;
  structure.n_atoms = 3;
  structure.positions = &positions[0][0];
  structure.numbers = numbers;
  check(atomcore_compute(workspace, &structure, &results));
  print("whole structure", results.energy, forces);

  /* Full lists: every atom has all its neighbours. Types are indices of elements of the model. */
  const int32_t O = atomcore_element_index(model, "O"), H = atomcore_element_index(model, "H");
  const int32_t types[3] = {O, H, H}, ilist[3] = {0, 1, 2}, numneigh[3] = {2, 2, 2};
  const int32_t of_0[2] = {1, 2}, of_1[2] = {0, 2}, of_2[2] = {0, 1};
  const int32_t* const firstneigh[3] = {of_0, of_1, of_2};
  double added[3][3] = {{0.0}};
  results.forces = &added[0][0];
  atomcore_neighbors neighbors = ATOMCORE_NEIGHBORS_INIT;
  neighbors.n_atoms = neighbors.n_centres = 3;
  neighbors.positions = &positions[0][0];
  neighbors.types = types;
  neighbors.ilist = ilist;
  neighbors.numneigh = numneigh;
  neighbors.firstneigh = firstneigh;
  check(atomcore_compute_neighbors(workspace, &neighbors, &results));
  print("neighbour lists", results.energy, added);

  atomcore_workspace_free(workspace);
  atomcore_model_free(model);
  return 0;
}
